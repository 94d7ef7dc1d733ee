"""HashRing: how it is made, asked and changed."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from ringfence._core.hashing import key_hash
from ringfence.errors import EmptyRing, InvalidType, InvalidValue, UnknownNode
from ringfence.placement import HashRing, Node

KEYS = [f"user:{i}" for i in range(2000)]


@pytest.mark.parametrize(
    "nodes",
    [
        ["a", "b", "c"],
        ("c", "b", "a"),
        {"b", "c", "a"},
        {"a": 1, "b": 1.0, "c": 1},
        [Node("a"), "b", Node("c", 1.0)],
        iter("abc"),
    ],
    ids=lambda nodes: type(nodes).__name__,
)
def test_equal_sets_of_nodes_give_equal_rings(nodes: Any) -> None:
    ring, other = HashRing(["b", "a", "c"]), HashRing(nodes)
    assert ring == other
    assert hash(ring) == hash(other)
    assert ring.nodes == other.nodes == ("a", "b", "c")
    assert np.array_equal(ring.points, other.points)
    assert np.array_equal(ring.owners, other.owners)


def test_a_key_has_one_owner_however_it_is_asked() -> None:
    ring = HashRing(["a", "b", "c"])
    many = ring.lookup_many(KEYS)
    assert many.dtype == np.uint32
    for key, index in zip(KEYS, many, strict=True):
        assert ring[key] == ring.lookup(key) == ring.nodes[index] == ring.replicas(key, 1)[0]
        assert ring[key.encode()] == ring[key]


def test_the_order_of_names_is_that_of_their_utf8() -> None:
    names = ["é", "z", "a", "\U00010000", "\uffff"]
    assert HashRing(names).nodes == tuple(sorted(names, key=str.encode))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 400])
def test_replicas_are_distinct_nodes_in_ring_order(n: int) -> None:
    ring = HashRing([f"n{i}" for i in range(300)], vnodes=5)
    count = len(ring.points) - 4
    for key in KEYS[:50]:
        found = ring.replicas(key, n)
        start = int(np.flatnonzero(ring.points == ring.points[ring.points >= key_hash(key)][0])[0]) % count
        walk = [ring.nodes[ring.owners[(start + i) % count]] for i in range(count)]
        assert found == tuple(dict.fromkeys(walk))[:n]


def test_a_change_makes_a_new_ring_equal_to_one_made_at_once() -> None:
    ring = HashRing(["a", "c", "d"])
    bigger = ring.with_node("b")
    assert bigger == HashRing(["a", "b", "c", "d"])
    assert (ring.epoch, bigger.epoch, bigger.without_node("b").epoch) == (0, 1, 2)
    assert bigger.without_node("b") == ring
    heavier = bigger.with_weight("c", 2.5)
    assert heavier == HashRing({"a": 1, "b": 1, "c": 2.5, "d": 1})
    assert heavier.node("c") == Node("c", 2.5)
    for made, at_once in (
        (bigger, HashRing(list("abcd"))),
        (bigger.without_node("b"), ring),
        (heavier, HashRing({"a": 1, "b": 1, "c": 2.5, "d": 1})),
    ):
        for array in ("points", "owners", "table"):
            assert np.array_equal(getattr(made, array), getattr(at_once, array)), array


def test_one_node_s_weight_never_moves_another_s_points() -> None:
    light, heavy = HashRing({"a": 1, "b": 1}), HashRing({"a": 1, "b": 7.3})
    for ring in (light, heavy):
        assert len(ring.points) - 4 == sum(max(1, round(160 * ring.node(name).weight)) for name in ring)
    assert set(light.points) <= set(heavy.points)


def test_the_last_node_leaves_an_empty_ring_that_may_grow_again() -> None:
    empty = HashRing(["a"]).without_node("a")
    assert empty == HashRing()
    assert len(empty) == 0
    assert empty.with_node("b")["x"] == "b"
    for ask in (lambda: empty["x"], lambda: empty.lookup("x"), lambda: empty.lookup_many(["x"])):
        with pytest.raises(EmptyRing, match="no nodes"):
            ask()
    with pytest.raises(EmptyRing):
        empty.replicas("x", 1)


def test_it_is_a_container_of_names() -> None:
    ring = HashRing(["b", "a"])
    assert list(ring) == ["a", "b"]
    assert len(ring) == 2
    assert "a" in ring
    assert "c" not in ring
    assert 1 not in ring
    with pytest.raises(TypeError):
        reversed(ring)


def test_copies_and_pickles() -> None:
    ring = HashRing({"a": 1.5, "b": 2}, vnodes=40, seed=7, epoch=12)
    assert copy.copy(ring) is ring
    assert copy.deepcopy([ring])[0] is ring
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(ring, protocol))
        assert again == ring
        assert (again.epoch, again.vnodes, again.seed) == (12, 40, 7)
        assert np.array_equal(again.points, ring.points)


def test_equality_is_of_nodes_vnodes_and_seed_not_epoch() -> None:
    ring = HashRing(["a", "b"])
    assert ring == HashRing(["a", "b"], epoch=5)
    assert ring != HashRing(["a", "b"], seed=1)
    assert ring != HashRing(["a", "b"], vnodes=161)
    assert ring != HashRing([Node("a", zone="x"), "b"])
    assert ring != ["a", "b"]


def test_repr_shows_what_it_is_made_of() -> None:
    assert repr(HashRing(["a"], vnodes=3, seed=2, epoch=4)) == (
        "<HashRing of 1 nodes ['a'], vnodes=3, seed=2, epoch=4>"
    )
    assert "'7', …]" in repr(HashRing(map(str, range(9))))


def test_it_cannot_be_changed() -> None:
    ring = HashRing(["a"])
    for name in ("nodes", "epoch", "points", "table", "other"):
        with pytest.raises(AttributeError):
            setattr(ring, name, None)
    with pytest.raises(ValueError, match="read-only"):
        ring.points[0] = 1


Ring: Any = HashRing  # so that the type checker lets the wrong arguments through
AnyNode: Any = Node


@pytest.mark.parametrize(
    ("wrong", "error", "names"),
    [
        (lambda: Ring("abc"), InvalidType, "'abc'"),
        (lambda: Ring(5), InvalidType, "5"),
        (lambda: Ring([5]), InvalidType, "5"),
        (lambda: Ring([b"a"]), InvalidType, "b'a'"),
        (lambda: Ring([""]), InvalidValue, "empty"),
        (lambda: Ring(["\ud800"]), InvalidValue, "ud800"),
        (lambda: Ring(["a", "b", "a"]), InvalidValue, "'a'"),
        (lambda: Ring({"a": 0}), InvalidValue, "'a'.*0"),
        (lambda: Ring({"a": -1}), InvalidValue, "'a'.*-1"),
        (lambda: Ring({"a": float("nan")}), InvalidValue, "'a'.*nan"),
        (lambda: Ring({"a": float("inf")}), InvalidValue, "'a'.*inf"),
        (lambda: Ring({"a": "1"}), InvalidType, "'a'.*'1'"),
        (lambda: Ring({"a": True}), InvalidType, "'a'.*True"),
        (lambda: Ring({"a": 1e300}), InvalidValue, "too large"),
        (lambda: Ring({"a": 1e6, "b": 1e6}), InvalidValue, "too large"),
        (lambda: Ring([AnyNode("a", zone=3)]), InvalidType, "zone.*3"),
        (lambda: Ring(["a"], vnodes=0), InvalidValue, "vnodes.*0"),
        (lambda: Ring(["a"], vnodes=1.5), InvalidType, "vnodes.*1.5"),
        (lambda: Ring(["a"], vnodes=True), InvalidType, "vnodes.*True"),
        (lambda: Ring(["a"], seed=-1), InvalidValue, "seed.*-1"),
        (lambda: Ring(["a"], seed=1 << 32), InvalidValue, "seed.*4294967296"),
        (lambda: Ring(["a"], epoch=-1), InvalidValue, "epoch.*-1"),
        (lambda: Ring(["a"]).with_node("a"), InvalidValue, "'a'"),
        (lambda: Ring(["a"]).with_node(3), InvalidType, "3"),
        (lambda: Ring(["a"]).with_weight("a", 0), InvalidValue, "'a'.*0"),
        (lambda: Ring(["a"]).with_weight("b", 1), UnknownNode, "'b'.*a"),
        (lambda: Ring(["a"]).without_node("b"), UnknownNode, "'b'.*a"),
        (lambda: Ring(["a"]).node("b"), UnknownNode, "'b'"),
        (lambda: Ring(["a"]).node(None), UnknownNode, "None"),
        (lambda: Ring(["a"]).diff("a"), InvalidType, "'a'"),
        (lambda: Ring(["a"]).replicas("x", 0), InvalidValue, "0"),
        (lambda: Ring(["a"]).replicas("x", 1.0), InvalidType, "1.0"),
        (lambda: Ring(["a"]).replicas("x", True), InvalidType, "True"),
        (lambda: Ring(["a"])[None], InvalidType, "None"),
        (lambda: Ring(["a"])[-1], InvalidValue, "-1"),
    ],
)
def test_bad_arguments_are_named(wrong: Any, error: type[Exception], names: str) -> None:
    with pytest.raises(error, match=names) as caught:
        wrong()
    assert type(caught.value) is error


@pytest.mark.parametrize("name", ["points", "owners", "table"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # newer NumPy advises against setting a dtype
def test_the_arrays_given_out_are_views_whose_owner_may_do_as_he_likes(name: str) -> None:
    ring = HashRing(["a", "b", "c"], vnodes=10)
    getattr(ring, name).dtype = np.uint8
    assert ring.with_node("d").points.tolist() == HashRing(["a", "b", "c", "d"], vnodes=10).points.tolist()
    assert ring.lookup_many(["x", "y"]).tolist() == [ring.nodes.index(ring[key]) for key in ("x", "y")]
