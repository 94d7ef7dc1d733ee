"""A private Redis Cluster: three primaries with a replica each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ringfence.testing.servers import resp, tree
from ringfence.testing.servers.group import Group
from ringfence.testing.servers.ports import HOST
from ringfence.testing.servers.programs import Programs
from ringfence.testing.servers.redis import Redis

SLOTS = 16384
PRIMARIES = 3


class ClusterNode(Redis):
    """One of the six; the cluster is kept on its disk."""

    port_count = 2

    def command(self, found: Programs) -> Sequence[str | Path]:
        """Return the command, with a port for the other nodes."""
        return [*super().command(found), "--cluster-port", str(self.ports[1])]


class RedisCluster(Group):
    """Six Redis servers as one cluster.

    Args:
        node_timeout: milliseconds after which a silent node counts as failed. On a busy machine a short time
            makes a replica take over though nobody failed, so it is short only where a test waits for that.
        durable: every write is on the disk before it is answered.
    """

    needed = Redis.needed

    def __init__(self, *, node_timeout: int = 5000, durable: bool = False) -> None:
        options: dict[str, str | int] = {"cluster-enabled": "yes", "cluster-node-timeout": node_timeout}
        self.nodes = tuple(ClusterNode(durable=durable, options=options) for _ in range(2 * PRIMARIES))
        super().__init__(self.nodes)

    @property
    def url(self) -> str:
        """`redis+cluster://127.0.0.1:PORT,…` with all nodes."""
        return f"redis+cluster://{','.join(f'{HOST}:{node.port}' for node in self.nodes)}"

    def join(self) -> None:
        """Introduce the nodes to the first, share the slots among the first three, and make the others replicas."""
        first = self.nodes[0]
        for node in self.nodes:
            resp.ask(node.port, "CLUSTER", "MEET", HOST, *first.ports)
        for i, node in enumerate(self.nodes[:PRIMARIES]):
            low, high = SLOTS * i // PRIMARIES, SLOTS * (i + 1) // PRIMARIES - 1
            resp.ask(node.port, "CLUSTER", "ADDSLOTSRANGE", low, high)
        tree.until(self._all_met, "the nodes of the cluster did not meet", patience=60)
        for primary, replica in zip(self.nodes[:PRIMARIES], self.nodes[PRIMARIES:], strict=True):
            number = resp.ask(primary.port, "CLUSTER", "MYID").decode()
            resp.ask(replica.port, "CLUSTER", "REPLICATE", number)

    def _all_met(self) -> bool:
        known = f"cluster_known_nodes:{len(self.nodes)}"
        return all(known in cluster_info(node) for node in self.nodes)

    def answers(self) -> bool:
        """Return whether every node sees all slots served, each with a replica that is up to date."""
        try:
            served = all("cluster_state:ok" in cluster_info(node) for node in self.nodes)
            rows = [row for node in self.nodes for row in resp.ask(node.port, "CLUSTER", "SLOTS")]
            followers = [node for node in self.nodes if "role:slave" in replication(node)]
            followed = all("master_link_status:up" in replication(node) for node in followers)
        except (OSError, resp.Refused):
            return False
        return served and followed and len(followers) == PRIMARIES and all(len(row) == 4 for row in rows)


def cluster_info(node: Redis) -> str:
    """Return what a node says of the cluster."""
    return str(resp.ask(node.port, "CLUSTER", "INFO").decode())


def replication(node: Redis) -> str:
    """Return what a server says of its primary and replicas."""
    return str(resp.ask(node.port, "INFO", "replication").decode())
