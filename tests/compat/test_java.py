"""Systems in Java: Ignite's rendezvous and Hadoop's ring."""

import pickle
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from ringfence.compat import hdfs, ignite
from ringfence.errors import InvalidType, InvalidValue, UnknownNode
from ringfence.placement import Node

Vectors = Callable[[str], Any]


def test_ignite_as_recorded(vectors: Vectors) -> None:
    for case in vectors("ignite_rendezvous")["cases"]:
        nodes = {name: UUID(number) for name, number in case["nodes"].items()}
        affinity = ignite.rendezvous(nodes, case["partitions"])
        for kind, read in (("string", str), ("long", int), ("uuid", UUID)):
            rows = case[f"partition_of_{kind}"]
            assert [affinity.partition(read(key)) for key, _ in rows] == [partition for _, partition in rows]
        for partition, names in case["assignments"]:
            assert affinity.assignment(partition, len(names) - 1) == tuple(names)
            assert affinity.assignment(partition) == tuple(names[:1])


def test_ignite_is_a_placement() -> None:
    affinity = ignite.rendezvous(["a", "b", "c"], 64)
    keys = [f"key{i}" for i in range(200)]
    assert [affinity.nodes[i] for i in affinity.lookup_many(keys)] == [affinity[key] for key in keys]
    assert [affinity.lookup(key) for key in keys] == [affinity.replicas(key, 1)[0] for key in keys]
    rows = affinity.replicas_many(keys, 2)
    assert [tuple(affinity.nodes[i] for i in row) for row in rows] == [
        affinity.replicas(key, 2) for key in keys
    ]
    assert [affinity.partition(key) for key in (5, -5)] == [5, affinity.partition(-5)]
    more = affinity.with_node("d")
    assert more == ignite.rendezvous(["a", "b", "c", "d"], 64)
    assert (more.epoch, more.partitions) == (1, 64)
    assert more.without_node("d") == affinity != more
    assert {more[key] for key in keys if more[key] != affinity[key]} == {"d"}
    diff = affinity.diff(more)
    assert diff.affected(keys).tolist() == [affinity[key] != more[key] for key in keys]
    assert diff.fraction == sum(more.assignment(i) == ("d",) for i in range(64)) / 64
    assert pickle.loads(pickle.dumps(more)) == more
    with pytest.raises(InvalidValue, match="no weights"):
        affinity.with_node(Node("d", 2.0))
    with pytest.raises(UnknownNode):
        affinity.without_node("x")
    with pytest.raises(InvalidValue, match="cannot be compared"):
        affinity.diff(ignite.rendezvous(["a"], 32))


def test_a_consistent_id_may_be_a_uuid() -> None:
    number = UUID("12345678-1234-5678-1234-567812345678")
    as_uuid, as_text = ignite.rendezvous([number, "b"]), ignite.rendezvous([str(number), "b"])
    assert as_uuid.nodes == as_text.nodes
    assert as_uuid != as_text
    assert [as_uuid.assignment(i) for i in range(50)] != [as_text.assignment(i) for i in range(50)]
    assert as_uuid.with_node("c").without_node("c") == as_uuid


def test_two_nodes_of_one_hash_code_need_node_ids() -> None:
    with pytest.raises(InvalidValue, match="the hash code of 'Aa' is that of another node too"):
        ignite.rendezvous(["Aa", "BB"])
    low, high = UUID(int=1), UUID(int=2)
    assert ignite.rendezvous({"Aa": high, "BB": low}).assignment(0, 1) == ("BB", "Aa")
    negative = UUID(int=1 << 127)  # Java compares the halves with their signs
    assert ignite.rendezvous({"Aa": low, "BB": negative}).assignment(0, 1) == ("BB", "Aa")


@pytest.mark.parametrize(
    ("nodes", "partitions", "error"),
    [
        ([], 4, InvalidValue),
        (["a", "a"], 4, InvalidValue),
        (["a"], 0, InvalidValue),
        (["a"], 65001, InvalidValue),
        (["a"], "4", InvalidType),
        ("a", 4, InvalidType),
        ([5], 4, InvalidType),
        ({"a": "id"}, 4, InvalidType),
    ],
)
def test_bad_rendezvous(nodes: Any, partitions: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        ignite.rendezvous(nodes, partitions)


def test_bad_keys_of_ignite() -> None:
    affinity = ignite.rendezvous(["a"])
    for key in (True, 1.5, b"key", None):
        with pytest.raises(InvalidType, match="key must be a str, an int or a UUID"):
            affinity.partition(key)  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="at most"):
        affinity.partition(2**63)
    with pytest.raises(InvalidValue, match="surrogates"):
        affinity.partition("\ud800")
    with pytest.raises(InvalidValue, match="partition must be at most 1023"):
        affinity.assignment(1024)


def test_hdfs_as_recorded(vectors: Vectors) -> None:
    recorded = vectors("hadoop_rbf_consistent_hash_ring")
    ring = hdfs.ring(recorded["locations"])
    assert [ring[key] for key, _ in recorded["lookups"]] == [location for _, location in recorded["lookups"]]


def test_hdfs_writes_text_as_hadoop_does() -> None:
    ring = hdfs.ring(["a", "b"])
    hash_of = ring._system.key_hash
    assert hash_of("€") == hash_of("€".encode())
    assert hash_of("😀") == hash_of(b"\xed\xa0\xbd\xed\xb8\x80") != hash_of("😀".encode())


def test_a_location_of_hdfs_may_have_slashes_and_other_numbers_of_nodes() -> None:
    ring = hdfs.ring({"ns/one": 10, "ns/two": 100})
    assert ring["/path"] in ring
    assert len(ring.points) == 110
    with pytest.raises(InvalidValue, match="at least 1"):
        hdfs.ring({"a": 0})
