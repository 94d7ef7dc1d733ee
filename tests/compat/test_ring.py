"""What every ring does, whichever system it follows: held against a look at every point."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.compat import envoy, fastring, haproxy, hashring, hdfs, memcached, tooz, uhashring
from ringfence.compat._ring import Ring, Rule, in_order, last_wins
from ringfence.errors import InvalidType, InvalidValue, UnknownNode
from ringfence.placement import BoundedLoad, Diff, Node, Placement

Make = Callable[[dict[str, int]], Ring]

RINGS: dict[str, Make] = {
    "libketama": lambda servers: memcached.ring(servers, client="libketama"),
    "libmemcached": lambda servers: memcached.ring(servers, client="libmemcached"),
    "libmemcached-weighted": lambda servers: memcached.ring(servers, client="libmemcached-weighted"),
    "libmemcached-spy": lambda servers: memcached.ring(servers, client="libmemcached-spy"),
    "spymemcached": lambda servers: memcached.ring(servers, client="spymemcached"),
    "twemproxy": lambda servers: memcached.ring(servers, client="twemproxy", hash_tag="{}"),
    "envoy": lambda servers: envoy.ring_hash(servers, minimum_ring_size=200),
    "envoy murmur2": lambda servers: envoy.ring_hash(servers, minimum_ring_size=100, hash="murmur2"),
    "haproxy": lambda servers: haproxy.ring(servers),
    "hdfs": lambda servers: hdfs.ring(servers),
    "uhashring": lambda servers: uhashring.ring(servers, vnodes=40),
    "uhashring ketama": lambda servers: uhashring.ring(servers, mode="ketama"),
    "hashring": lambda servers: hashring.ring(servers),
    "fastring": lambda servers: fastring.ring(servers, virtual_nodes=20),
    "tooz": lambda servers: tooz.ring(servers),
}
KEEPING = ["haproxy", "hdfs", "uhashring", "fastring", "tooz"]  # points of a node do not depend on the others

names = st.builds("10.0.{}.{}:{}".format, st.integers(0, 3), st.integers(0, 9), st.sampled_from([80, 11211]))
pools = st.dictionaries(names, st.sampled_from([1, 1, 1, 2, 5]), min_size=1, max_size=6)
keys = st.lists(st.text(st.characters(codec="utf-8"), max_size=12), min_size=1, max_size=10)
every_ring = pytest.mark.parametrize("make", RINGS.values(), ids=RINGS)


def obvious(ring: Ring, key: str) -> list[str]:
    """Return the owners of all points from that of the key on, by looking at every one."""
    place, points = ring._system.key_hash(key), ring.points
    if ring._system.after:
        later = [owner for point, owner in points if point > place]
    else:
        later = [owner for point, owner in points if point >= place]
    return later + [owner for _, owner in points[: len(points) - len(later)]]


@every_ring
@settings(max_examples=10)
@given(pool=pools, keys=keys)
def test_look_ups_are_those_of_a_look_at_every_point(
    make: Make, pool: dict[str, int], keys: list[str]
) -> None:
    ring = make(pool)
    assert sorted(point for point, _ in ring.points) == [point for point, _ in ring.points]
    walks = [obvious(ring, key) for key in keys]
    assert [ring[key] for key in keys] == [walk[0] for walk in walks]
    assert [ring.lookup(key) for key in keys] == [walk[0] for walk in walks]
    assert [ring.nodes[i] for i in ring.lookup_many(keys)] == [walk[0] for walk in walks]
    assert [ring.replicas(key, 3) for key in keys] == [tuple(dict.fromkeys(walk))[:3] for walk in walks]
    rows = ring.replicas_many(keys, 3)
    assert [tuple(ring.nodes[i] for i in row) for row in rows] == [ring.replicas(key, 3) for key in keys]


@every_ring
def test_points_at_the_ends_of_the_circle(make: Make) -> None:
    ring = make({"10.0.0.1:80": 1, "10.0.0.2:80": 2})
    (first, at_first), (last, at_last) = ring.points[0], ring.points[-1]
    after, top = ring._system.after, (1 << ring._system.bits) - 1
    assert ring.at(0) == at_first
    assert ring.at(last) == (at_first if after else at_last)
    assert ring.at(top) == (at_last if last == top and not after else at_first)
    assert ring.at(first) == (ring.points[1][1] if after else at_first)
    for bad in (-1, top + 1):
        with pytest.raises(InvalidValue, match="the hash must be at"):
            ring.at(bad)


@every_ring
def test_a_change_is_a_new_ring(make: Make) -> None:
    ring = make({"10.0.0.1:80": 1, "10.0.0.2:80": 1})
    more = ring.with_node(Node("10.0.0.3:80", 2.0))
    assert more == make({"10.0.0.1:80": 1, "10.0.0.2:80": 1, "10.0.0.3:80": 2})
    assert (ring.epoch, more.epoch, more.without_node("10.0.0.3:80").epoch) == (0, 1, 2)
    assert more.without_node("10.0.0.3:80") == ring != more
    assert ring.with_node("10.0.0.4:80").nodes == ("10.0.0.1:80", "10.0.0.2:80", "10.0.0.4:80")
    assert more.node("10.0.0.3:80") == Node("10.0.0.3:80", 2.0)
    assert "10.0.0.3:80" in more
    assert "10.0.0.3:80" not in ring
    assert (len(more), list(ring)) == (3, ["10.0.0.1:80", "10.0.0.2:80"])
    with pytest.raises(InvalidValue, match="already"):
        ring.with_node("10.0.0.1:80")
    with pytest.raises(UnknownNode):
        ring.without_node("10.0.0.9:80")
    with pytest.raises(UnknownNode):
        ring.node("10.0.0.9:80")
    with pytest.raises(InvalidValue, match="at least one"):
        ring.without_node("10.0.0.1:80").without_node("10.0.0.2:80")


@every_ring
def test_it_is_a_placement_like_others(make: Make) -> None:
    ring = make({f"10.0.0.{i}:80": 1 for i in range(4)})
    placement: Placement = ring
    assert isinstance(placement, Placement)
    assert isinstance(ring.diff(ring.with_node("10.0.0.9:80")), Diff)
    bounded = BoundedLoad(ring, balance=1.01)
    taken = tuple(bounded.acquire("one key") for _ in range(3))
    assert taken == ring.replicas("one key", 3)


@every_ring
def test_pickled_it_is_the_same(make: Make) -> None:
    ring = make({"10.0.0.1:80": 1, "10.0.0.2:80": 3})
    again = pickle.loads(pickle.dumps(ring))
    assert again == ring
    assert hash(again) == hash(ring)
    assert [again[str(i)] for i in range(20)] == [ring[str(i)] for i in range(20)]


@every_ring
def test_a_diff_tells_which_keys_move(make: Make) -> None:
    old = make({f"10.0.0.{i}:80": 1 for i in range(6)})
    new = old.with_node("10.0.0.7:80").without_node("10.0.0.2:80")
    batch = [f"key {i}" for i in range(3000)]
    moved = [old[key] != new[key] for key in batch]
    diff = old.diff(new)
    assert diff.affected(batch).tolist() == moved
    assert [diff.moves_key(key) for key in batch[:20]] == moved[:20]
    assert abs(diff.fraction - sum(moved) / len(batch)) < 0.04
    assert old.diff(old).fraction == 0.0
    with pytest.raises(InvalidType):
        old.diff({})  # type: ignore[arg-type]


def test_rings_of_other_systems_are_not_compared() -> None:
    with pytest.raises(InvalidValue, match="tooz and uhashring default hash keys differently"):
        tooz.ring(["a"]).diff(uhashring.ring(["a"]))


@pytest.mark.parametrize("name", KEEPING)
@settings(max_examples=10)
@given(pool=pools, keys=keys, number=st.integers(0, 5))
def test_a_key_moves_only_from_the_node_that_left(
    name: str, pool: dict[str, int], keys: list[str], number: int
) -> None:
    ring = RINGS[name]({**pool, "10.9.9.9:80": 1})
    gone = ring.nodes[number % len(ring)]
    rest = ring.without_node(gone)
    for key in keys:
        if ring[key] != gone:
            assert rest[key] == ring[key]
        elif name != "haproxy":  # where the nearest is next, it may lie before
            assert rest[key] == ring.replicas(key, 2)[1]


@every_ring
def test_arrays_of_text_are_batches_too(make: Make) -> None:
    ring = make({f"10.0.0.{i}:80": 1 for i in range(5)})
    keys = [f"key{i}" for i in range(30)]
    expected = ring.lookup_many(keys)
    assert expected.dtype == np.uint32
    assert (ring.lookup_many(np.array(keys)) == expected).all()
    assert (ring.lookup_many(key for key in keys) == expected).all()
    assert ring.lookup_many([]).shape == (0,)
    assert ring.replicas_many([], 3).shape == (0, 3)
    assert ring.replicas_many(keys, 9).shape == (30, 5)


@pytest.mark.parametrize("name", [name for name in RINGS if name not in ("uhashring", "uhashring ketama")])
@pytest.mark.parametrize("key", [5, None, 1.5, ["a"], bytearray(b"a")])
def test_a_key_of_another_type_is_refused(name: str, key: Any) -> None:
    ring = RINGS[name]({"10.0.0.1:80": 1, "10.0.0.2:80": 1})
    for ask in (
        ring.__getitem__,
        ring.lookup,
        lambda key: ring.lookup_many([key]),
        lambda key: ring.replicas(key, 1),
    ):
        with pytest.raises(InvalidType, match="key must be a str"):
            ask(key)


@every_ring
def test_a_key_without_utf8_is_refused(make: Make) -> None:
    ring = make({"10.0.0.1:80": 1, "10.0.0.2:80": 1})
    with pytest.raises(InvalidValue, match="surrogates"):
        ring["\ud800"]
    with pytest.raises(InvalidValue, match="surrogates"):
        ring.lookup_many(["a", "\ud800"])


@every_ring
def test_bad_arguments_of_look_ups(make: Make) -> None:
    ring = make({"10.0.0.1:80": 1, "10.0.0.2:80": 1})
    with pytest.raises(InvalidType, match="not a single str"):
        ring.lookup_many("key")
    with pytest.raises(InvalidType, match="n must be an int"):
        ring.replicas("key", "2")  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="n must be at least 1, not 0"):
        ring.replicas("key", 0)
    with pytest.raises(TypeError):
        reversed(ring)


def test_of_equal_points_the_first_or_the_last_counts() -> None:
    pairs = [(7, 1), (5, 0), (5, 2), (7, 0)]
    assert in_order(pairs) == [(5, 0), (5, 2), (7, 1), (7, 0)]
    assert last_wins(pairs) == [(5, 2), (7, 0)]
    rule = Rule("test", lambda key: int(key), bits=8)
    ring = Ring({"a": 1, "b": 1, "c": 1}, in_order(pairs), rule, lambda _: ring)
    assert (ring["5"], ring["6"], ring["8"]) == ("a", "b", "a")
    assert ring.lookup_many(["5", "6", "8"]).tolist() == [0, 1, 0]
    assert ring.replicas("5", 3) == ("a", "c", "b")
    after = Ring({"a": 1, "b": 1, "c": 1}, last_wins(pairs), rule._replace(after=True), lambda _: after)
    assert (after["4"], after["5"], after["7"]) == ("c", "a", "c")
    assert after.lookup_many(["4", "5", "7", "255"]).tolist() == [2, 0, 2, 2]


@pytest.mark.parametrize(
    "make",
    [
        lambda: hdfs.ring({"a": 10**18}),
        lambda: uhashring.ring(["a"], vnodes=10**18),
        lambda: uhashring.ring({"a": 10**18, "b": 1}),
        lambda: uhashring.ring(["a", "b"], "ketama", vnodes=10**18),
        lambda: fastring.ring(["a"], 10**18),
        lambda: fastring.ring({"a": (1 << 24) // 128 + 1}),
        lambda: tooz.ring(["a"], 10**18),
        lambda: tooz.ring({"a": 10**18}),
    ],
)
def test_a_ring_that_would_fill_the_memory_is_refused_at_once(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidValue, match="points is too large"):
        make()


def test_the_least_and_the_greatest_ring() -> None:
    ring = tooz.ring(["only"])
    assert ring["any key"] == "only"
    assert ring.replicas("any key", 3) == ("only",)
    assert repr(ring) == "<tooz ring of 1 nodes ['only'], 32 points>"
    many = tooz.ring([f"n{i}" for i in range(300)], partitions=4)
    assert sorted(many.replicas("key", 300)) == sorted(many.nodes)


@pytest.mark.parametrize("name", ["uppers", "owners"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # newer NumPy advises against setting a dtype
def test_nobody_changes_a_ring_by_the_arrays_it_gives_out(name: str) -> None:
    ring = RINGS["libketama"]({"10.0.0.1:11211": 1, "10.0.0.2:11211": 1})
    before = ring.lookup_many(["x", "y", "z"]).tolist()
    given = getattr(ring, name)
    with pytest.raises(ValueError, match="read-only"):
        given[0] = 0
    given.dtype = np.uint8
    assert ring.lookup_many(["x", "y", "z"]).tolist() == before
