"""A Redis Cluster of six real servers: every key goes to the node that the slot map names, and none is moved."""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from redis import Redis

from ringfence.compat.redis_cluster import SlotMap, slot
from ringfence.testing.servers import Server

KEYS = 10000


@pytest.fixture
def nodes(redis_cluster_server: Server) -> Iterator[dict[int, Any]]:
    """Yield a client for each server of a cluster by its port: three primaries with a replica each."""
    addresses = redis_cluster_server.url.partition("://")[2].split(",")
    with ExitStack() as clients:
        yield {
            int(port): clients.enter_context(Redis(host=host, port=int(port)))
            for host, _, port in (address.rpartition(":") for address in addresses)
        }


def raw(node: Any, command: str) -> Any:
    """Return an answer as the server gives it, without the client's callbacks."""
    connection = node.connection_pool.get_connection()
    try:
        connection.send_command(*command.split())
        return connection.read_response()
    finally:
        node.connection_pool.release(connection)


def test_no_key_is_moved(nodes: dict[int, Any]) -> None:
    chance = random.Random(7)
    first = next(iter(nodes.values()))
    made = SlotMap.from_slots(raw(first, "CLUSTER SLOTS"))
    assert len(made.nodes) == 3
    keys = [chance.randbytes(chance.randrange(1, 30)) for _ in range(KEYS // 2)]
    keys += [f"{{user:{chance.randrange(1000)}}}:{i}".encode() for i in range(KEYS // 2)]
    pipelines = {
        address: nodes[int(address.rpartition(":")[2])].pipeline(transaction=False) for address in made.nodes
    }
    for key in keys:
        pipelines[made[key]].set(key, b"")
    stored = [
        answer for pipeline in pipelines.values() for answer in pipeline.execute()
    ]  # a MOVED would be raised
    assert stored == [True] * KEYS
    assert [made.nodes[i] for i in made.lookup_many(keys)] == [made[key] for key in keys]
    for key in keys[:200]:
        assert first.execute_command("CLUSTER KEYSLOT", key) == slot(key)


def test_both_commands_give_one_map(nodes: dict[int, Any]) -> None:
    first = next(iter(nodes.values()))
    by_slots, by_shards = (
        SlotMap.from_slots(raw(first, "CLUSTER SLOTS")),
        SlotMap.from_shards(raw(first, "CLUSTER SHARDS")),
    )
    assert sorted(by_slots.nodes) == sorted(by_shards.nodes)
    for i in range(300):
        assert by_slots.replicas(f"key{i}", 2) == by_shards.replicas(f"key{i}", 2)
        assert len(by_slots.replicas(f"key{i}", 2)) == 2
