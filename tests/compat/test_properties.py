"""What every placement of another system keeps: agreement with a slow twin, and what its algorithm promises.

docs/testing.md has the table of which property is held where.
"""

import copy
import json
import pickle
import random
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ringfence.compat import (
    envoy,
    fastring,
    guava,
    haproxy,
    hashring,
    hdfs,
    ignite,
    kafka,
    memcached,
    tooz,
    uhashring,
)
from ringfence.compat.cassandra import TokenRing
from ringfence.errors import InvalidType, InvalidValue
from ringfence.placement import Node
from tests.compat.slow_rings import TWINS, haproxy_owner
from tests.compat.test_ring import KEEPING, RINGS, keys, names, pools

KEYS = [f"key {i}" for i in range(400)]
OTHERS: dict[str, Any] = {
    "envoy maglev": lambda servers: envoy.maglev(servers, 1009),
    "ignite": lambda servers: ignite.rendezvous(list(servers), 256),
}
EVERY = RINGS | OTHERS
BY_SHARE = [
    "libketama",
    "libmemcached-weighted",
    "libmemcached-spy",
    "twemproxy",
    "uhashring ketama",
    "hashring",
]
EQUAL_ARE_KEPT = [*KEEPING, *BY_SHARE, "libmemcached", "spymemcached", "ignite"]
"""Nodes of equal weight have the same points in a pool of any size up to 7."""

slowly = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
equal_pools = st.lists(names, min_size=2, max_size=6, unique=True).map(lambda pool: dict.fromkeys(pool, 1))


def owners(placement: Any, batch: list[str] = KEYS) -> Any:
    return np.array(placement.nodes)[placement.lookup_many(batch)]


# --- agreement ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TWINS)
@slowly
@given(pool=pools, keys=keys)
def test_owners_and_replicas_are_those_of_the_slow_twin(
    name: str, pool: dict[str, int], keys: list[str]
) -> None:
    ring = RINGS[name](pool)
    for key in keys:
        walk = TWINS[name].walk(pool, key)
        assert ring[key] == walk[0]
        assert ring.replicas(key, len(pool)) == tuple(walk)


@slowly
@given(pool=pools, keys=keys)
def test_haproxy_owners_are_those_of_the_nearest_points(pool: dict[str, int], keys: list[str]) -> None:
    ring = haproxy.ring(pool)
    assert [ring[key] for key in keys] == [haproxy_owner(pool, key) for key in keys]


def test_every_ring_has_a_slow_twin() -> None:
    assert TWINS.keys() | {"haproxy"} == RINGS.keys()


def slow_mix(key: int) -> int:
    """Thomas Wang's hash of 64 bits, as Ignite 2 has it."""
    key = ~key + (key << 21) & 2**64 - 1
    key ^= key >> 24
    key = key + (key << 3) + (key << 8) & 2**64 - 1
    key ^= key >> 14
    key = key + (key << 2) + (key << 4) & 2**64 - 1
    key ^= key >> 28
    return key + (key << 31) & 2**64 - 1


def java_hash(text: str) -> int:
    h = 0
    units = text.encode("utf-16-le")
    for i in range(0, len(units), 2):
        h = h * 31 + int.from_bytes(units[i : i + 2], "little") & 2**32 - 1
    return h


@slowly
@given(
    nodes=st.lists(st.text("abcxyz", min_size=1, max_size=6), min_size=1, max_size=7, unique_by=java_hash),
    keys=keys,
)
def test_ignite_orders_nodes_by_their_mixes(nodes: list[str], keys: list[str]) -> None:
    affinity = ignite.rendezvous(nodes, 64)
    for key in keys:
        h = java_hash(key)
        partition = (h ^ h >> 16) & 63

        def rank(node: str, partition: int = partition) -> int:
            mixed = slow_mix(partition << 32 | java_hash(node))
            return mixed - (mixed >> 63 << 64)

        assert affinity.partition(key) == partition
        assert affinity.replicas(key, len(nodes)) == tuple(sorted(nodes, key=rank))


@given(st.integers(0, 2**64 - 1), st.integers(1, 5000))
def test_guava_jumps_as_its_generator_does(state: int, buckets: int) -> None:
    def jumps() -> Any:
        seed = state
        while True:
            seed = seed * 2862933555777941757 + 1 & 2**64 - 1
            yield ((seed >> 33) + 1) / 2.0**31

    candidate = 0
    for number in jumps():
        following = int((candidate + 1) / number)
        if not 0 <= following < buckets:
            break
        candidate = following
    assert guava.consistent_hash(state, buckets) == candidate


def fnv1a(data: bytes) -> int:
    h = 0x811C9DC5
    for byte in data:
        h = (h ^ byte) * 0x01000193 & 2**32 - 1
    return h


@given(st.binary(min_size=1, max_size=40), st.integers(1, 2**31 - 1))
def test_librdkafka_fnv1a(key: bytes, partitions: int) -> None:
    signed = fnv1a(key) - (fnv1a(key) >> 31 << 32)
    assert kafka.partition(key, partitions, "fnv1a") == abs(signed) % partitions


# --- what changes keep ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [name for name in EVERY if name not in ("haproxy", "envoy", "envoy murmur2")]
)
@slowly
@given(pool=pools, seed=st.integers(0, 99))
def test_the_order_of_nodes_does_not_count(name: str, pool: dict[str, int], seed: int) -> None:
    mixed = list(pool.items())
    random.Random(seed).shuffle(mixed)
    one, other = EVERY[name](pool), EVERY[name](dict(mixed))
    if name in RINGS:  # of equal points the order decides
        assume(len({point for point, _ in one.points}) == len(one.points))
    assert (owners(one) == owners(other)).all()
    assert [one.replicas(key, 3) for key in KEYS[:20]] == [other.replicas(key, 3) for key in KEYS[:20]]


@pytest.mark.parametrize("name", EQUAL_ARE_KEPT)
@slowly
@given(pool=equal_pools)
def test_a_key_moves_only_to_the_node_that_came_or_from_the_one_that_left(
    name: str, pool: dict[str, int]
) -> None:
    small = EVERY[name](pool)
    big = small.with_node("10.9.9.9:80")
    before, after, again = owners(small), owners(big), owners(big.without_node("10.9.9.9:80"))
    assert (after[before != after] == "10.9.9.9:80").all()
    assert (again == before).all()


def test_envoy_moves_little_between_hosts_that_stay() -> None:
    pool = dict.fromkeys((f"10.0.0.{i}:80" for i in range(10)), 1)
    for make in (
        lambda servers: envoy.ring_hash(servers, 2000),
        lambda servers: envoy.maglev(servers, 10007),
    ):
        small: Any = make(pool)
        before, after = owners(small), owners(small.with_node("10.9.9.9:80"))
        elsewhere = (before != after) & (after != "10.9.9.9:80")
        assert elsewhere.mean() < 0.15


@pytest.mark.parametrize("name", EVERY)
@slowly
@given(pool=pools, key=st.text(max_size=9), n=st.integers(1, 8))
def test_replicas_are_distinct_and_start_with_the_owner(
    name: str, pool: dict[str, int], key: str, n: int
) -> None:
    placement = EVERY[name](pool)
    assume(not any("\ud800" <= c <= "\udfff" for c in key))
    found = placement.replicas(key, n)
    assert found[0] == placement[key]
    assert set(found) <= set(placement.nodes)
    assert len(found) == len(set(found)) == min(n, len(pool))


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=6, max_size=30, unique=True),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(1, 9),
)
def test_cassandra_neither_repeats_a_node_nor_minds_their_order(
    tokens: list[int], token: int, n: int
) -> None:
    by_node = {f"n{i}": tokens[i::6] for i in range(6)}
    places = {name: (f"dc{i % 2}", f"r{i % 3}") for i, name in enumerate(by_node)}
    ring = TokenRing(by_node, places)
    other = TokenRing(dict(reversed(by_node.items())), dict(reversed(places.items())))
    for replication in (n, {"dc0": n, "dc1": 2}):
        found = ring.replicas(token, replication)
        assert len(found) == len(set(found))
        assert found == other.replicas(token, replication)
    assert ring.replicas(token, n)[0] == ring[token]
    assert pickle.loads(pickle.dumps(ring)).replicas(token, n) == ring.replicas(token, n)


# --- balance --------------------------------------------------------------------------------------------------

WEIGHT_OF_ONE = {"hdfs": 100}
"""How many points a node has there where a weight of 1 is one point."""


@pytest.mark.parametrize("name", EVERY)
def test_the_load_follows_the_weights(name: str) -> None:
    one = WEIGHT_OF_ONE.get(name, 1)
    heavy = 1 if name == "ignite" else 3  # which knows no weights
    pool = {f"10.0.{i}.1:80": one * (heavy if i == 0 else 1) for i in range(8)}
    many = [f"user {i}" for i in range(20_000)]
    load = np.bincount(EVERY[name](pool).lookup_many(many), minlength=8) / len(many) * (7 + heavy)
    assert 0.55 * heavy < load[0] < 1.5 * heavy
    assert load[1:].min() > 0.3
    assert load[1:].max() < 2


# --- round trips ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
@slowly
@given(pool=pools, keys=keys)
def test_pickled_copied_or_written_as_json_it_is_the_same(
    name: str, pool: dict[str, int], keys: list[str]
) -> None:
    placement = EVERY[name](pool)
    written = json.dumps({node: int(placement.node(node).weight) for node in placement.nodes})
    again = [
        pickle.loads(pickle.dumps(placement, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    ]
    for other in (*again, copy.copy(placement), copy.deepcopy(placement), EVERY[name](json.loads(written))):
        assert other == placement
        assert hash(other) == hash(placement)
        assert other.nodes == placement.nodes
        assert other.lookup_many(keys).tolist() == placement.lookup_many(keys).tolist()
        assert [other.replicas(key, 3) for key in keys] == [placement.replicas(key, 3) for key in keys]


def test_a_changed_hdfs_ring_survives_too() -> None:
    ring = hdfs.ring(["a", "b"]).with_node(Node("c", 100.0))
    assert pickle.loads(pickle.dumps(ring)) == ring == hdfs.ring(["a", "b", "c"])


# --- bad sets of nodes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_sets_of_nodes_that_cannot_be(name: str) -> None:
    with pytest.raises(InvalidValue, match="at least one"):
        EVERY[name]({})
    for wrong in ("10.0.0.1\ud800:80", ""):
        with pytest.raises(InvalidValue):
            EVERY[name]({wrong: 1, "10.0.0.2:80": 1})
    with pytest.raises(InvalidType):
        EVERY[name]({5: 1})
    alone = EVERY[name]({"10.0.0.1:80": 1})
    assert set(owners(alone)) == {"10.0.0.1:80"}
    assert alone.replicas("key", 3) == ("10.0.0.1:80",)


@pytest.mark.parametrize(
    "make",
    [
        memcached.ring,
        *(partial(memcached.ring, client=client) for client in ("libmemcached", "spymemcached", "twemproxy")),
        *(envoy.ring_hash, envoy.maglev, haproxy.ring, hdfs.ring, ignite.rendezvous),
        *(uhashring.ring, hashring.ring, fastring.ring, tooz.ring),
    ],
)
def test_a_node_named_twice_is_refused(make: Any) -> None:
    with pytest.raises(InvalidValue, match="twice"):
        make(["10.0.0.1:80", "10.0.0.2:80", "10.0.0.1:80"])
