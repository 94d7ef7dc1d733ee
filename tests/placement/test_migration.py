"""A diff holds exactly the keys whose owner changed."""

import pickle
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence._core.points import PAD, Points
from ringfence.errors import InvalidType, InvalidValue
from ringfence.placement import HashRing, Migration, Move

MOST = (1 << 64) - 1
names = st.sampled_from(["a", "b", "c", "d", "é"])
rings = st.builds(
    lambda weights, vnodes, seed: HashRing(weights, vnodes=vnodes, seed=seed),
    st.dictionaries(names, st.sampled_from([0.01, 0.5, 1.0, 3.0]), max_size=5),
    st.sampled_from([1, 2, 7]),
    st.sampled_from([0, 0, 0, 1]),
)
near = st.one_of(st.integers(0, 6), st.integers(MOST - 6, MOST), st.integers(0, MOST))


def with_points(pairs: list[tuple[int, str]]) -> Points:
    """Return a structure with chosen points, so that they collide and lie at the ends of the circle."""
    nodes = tuple(sorted({name for _, name in pairs}))
    placed = sorted((point, nodes.index(name)) for point, name in pairs)
    points = np.array([point for point, _ in placed] + [MOST] * PAD, np.uint64)
    owners = np.array([owner for _, owner in [*placed, *(placed[:1] or [(0, 0)])]], np.uint32)
    return Points(nodes, points, owners)


chosen = st.lists(st.tuples(near, names), max_size=12).map(with_points)


def owner(ring: Points, h: int) -> str | None:
    if not ring.nodes:
        return None
    index = int(ring.search(np.array([h], np.uint64))[0])
    return ring.nodes[index]


def holds(move: Move, h: int) -> bool:
    if move.start < move.end:
        return move.start < h <= move.end
    return h > move.start or h <= move.end


def boundaries(*parts: Points) -> list[int]:
    points = {0, MOST} | {int(point) for ring in parts for point in ring.points}
    return sorted({p for point in points for p in (point - 1, point, point + 1) if 0 <= p <= MOST})


def unmix(h: int) -> int:
    """Return the int key whose hash is `h`."""
    for constant in (0xC4CEB9FE1A85EC53, 0xFF51AFD7ED558CCD):
        h = (h ^ h >> 33) * pow(constant, -1, 1 << 64) & MOST
    return h ^ h >> 33


def check(old: Points, new: Points, hashes: list[int]) -> None:
    migration = Migration(old, new)
    for h in [*boundaries(old, new), *hashes]:
        source, target = owner(old, h), owner(new, h)
        found = [(move.source, move.target) for move in migration.moves if holds(move, h)]
        assert found == ([(source, target)] if source != target else [])
        assert migration.moves_key(unmix(h)) is (source != target)
    assert migration.fraction == float(exact_fraction(old, new))
    for one, other in pairwise([*migration.moves, *migration.moves[:1]]):
        joined = one.end == other.start and (one.source, one.target) == (other.source, other.target)
        assert not joined or len(migration.moves) == 1, "neighbours of one kind are one arc"


def exact_fraction(old: Points, new: Points) -> Fraction:
    ends = sorted({int(point) for ring in (old, new) for point in ring.points[:-PAD]})
    if not ends:
        return Fraction(0)
    moved = 0
    for start, end in pairwise([ends[-1] - (1 << 64), *ends]):
        moved += (end - start) * (owner(old, end) != owner(new, end))
    return Fraction(moved, 1 << 64)


@settings(deadline=None)
@given(old=rings, new=rings, hashes=st.lists(near, max_size=10))
def test_rings_of_any_nodes_weights_and_seeds(old: HashRing, new: HashRing, hashes: list[int]) -> None:
    check(old, new, hashes)
    keys: list[Any] = [f"k{i}" for i in range(20)]
    if old.nodes and new.nodes:
        moved = [old[key] != new[key] for key in keys]
        assert (
            old.diff(new).affected(keys).tolist() == moved == [old.diff(new).moves_key(key) for key in keys]
        )


@settings(deadline=None)
@given(old=chosen, new=chosen, hashes=st.lists(near, max_size=10))
def test_points_that_collide_and_lie_at_the_ends(old: Points, new: Points, hashes: list[int]) -> None:
    check(old, new, hashes)


@settings(deadline=None, max_examples=30)
@given(ring=rings, name=names, weight=st.sampled_from([0.02, 0.7, 5.0]))
def test_only_the_changed_node_s_keys_move(ring: HashRing, name: str, weight: float) -> None:
    if name in ring:
        moves = ring.diff(ring.without_node(name)).moves
        assert {move.source for move in moves} <= {name}
        lighter = weight < ring.node(name).weight
        for move in ring.diff(ring.with_weight(name, weight)).moves:
            assert (move.source if lighter else move.target) == name
    else:
        assert {move.target for move in ring.diff(ring.with_node(name)).moves} <= {name}


def test_a_ring_does_not_move_against_itself() -> None:
    ring = HashRing(["a", "b", "c"])
    migration = ring.diff(HashRing(["c", "b", "a"], epoch=3))
    assert migration.moves == ()
    assert migration.fraction == 0.0
    assert not migration.moves_key("x")
    assert migration.affected(["x", "y"]).tolist() == [False, False]
    assert len(migration) == 0


def test_everything_moves_from_the_only_node_to_another() -> None:
    migration = HashRing(["a"]).diff(HashRing(["b"]))
    assert [(move.source, move.target, move.start == move.end) for move in migration.moves] == [
        ("a", "b", True)
    ]
    assert migration.fraction == 1.0
    assert migration.affected(range(100)).all()


def test_empty_rings() -> None:
    empty, ring = HashRing(), HashRing(["a", "b"])
    assert {move.source for move in empty.diff(ring).moves} == {None}
    assert {move.target for move in ring.diff(empty).moves} == {None}
    assert empty.diff(ring).fraction == ring.diff(empty).fraction == 1.0
    assert empty.diff(empty).moves == ()


def test_adding_a_sixth_node_moves_about_a_sixth() -> None:
    migration = HashRing([f"n{i}" for i in range(5)]).diff(HashRing([f"n{i}" for i in range(6)]))
    keys = [f"user:{i}" for i in range(20_000)]
    assert 0.12 < migration.fraction < 0.22
    assert abs(migration.affected(keys).mean() - migration.fraction) < 0.02


def test_batches_of_every_kind_are_taken() -> None:
    migration = HashRing(["a", "b"]).diff(HashRing(["a", "b", "c"]))
    numbers = np.arange(500)
    mask = migration.affected(numbers)
    assert mask.dtype == np.bool_
    assert mask.tolist() == migration.affected(range(500)).tolist()
    assert migration.affected([]).tolist() == []


def test_it_is_shown_and_pickled() -> None:
    migration = HashRing(["a"]).diff(HashRing(["a", "b"], vnodes=160))
    assert repr(migration) == f"<Migration of {migration.fraction:.2%} of the keys in {len(migration)} arcs>"
    again = pickle.loads(pickle.dumps(migration))
    assert again.moves == migration.moves


def test_a_wrong_key_is_refused() -> None:
    migration = HashRing(["a"]).diff(HashRing(["b"]))
    wrong: Any = None
    with pytest.raises(InvalidType, match="None"):
        migration.moves_key(wrong)
    with pytest.raises(InvalidValue, match="-1"):
        migration.affected(np.array([-1]))
