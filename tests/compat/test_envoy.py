"""Envoy's rings and tables: the values of its own tests, and its bounded loads as its own code chooses."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.compat import envoy
from ringfence.compat._envoy_bounded import choose
from ringfence.errors import InvalidType, InvalidValue, UnknownNode
from ringfence.placement import Node

Vectors = Callable[[str], Any]


def test_the_rings_of_its_tests(vectors: Vectors) -> None:
    for case in vectors("envoy_ring_hash")["cases"]:
        sizes = {key: case[key] for key in ("minimum_ring_size", "maximum_ring_size") if key in case}
        hosts = dict(zip(case["hosts"], case["weights"], strict=True))
        ring = envoy.ring_hash(hosts, **sizes, hash="murmur2" if "hash" in case else "xxhash")
        if "ring" in case:
            assert ring.points == [(int(point), host) for point, host in case["ring"]], case["name"]
        if "hashes_per_host" in case:
            points = Counter(host for _, host in ring.points)
            assert [points[host] for host in hosts] == case["hashes_per_host"]
            step = (2**64 - 1) // sum(case["expected_counts"])
            counts = Counter(ring.at(i * step) for i in range(sum(case["expected_counts"])))
            assert [counts[host] for host in hosts] == case["expected_counts"]
        for place, host in case.get("lookups", []):
            assert ring.at(int(place)) == ring.pick(int(place)) == host
        for place, attempt, host in case.get("retry_lookups", []):
            assert ring.pick(int(place), attempt) == host


def test_a_key_stands_where_its_xxh64_does() -> None:
    for points in ("xxhash", "murmur2"):
        ring = envoy.ring_hash([f"10.0.0.{i}:80" for i in range(5)], hash=points)
        for key in ("", "user:42", "ключ"):
            assert ring[key] == ring.pick(xxhash.xxh64_intdigest(key.encode())) == ring[key.encode()]


def test_the_tables_of_its_tests(vectors: Vectors) -> None:
    for case in vectors("envoy_maglev")["cases"]:
        weights = case.get("weights") or [round(10 * share) for share in case["normalized_weights"]]
        maglev = envoy.maglev(dict(zip(case["hosts"], weights, strict=True)), case["table_size"])
        assert maglev.table.tolist() == case["table"], case["name"]
        for place, attempt, host in case.get("retry", []):
            assert maglev.pick(place, attempt) == host


def slow_table(hosts: dict[str, int], size: int) -> list[str]:
    """Fill the table as `OriginalMaglevTable` does: round by round, host by host."""
    entries = sorted(hosts)
    total = sum(hosts.values())
    shares = [hosts[host] * 1.0 / total for host in entries]
    targets, following = [0.0] * len(entries), [0] * len(entries)
    table: list[str | None] = [None] * size
    number = 1
    while None in table:
        for i, host in enumerate(entries):
            if None not in table or number * shares[i] < targets[i]:
                continue
            targets[i] += max(shares)
            while table[slot := slot_of(host, following[i], size)] is not None:
                following[i] += 1
            table[slot] = host
            following[i] += 1
        number += 1
    return [str(host) for host in table]


def slot_of(host: str, number: int, size: int) -> int:
    offset = xxhash.xxh64_intdigest(host.encode()) % size
    skip = xxhash.xxh64_intdigest(host.encode(), 1) % (size - 1) + 1
    return (offset + skip * number) % size


@settings(max_examples=40)
@given(
    st.dictionaries(
        st.from_regex("[a-z]{1,6}", fullmatch=True),
        st.sampled_from([1, 2, 3, 50, 1000]),
        min_size=1,
        max_size=7,
    ),
    st.sampled_from([2, 3, 7, 17, 101]),
)
def test_a_table_is_that_of_round_after_round(hosts: dict[str, int], size: int) -> None:
    maglev = envoy.maglev(hosts, size)
    assert [maglev.nodes[i] for i in maglev.table] == slow_table(hosts, size)


def test_the_maglev_is_a_placement() -> None:
    maglev = envoy.maglev({"a:1": 1, "b:1": 2, "c:1": 1}, 251)
    keys = [f"key{i}" for i in range(300)]
    assert [maglev.nodes[i] for i in maglev.lookup_many(keys)] == [maglev[key] for key in keys]
    assert maglev.lookup("key1") == maglev.replicas("key1", 1)[0]
    rows = maglev.replicas_many(keys, 2)
    assert [tuple(maglev.nodes[i] for i in row) for row in rows] == [maglev.replicas(key, 2) for key in keys]
    assert maglev.replicas_many([], 2).shape == (0, 2)
    assert len(set(maglev.replicas("key1", 9))) == 3
    more = maglev.with_node(Node("d:1", 2.0))
    assert more == envoy.maglev({"a:1": 1, "b:1": 2, "c:1": 1, "d:1": 2}, 251)
    assert more.epoch == 1
    assert more.without_node("d:1") == maglev != more
    diff = maglev.diff(more)
    assert diff.affected(keys).tolist() == [maglev[key] != more[key] for key in keys]
    assert 0.3 < diff.fraction < 0.5
    with pytest.raises(InvalidValue, match="cannot be compared"):
        maglev.diff(envoy.maglev(["a:1"], 7))
    with pytest.raises(InvalidType):
        maglev[5]  # type: ignore[index]
    with pytest.raises(InvalidType):
        maglev.lookup_many([5])
    with pytest.raises(UnknownNode):
        maglev.without_node("x:1")


def test_the_order_of_hosts_does_not_count_in_a_table() -> None:
    one, other = envoy.maglev({"a": 1, "b": 2, "c": 3}), envoy.maglev({"c": 3, "a": 1, "b": 2})
    assert [one.nodes[i] for i in one.table] == [other.nodes[i] for i in other.table]


def test_bounded_loads_choose_as_its_code_does(vectors: Vectors) -> None:
    for case in vectors("envoy_bounded_load")["cases"]:
        hosts = [f"h{i}" for i in range(len(case["weights"]))]
        weights, loads = (dict(zip(hosts, case[what], strict=True)) for what in ("weights", "loads"))
        host, factor = hosts[case["host"]], case["hash_balance_factor"]
        assert choose(int(case["hash"]), host, weights, loads, factor) == f"h{case['chosen']}"


def test_bounded_loads_of_both_policies() -> None:
    hosts = [f"10.0.0.{i}:80" for i in range(4)]
    for balancer in (envoy.ring_hash(hosts), envoy.maglev(hosts)):
        own = balancer.pick(42)
        assert balancer.pick_bounded(42, {}, 150) == own
        other = balancer.pick_bounded(42, {own: 100}, 150)
        assert other != own
        assert balancer.pick_bounded(42, {host: 100 if host == own else 99 for host in hosts}, 100) in hosts
        with pytest.raises(UnknownNode):
            balancer.pick_bounded(42, {"x": 1}, 150)
        with pytest.raises(InvalidValue, match="hash_balance_factor must be at least 100"):
            balancer.pick_bounded(42, {}, 99)
        with pytest.raises(InvalidType, match="mapping of hosts"):
            balancer.pick_bounded(42, [own], 150)  # type: ignore[arg-type]
        with pytest.raises(InvalidValue, match="attempt"):
            balancer.pick(42, -1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"hosts": []}, "at least one host"),
        ({"hosts": {"a": 0}}, "at least 1, not 0"),
        ({"hosts": {"a": 2**31, "b": 2**31}}, "less than 2\\*\\*32"),
        ({"minimum_ring_size": 0}, "at least 1, not 0"),
        ({"minimum_ring_size": 9, "maximum_ring_size": 8}, "9 is above 8"),
        ({"maximum_ring_size": 8388609}, "at most 8388608"),
        ({"hash": "xxh64"}, "one of 'xxhash', 'murmur2', not 'xxh64'"),
    ],
)
def test_bad_rings(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        envoy.ring_hash(**{"hosts": ["a"], **arguments})


@pytest.mark.parametrize("size", [1, 4, 65536, 5000013])
def test_bad_table_sizes(size: int) -> None:
    with pytest.raises(InvalidValue, match="table_size"):
        envoy.maglev(["a"], size)
