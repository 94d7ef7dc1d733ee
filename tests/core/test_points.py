"""The search structure, compiled and interpreted alike, against a search by definition."""

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.errors import EmptyRing, InvalidType, InvalidValue, RingfenceError

MOST = (1 << 64) - 1
fixed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

close = st.integers(0, 40)
anywhere = st.one_of(
    close, st.integers(MOST - 40, MOST), st.integers(0, MOST), close.map(lambda i: (1 << 63) + i)
)


def made(core: SimpleNamespace, pairs: list[tuple[int, int]], nodes: int = 5) -> Any:
    """Build `Points` from (point, owner) pairs."""
    pairs = sorted(pairs)
    points = np.array([point for point, _ in pairs] + [MOST] * core.points.PAD, np.uint64)
    owners = np.array([owner for _, owner in [*pairs, pairs[0]]], np.uint32)
    return core.points.Points(tuple(f"n{i}" for i in range(nodes)), points, owners)


def owner_by_definition(pairs: list[tuple[int, int]], h: int) -> int:
    return min(pairs, key=lambda pair: ((pair[0] - h) % (1 << 64), pair[0] < h, pair))[1]


def unmix(h: int) -> int:
    """Return the int key whose hash is `h`: the inverse of mix64."""
    for constant in (0xC4CEB9FE1A85EC53, 0xFF51AFD7ED558CCD):
        h = (h ^ h >> 33) * pow(constant, -1, 1 << 64) & MOST
    return h ^ h >> 33


pair_lists = st.lists(st.tuples(anywhere, st.integers(0, 4)), min_size=1, max_size=120)


@fixed
@given(pairs=pair_lists, hashes=st.lists(anywhere, max_size=60))
def test_the_owner_is_that_of_the_first_point_from_the_hash_on(
    core: SimpleNamespace, pairs: list[tuple[int, int]], hashes: list[int]
) -> None:
    ring = made(core, pairs)
    hashes = [*hashes, *(h for point, _ in pairs for h in (point, max(point, 1) - 1, min(point + 1, MOST)))]
    expected = [owner_by_definition(pairs, h) for h in hashes]
    found = ring.search(np.array(hashes, np.uint64))
    assert found.dtype == np.uint32
    assert found.tolist() == expected
    keys = [unmix(h) for h in hashes]
    assert [ring[key] for key in keys] == [ring.lookup(key) for key in keys] == [f"n{i}" for i in expected]
    assert ring.search(core.hashing.key_hash_many(keys)).tolist() == expected
    assert ring.search(core.hashing.key_hash_many(np.array(keys, np.uint64))).tolist() == expected


@fixed
@given(pairs=pair_lists, h=anywhere, n=st.integers(1, 7))
def test_replicas_are_the_distinct_owners_from_the_hash_on(
    core: SimpleNamespace, pairs: list[tuple[int, int]], h: int, n: int
) -> None:
    pairs = [*pairs, *((owner, owner) for owner in range(5))]  # every node has a point
    walk = sorted(sorted(pairs), key=lambda pair: ((pair[0] - h) % (1 << 64), pair))
    expected = list(dict.fromkeys(owner for _, owner in walk))[:n]
    assert made(core, pairs).replicas(unmix(h), n) == tuple(f"n{i}" for i in expected)


def test_many_replicas(core: SimpleNamespace) -> None:
    ring = made(core, [(i * 977 % 5000, i % 400) for i in range(4000)], nodes=400)
    everyone = ring.replicas("x", 400)
    assert len(set(everyone)) == 400
    for n in (1, 8, 9, 399):
        assert ring.replicas("x", n) == everyone[:n]
    assert ring.replicas("x", 1 << 80) == everyone
    assert ring.replicas("x", np.int32(3)) == everyone[:3]


def test_ten_thousand_points_in_one_bucket_are_searched_by_halves(core: SimpleNamespace) -> None:
    pairs = [((1 << 40) + 2 * i, i % 5) for i in range(10_000)]
    ring = made(core, pairs)
    for h in ((1 << 40) + j for j in range(0, 20_000, 7)):
        assert ring[unmix(h)] == f"n{(h - (1 << 40) + 1) // 2 % 10_000 % 5}"


@fixed
@given(counts=st.lists(st.integers(1, 60), min_size=1, max_size=12), seed=st.integers(0, 3))
def test_built_points_are_sorted_and_their_table_is_right(
    core: SimpleNamespace, counts: list[int], seed: int
) -> None:
    names = [f"n{i:02}" for i in range(len(counts))]
    points, owners = core.points.build(names, counts, seed)
    total = sum(counts)
    pairs = list(zip(points[:total].tolist(), owners[:total].tolist(), strict=True))
    expected = sorted(
        (splitmix64(core.hashing.murmur3_64(name, seed), i), owner)
        for owner, (name, count) in enumerate(zip(names, counts, strict=True))
        for i in range(count)
    )
    assert pairs == expected
    assert points[total:].tolist() == [MOST] * core.points.PAD
    assert owners[total] == owners[0]
    table = core.points.prefix_table(points)
    shift = core.points.prefix_shift(len(table) - 1)
    assert [
        *itertools.accumulate(np.bincount(points[:total] >> np.uint64(shift), minlength=len(table) - 1))
    ] == (table[1:].tolist())


def splitmix64(state: int, number: int) -> int:
    x = state + (number + 1) * 0x9E3779B97F4A7C15 & MOST
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MOST
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MOST
    return x ^ x >> 31


def test_splitmix64_gives_the_published_outputs() -> None:
    assert [splitmix64(1234567, i) for i in range(3)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


@fixed
@given(
    points=st.lists(st.tuples(anywhere, st.integers(0, 3)), min_size=1, max_size=50),
    added=st.lists(anywhere, min_size=1, max_size=30),
    owner=st.integers(0, 4),
)
def test_merging_and_dropping_keep_equal_points_in_the_order_of_owners(
    twins: dict[str, SimpleNamespace], points: list[tuple[int, int]], added: list[int], owner: int
) -> None:
    merged = sorted(
        [*((point, old + (old >= owner)) for point, old in points), *((new, owner) for new in added)]
    )
    for twin in twins.values():
        ring, new = made(twin, points, nodes=4), np.array(sorted(added), np.uint64)
        bigger = twin.points.Points(*twin.points.with_points(ring, owner, "new", new))
        at_once = made(twin, merged)
        assert bigger.nodes == (*ring.nodes[:owner], "new", *ring.nodes[owner:])
        smaller = twin.points.Points(*twin.points.without_node(bigger, owner))
        assert smaller.nodes == ring.nodes
        for name in ("points", "owners", "table"):
            assert getattr(bigger, name).tolist() == getattr(at_once, name).tolist()
            assert getattr(smaller, name).tolist() == getattr(ring, name).tolist()


def test_both_twins_build_the_same(twins: dict[str, SimpleNamespace]) -> None:
    made_by = [twin.points.build(["a", "b", "é"], [3, 1000, 77], 9) for twin in twins.values()]
    for one, other in itertools.pairwise(made_by):
        assert np.array_equal(one[0], other[0])
        assert np.array_equal(one[1], other[1])


def test_twenty_four_bytes_a_point_at_most(core: SimpleNamespace) -> None:
    for nodes in (1, 3, 10, 100, 1000):
        names = tuple(f"n{i:04}" for i in range(nodes))
        ring = core.points.Points(names, *core.points.build(names, [160] * nodes, 0))
        size = ring.points.nbytes + ring.owners.nbytes + ring.table.nbytes
        assert size <= 24 * 160 * nodes


def test_nothing_can_be_written(core: SimpleNamespace) -> None:
    ring = made(core, [(1, 0), (2, 1)])
    for array in (ring.table, *core.points.build(["a"], [3], 0)):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def empty(core: SimpleNamespace) -> Any:
    return core.points.Points((), *core.points.build([], [], 0))


WRONG: list[tuple[str, Any, type[RingfenceError], str]] = [
    ("__getitem__", (None,), InvalidType, "NoneType: None"),
    ("__getitem__", (-1,), InvalidValue, "not -1"),
    ("lookup", (1.5,), InvalidType, "float: 1.5"),
    ("lookup", ("\ud800",), InvalidValue, "ud800"),
    ("replicas", ("x", 0), InvalidValue, "n .*not 0"),
    ("replicas", ("x", -(1 << 80)), InvalidValue, "n .*not -12089"),
    ("replicas", ("x", True), InvalidType, "n .*bool: True"),
    ("replicas", ("x", 2.0), InvalidType, "n .*float: 2.0"),
    ("replicas", (object, 2), InvalidType, "key"),
]


@pytest.mark.parametrize(("method", "arguments", "error", "says"), WRONG)
def test_bad_arguments_are_refused_alike(
    twins: dict[str, SimpleNamespace], method: str, arguments: Any, error: type[RingfenceError], says: str
) -> None:
    texts = set()
    for twin in twins.values():
        with pytest.raises(error, match=says) as caught:
            getattr(made(twin, [(5, 0)], nodes=1), method)(*arguments)
        assert type(caught.value) is error
        texts.add(str(caught.value))
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("__getitem__", "x"), ("lookup", "x"), ("search", np.zeros(1, "u8"))],
)
def test_an_empty_ring_has_no_owner(core: SimpleNamespace, method: str, arguments: Any) -> None:
    with pytest.raises(EmptyRing, match="with_node"):
        getattr(empty(core), method)(arguments)


def test_an_object_made_without_init_is_an_empty_ring(twins: dict[str, SimpleNamespace]) -> None:
    if "c" not in twins:
        pytest.skip("nothing is compiled here")
    points = twins["c"].points.Points
    with pytest.raises(EmptyRing):
        points.__new__(points)["x"]


def test_it_is_made_only_once(core: SimpleNamespace) -> None:
    ring = made(core, [(5, 0)], nodes=1)
    with pytest.raises(TypeError, match="immutable"):
        ring.__init__(("a",), ring.points, ring.owners)
