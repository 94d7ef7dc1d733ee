"""Cassandra's tokens and replicas: recorded, and against the rules written out slowly."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence._core import _kernel_murmur
from ringfence.compat.cassandra import TokenRing, composite_key, token
from ringfence.errors import InvalidType, InvalidValue, UnknownNode

Vectors = Callable[[str], Any]
SMALL = {"a": [0], "b": [10, 20], "c": [30], "d": [40]}
RACKS = {"a": ("dc", "r1"), "b": ("dc", "r1"), "c": ("dc", "r2"), "d": ("dc", "r2")}


def by_node(pairs: list[Any]) -> dict[str, list[int]]:
    tokens: dict[str, list[int]] = {}
    for number, node in pairs:
        tokens.setdefault(str(node), []).append(number)
    return tokens


def test_murmur3_tokens(vectors: Vectors) -> None:
    recorded = vectors("cassandra_murmur3")
    rows = [(key, number) for key, number in recorded["token_hex"]]
    rows += [(key, number) for key, number, _ in recorded["random_hex_token_standard"] if key]
    assert len(rows) == 28
    assert [token(bytes.fromhex(key)) for key, _ in rows] == [number for _, number in rows]


def test_random_tokens(vectors: Vectors) -> None:
    rows = vectors("cassandra_md5_random_partitioner")["cases"]
    assert [str(token(key.encode(), "random")) for key, _ in rows] == [number for _, number in rows]


def test_an_empty_key_has_the_least_token() -> None:
    assert token(b"") == -(2**63)
    assert token(b"", "random") == -1


def test_a_murmur3_token_is_never_the_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence._core._kernel_murmur.murmur3_java", lambda key, seed: 1 << 63)
    assert _kernel_murmur.murmur3_token(b"key", 0) == 2**64 - 1


def test_composite_keys() -> None:
    assert composite_key(b"one") == b"one"
    assert composite_key(b"ab", b"") == b"\0\2ab\0\0\0\0"
    with pytest.raises(InvalidValue, match="at least one"):
        composite_key()
    with pytest.raises(InvalidValue, match="65536"):
        composite_key(b"a" * 65536, b"")
    with pytest.raises(InvalidType):
        composite_key("a")  # type: ignore[arg-type]


def test_network_topology_as_recorded(vectors: Vectors) -> None:
    recorded = vectors("cassandra_network_topology")
    count = 0
    for case in recorded["cases"]:
        topology = {node: tuple(place) for node, place in case["locations"].items()}
        ring = TokenRing(by_node(case["tokens"]), topology)
        for (number, _), replicas in zip(case["tokens"], case["replicas"], strict=True):
            assert ring.replicas(number, case["rf"]) == tuple(map(str, replicas))
            count += 1
    assert count == 105
    example = recorded["example_difference"]
    topology = {node: tuple(place) for node, place in example["locations"].items()}
    ring = TokenRing(by_node(example["tokens"]), topology)
    assert ring.replicas(example["token"], example["rf"]) == tuple(map(str, example["server"]))


def test_no_node_stands_twice_where_the_python_driver_repeats_one() -> None:
    ring = TokenRing(SMALL, RACKS)
    assert ring.replicas(0, {"dc": 4}) == ("a", "b", "c", "d")


def slow_network_topology(
    walk: list[str], topology: dict[str, tuple[str, str]], wanted: dict[str, int]
) -> list[str]:
    """What `DatacenterEndpoints.addEndpoint` does, data centre by data centre; in the order of the walk."""
    accepted = set()
    for centre, number in wanted.items():
        mine = {node for node in topology if topology[node][0] == centre}
        rack_count = len({topology[node] for node in mine})
        left, repeats = min(number, len(mine)), number - rack_count
        racks: set[tuple[str, str]] = set()
        for node in dict.fromkeys(walk):
            if node not in mine or not left:
                continue
            if topology[node] in racks:
                if repeats <= 0:
                    continue
                repeats -= 1
            racks.add(topology[node])
            accepted.add(node)
            left -= 1
    return [node for node in dict.fromkeys(walk) if node in accepted]


@st.composite
def clusters(draw: st.DrawFn) -> tuple[list[tuple[int, str]], dict[str, tuple[str, str]]]:
    nodes = [f"n{i}" for i in range(draw(st.integers(1, 8)))]
    numbers = draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=len(nodes), max_size=24, unique=True))
    owners = nodes + [draw(st.sampled_from(nodes)) for _ in numbers[len(nodes) :]]
    places = st.tuples(st.sampled_from(["x", "y"]), st.sampled_from(["r1", "r2", "r3"]))
    return list(zip(numbers, owners, strict=True)), {node: draw(places) for node in nodes}


@given(clusters(), st.integers(0, 5), st.integers(0, 5), st.integers(-(2**63), 2**63 - 1))
def test_replicas_are_those_of_the_rules_written_out(
    cluster: tuple[list[tuple[int, str]], dict[str, tuple[str, str]]], x: int, y: int, number: int
) -> None:
    pairs, topology = cluster
    ring = TokenRing(by_node(pairs), topology)
    ordered = sorted(pairs)
    walk = [node for at, node in ordered if at >= number] + [node for at, node in ordered if at < number]
    assert ring[number] == ring.lookup(number) == walk[0]
    expected = slow_network_topology(walk, topology, {"x": x, "y": y})
    if list(dict.fromkeys(walk)) == walk:  # a node that was passed over may be taken when it comes again
        assert list(ring.replicas(number, {"x": x, "y": y})) == expected
    assert len(set(ring.replicas(number, {"x": x, "y": y}))) == len(expected)
    assert ring.replicas(number, x + 1) == tuple(dict.fromkeys(walk))[: x + 1]


def test_replication_as_a_keyspace_has_it() -> None:
    ring = TokenRing(SMALL, RACKS)
    simple = {"class": "org.apache.cassandra.locator.SimpleStrategy", "replication_factor": "2"}
    assert ring.replicas(15, simple) == ring.replicas(15, 2) == ("b", "c")
    topology = {"class": "NetworkTopologyStrategy", "dc": "2", "elsewhere": "3"}
    assert ring.replicas(15, topology) == ring.replicas(15, {"dc": 2}) == ("b", "c")
    with pytest.raises(InvalidValue, match="class must be SimpleStrategy or NetworkTopologyStrategy"):
        ring.replicas(15, {"class": "LocalStrategy"})
    with pytest.raises(InvalidType, match="replication_factor"):
        ring.replicas(15, {"class": "SimpleStrategy"})
    with pytest.raises(InvalidValue, match="needs the topology"):
        TokenRing(SMALL).replicas(15, {"dc": 1})


def test_a_replication_that_was_changed_is_read_anew() -> None:
    ring = TokenRing(SMALL, RACKS)
    wanted: dict[str, Any] = {"dc": 1, "elsewhere": 1}
    for change in ({"dc": 2}, {"dc": "2"}, {"dc": 3}, {"elsewhere": 2}, {"more": 1}, {"dc": 1}):
        before = ring.replicas(15, wanted)
        wanted.update(change)
        asked = ring.replicas(15, wanted)
        assert asked == TokenRing(SMALL, RACKS).replicas(15, dict(wanted))
        assert (asked == before) == ("dc" not in change or change["dc"] == "2")
        assert ring.replicas(15, dict(reversed(wanted.items()))) == asked
    del wanted["dc"]
    assert ring.replicas(15, wanted) == ()
    assert ring.replicas(15, {b"dc".decode(): 1}) == ring.replicas(15, 1)


def test_keys_and_batches() -> None:
    ring = TokenRing({"a": [-(2**62)], "b": [0], "c": [2**62]})
    keys = [f"key{i}".encode() for i in range(100)]
    assert [ring[key] for key in keys] == [ring[token(key)] for key in keys]
    assert [ring.nodes[i] for i in ring.lookup_many(keys)] == [ring[key] for key in keys]
    assert ring[2**63 - 1] == "a"
    assert (len(ring), list(ring)) == (3, ["a", "b", "c"])


def test_ranges_and_ownership() -> None:
    ring = TokenRing({"a": [-(2**63) + 1], "b": [-(2**61) + 1], "c": [2**62]})
    assert ring.ranges()[0] == (2**62, -(2**63) + 1, "a")
    assert ring.ranges()[1] == (-(2**63) + 1, -(2**61) + 1, "b")
    assert [start for start, _, _ in ring.ranges()[1:]] == [end for _, end, _ in ring.ranges()[:-1]]
    assert ring.ownership() == {"a": 0.25, "b": 0.375, "c": 0.375}
    assert TokenRing({"a": [7]}).ownership() == {"a": 1.0}
    assert ring.tokens == [(-(2**63) + 1, "a"), (-(2**61) + 1, "b"), (2**62, "c")]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (({},), InvalidValue, "must have a token"),
        (({"a": [1], "b": [1]},), InvalidValue, "'a' and 'b' have the same token 1"),
        (({"a": [2**63]},), InvalidValue, "at most"),
        (({"a": [-5]}, None, "random"), InvalidValue, "at least -1"),
        (({"a": ["1"]},), InvalidType, "a token of 'a' must be an int"),
        (([("a", 1)],), InvalidType, "mapping of nodes to their tokens"),
        (({"a": [1]}, {}), UnknownNode, "no node 'a'"),
        (({"a": [1]}, {"a": "dc"}), InvalidType, r"\(data centre, rack\)"),
        (({"a": [1]}, None, "bytes"), InvalidValue, "partitioner must be one of 'murmur3', 'random'"),
    ],
)
def test_bad_rings(arguments: tuple[Any, ...], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        TokenRing(*arguments)


def test_bad_keys() -> None:
    for bad in ("key", 1.5, None):
        with pytest.raises(InvalidType):
            TokenRing(SMALL)[bad]
    with pytest.raises(InvalidType, match="key must be bytes"):
        token("key")  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="at most"):
        TokenRing(SMALL)[2**63]
    with pytest.raises(InvalidValue, match="replication must be at least 1"):
        TokenRing(SMALL).replicas(1, 0)
