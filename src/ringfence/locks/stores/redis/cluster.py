"""The lock store in a Redis Cluster for threads."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ringfence.locks.stores import Claim, Holder, Push, Status
from ringfence.locks.stores.redis.slots import Cluster
from ringfence.locks.stores.redis.store import RedisStore
from ringfence.protocol import run


class ClusterStore:
    """Leases in a Redis or Valkey Cluster; each lock at the node of its slot, one connection a node.

    Args:
        url: `redis+cluster://host:port,host:port` or `rediss+cluster://…`, with the options of redis-py.
        timeout: seconds to wait for an answer of a node.

    Raises:
        BackendUnavailable: redis-py is not installed.
        InvalidValue: redis-py does not understand the URL.
    """

    shared = True

    def __init__(self, url: str, *, timeout: float = 1.0) -> None:
        self._cluster = Cluster(url, partial(RedisStore, timeout=timeout))

    def grant(self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1) -> int | None:
        """Give the lock to `owner` and return the fence; None if another has it, or others wait for it."""
        fence: int | None = run(self._cluster.ask(name, "grant", name, owner, ttl, queue, fences))
        return fence

    def wait(self, name: str, owner: str, seconds: float) -> Push | None:
        """Wait for a grant to `owner`, who has a place in the queue; `seconds` at most."""
        push: Push | None = run(self._cluster.ask(name, "wait", name, owner, seconds))
        return push

    def renew(self, claims: Sequence[Claim]) -> list[bool | None]:
        """Extend the leases that are still held; None for one whose node did not answer."""
        return run(self._cluster.renew(claims))

    def release(self, name: str, owner: str, fence: int) -> bool:
        """Free the lock if this owner holds it with this fence, for the next waiter; say whether it did."""
        return bool(run(self._cluster.ask(name, "release", name, owner, fence)))

    def withdraw(self, name: str, owner: str) -> None:
        """Free the lock if this owner holds it with whatever fence, and take the owner out of the queue."""
        run(self._cluster.ask(name, "withdraw", name, owner))

    def status(self, name: str) -> Status:
        """Return who holds a lock, and who waits for it."""
        status: Status = run(self._cluster.ask(name, "status", name))
        return status

    def leases(self) -> list[Holder]:
        """Return all leases there are, by name and then by fence."""
        return run(self._cluster.leases())

    def close(self) -> None:
        """Close the connections; leases stay as they are. Closing twice is harmless."""
        for node in list(self._cluster.nodes.values()):
            node.close()
