"""What holds for every placement, whatever its algorithm."""

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.errors import EmptyRing, InvalidType, InvalidValue, UnknownNode
from ringfence.placement import (
    AnchorHash,
    Diff,
    HashRing,
    JumpHash,
    KeyDiff,
    Maglev,
    MultiProbe,
    Node,
    Placement,
    Rendezvous,
)


def anchor(nodes: Any = (), **options: Any) -> AnchorHash:
    return AnchorHash(nodes, capacity=64, **options)


def maglev(nodes: Any = (), **options: Any) -> Maglev:
    return Maglev(nodes, table_size=5003, **options)


Make = Callable[..., Any]
ALL: list[Make] = [HashRing, Rendezvous, JumpHash, MultiProbe, maglev, anchor]
WEIGHTED: list[Make] = [HashRing, Rendezvous, maglev]
UNWEIGHTED: list[Make] = [JumpHash, MultiProbe, anchor]
SORTED: list[Make] = [HashRing, Rendezvous, MultiProbe, maglev]
MINIMAL: list[Make] = [HashRing, Rendezvous, JumpHash, MultiProbe, anchor]
NAMES = [f"node-{i:02}" for i in range(12)]
NUMBERS = np.arange(20_000, dtype=np.uint64)
SETS = st.lists(st.text(min_size=1, max_size=5).filter(str.isascii), min_size=2, max_size=10, unique=True)

every = pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)


def owners(placement: Any, keys: Any = NUMBERS) -> Any:
    return np.array(placement.nodes)[placement.lookup_many(keys)]


@every
def test_all_are_placements(make: Make) -> None:
    placement = make(NAMES)
    assert len(placement) == 12
    assert list(placement) == list(placement.nodes) == NAMES
    assert "node-03" in placement
    assert "other" not in placement
    assert 3 not in placement
    with pytest.raises(TypeError):
        reversed(placement)
    assert isinstance(placement.diff(placement), Diff)
    assert isinstance(placement, Placement)


@every
@given(names=SETS, key=st.text(), n=st.integers(1, 15))
@settings(max_examples=30)
def test_replicas_are_distinct_and_start_with_the_owner(
    make: Make, names: list[str], key: str, n: int
) -> None:
    placement = make(names)
    if not key.isascii():
        key = key.encode(errors="replace").decode()
    found = placement.replicas(key, n)
    assert len(found) == len(set(found)) == min(n, len(names))
    assert found[0] == placement[key] == placement.lookup(key)
    assert placement.replicas(key, len(names))[:n] == found
    rows = placement.replicas_many([key, "other", key], n)
    assert rows.dtype == np.uint32
    assert [placement.nodes[i] for i in rows[0]] == [placement.nodes[i] for i in rows[2]] == list(found)


@every
@given(names=SETS)
@settings(max_examples=20)
def test_every_kind_of_key_in_a_batch_has_the_owner_it_has_alone(make: Make, names: list[str]) -> None:
    placement = make(names)
    keys = ["a", "bc", "ü", "x" * 300]
    alone = [placement.nodes.index(placement[key]) for key in keys]
    for batch in (keys, tuple(keys), iter(keys), np.array(keys), np.array(keys, object)):
        assert placement.lookup_many(batch).tolist() == alone
    assert placement.lookup_many([key.encode() for key in keys]).tolist() == alone
    assert placement.lookup_many(np.array([key.encode() for key in keys])).tolist() == alone
    numbers = [placement.nodes.index(placement[number]) for number in range(50)]
    for dtype in (np.uint64, np.int64, np.int8):
        assert placement.lookup_many(np.arange(50, dtype=dtype)).tolist() == numbers
    assert placement.lookup_many([]).tolist() == []
    assert placement.replicas_many([], 2).shape == (0, 2)


@every
def test_pickles_and_copies(make: Make) -> None:
    placement = make([Node("b", zone="z"), "a", "c"], epoch=3).with_node("d").without_node("d").with_node("e")
    assert placement.epoch == 6
    assert copy.copy(placement) is copy.deepcopy(placement) is placement
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(placement, protocol))
        assert again == placement
        assert hash(again) == hash(placement)
        assert again.epoch == 6
        assert again.node("b") == Node("b", zone="z")
        assert (owners(again) == owners(placement)).all()
    assert placement != make(["a"])
    assert placement != "a"
    assert placement != (HashRing if make is not HashRing else MultiProbe)(placement.nodes)
    assert f"of 4 nodes ['{placement.nodes[0]}'" in repr(placement)


@every
def test_they_cannot_be_changed(make: Make) -> None:
    placement = make(["a"])
    for name in ("nodes", "epoch", "other"):
        with pytest.raises(AttributeError):
            setattr(placement, name, None)


@pytest.mark.parametrize("make", SORTED, ids=lambda make: make.__name__)
@given(names=SETS, data=st.data())
@settings(max_examples=20)
def test_neither_order_nor_history_matters(make: Make, names: list[str], data: st.DataObject) -> None:
    at_once = make(names)
    grown = make(["visitor"] if "visitor" not in names else ["guest"])
    for name in data.draw(st.permutations(names)):
        grown = grown.with_node(name)
    grown = grown.without_node("visitor" if "visitor" not in names else "guest")
    assert grown == at_once
    assert grown.nodes == tuple(sorted(names))
    assert (grown.lookup_many(NUMBERS[:2000]) == at_once.lookup_many(NUMBERS[:2000])).all()


@pytest.mark.parametrize("make", MINIMAL, ids=lambda make: make.__name__)
@given(names=SETS)
@settings(max_examples=20)
def test_nothing_moves_between_two_unchanged_nodes(make: Make, names: list[str]) -> None:
    small = make([name for name in names if name != "new"])
    big = small.with_node("new")
    before, after = owners(small, NUMBERS[:3000]), owners(big, NUMBERS[:3000])
    moved = before != after
    assert (after[moved] == "new").all()
    assert moved.any()
    back = big.without_node("new")
    assert (owners(back, NUMBERS[:3000]) == before).all()


@pytest.mark.parametrize("make", [HashRing, Rendezvous, MultiProbe], ids=lambda make: make.__name__)
def test_replicas_move_up_when_a_node_leaves(make: Make) -> None:
    placement = make(NAMES)
    for key in range(200):
        first, *others = placement.replicas(key, 12)
        assert placement.without_node(first).replicas(key, 12) == tuple(others)


def test_maglev_moves_little_between_unchanged_nodes() -> None:
    before, after = (owners(Maglev(names)) for names in (NAMES, [*NAMES, "new"]))
    elsewhere = (before != after) & (after != "new")
    assert elsewhere.mean() < 0.02


@every
def test_the_load_is_balanced(make: Make) -> None:
    counts = np.bincount(make(NAMES).lookup_many(NUMBERS), minlength=12)
    worst = 1.3 if make in (HashRing, MultiProbe) else 1.1
    assert counts.max() < worst * counts.mean()
    if make is not MultiProbe:  # a node close behind another gets little, which is no fault
        assert counts.min() > (2 - worst) * counts.mean()


@pytest.mark.parametrize("make", WEIGHTED, ids=lambda make: make.__name__)
def test_the_load_follows_the_weights(make: Make) -> None:
    weights = {"a": 1, "b": 2.5, "c": 0.5, "d": 6}
    placement = make(weights)
    counts = np.bincount(placement.lookup_many(NUMBERS), minlength=4)
    worst = 0.25 if make is HashRing else 0.1
    for name, count in zip(placement.nodes, counts, strict=True):
        assert count == pytest.approx(len(NUMBERS) * weights[name] / 10, rel=worst)
    heavier = placement.with_weight("a", 4)
    assert heavier == make(weights | {"a": 4})
    assert heavier.epoch == 1
    if make is not maglev:
        moved = owners(placement) != owners(heavier)
        assert (owners(heavier)[moved] == "a").all()


@pytest.mark.parametrize("make", UNWEIGHTED, ids=lambda make: make.__name__)
def test_a_weight_is_refused_where_it_would_not_count(make: Make) -> None:
    wrong: list[Callable[[], Any]] = [
        lambda: make({"a": 2}),
        lambda: make(["a"]).with_node(Node("b", 0.5)),
        lambda: make(["a"]).with_weight("a", 2),
    ]
    for weigh in wrong:
        with pytest.raises(InvalidValue, match="weight"):
            weigh()
    assert make({"a": 1, "b": 1.0}).node("b") == Node("b")


@every
def test_an_empty_placement_and_one_of_one_node(make: Make) -> None:
    empty = make()
    assert len(empty) == 0
    asking: list[Callable[[], Any]] = [
        lambda: empty["x"],
        lambda: empty.lookup("x"),
        lambda: empty.lookup_many(["x"]),
        lambda: empty.replicas("x", 1),
        lambda: empty.replicas_many(["x"], 1),
    ]
    for ask in asking:
        with pytest.raises(EmptyRing, match="no nodes"):
            ask()
    one = empty.with_node("a")
    assert one["x"] == "a"
    assert one.replicas("x", 5) == ("a",)
    assert one.replicas_many(["x", 3], 5).tolist() == [[0], [0]]
    assert one.without_node("a") == empty
    assert empty.diff(empty).fraction == 0
    assert empty.diff(one).fraction == one.diff(empty).fraction == 1


@every
@pytest.mark.parametrize(
    ("wrong", "error", "names"),
    [
        (lambda make: make("abc"), InvalidType, "'abc'"),
        (lambda make: make(5), InvalidType, "5"),
        (lambda make: make([5]), InvalidType, "5"),
        (lambda make: make([""]), InvalidValue, "empty"),
        (lambda make: make(["\ud800"]), InvalidValue, "ud800"),
        (lambda make: make(["a", "b", "a"]), InvalidValue, "'a'"),
        (lambda make: make({"a": 0}), InvalidValue, "'a'.*0"),
        (lambda make: make(["a"], epoch=-1), InvalidValue, "epoch.*-1"),
        (lambda make: make(["a"], epoch="1"), InvalidType, "epoch.*'1'"),
        (lambda make: make(["a"]).with_node("a"), InvalidValue, "'a'"),
        (lambda make: make(["a"]).with_node(3), InvalidType, "3"),
        (lambda make: make(["a"]).without_node("b"), UnknownNode, "'b'.*a"),
        (lambda make: make(["a"]).with_weight("b", 1), UnknownNode, "'b'.*a"),
        (lambda make: make(["a"]).node(None), UnknownNode, "None"),
        (lambda make: make(["a"]).diff("a"), InvalidType, "'a'"),
        (lambda make: make(["a"]).replicas("x", 0), InvalidValue, "0"),
        (lambda make: make(["a"]).replicas("x", 1.0), InvalidType, "1.0"),
        (lambda make: make(["a"]).replicas_many(["x"], 0), InvalidValue, "0"),
        (lambda make: make(["a"]).replicas_many(["x"], True), InvalidType, "True"),
        (lambda make: make(["a"]).replicas_many("x", 1), InvalidType, "'x'"),
        (lambda make: make(["a"])[None], InvalidType, "None"),
        (lambda make: make(["a"])["\udc00"], InvalidValue, "surrogates"),
        (lambda make: make(["a"]).lookup(-1), InvalidValue, "-1"),
        (lambda make: make(["a"]).lookup_many([1 << 64]), InvalidValue, "18446744073709551616"),
        (lambda make: make(["a"]).lookup_many(np.zeros((2, 2), int)), InvalidValue, "one dimension"),
        (lambda make: make(["a"]).lookup_many(np.zeros(2)), InvalidType, "float64"),
    ],
)
def test_bad_arguments_are_named(make: Make, wrong: Any, error: type[Exception], names: str) -> None:
    with pytest.raises(error, match=names) as caught:
        wrong(make)
    assert type(caught.value) is error


def test_only_the_last_node_leaves_a_jump_hash() -> None:
    jump = JumpHash(["c", "a", "b"])
    assert jump.without_node("b") == JumpHash(["c", "a"])
    with pytest.raises(InvalidValue, match=r"only the last node, 'b', can leave.*'a'"):
        jump.without_node("a")


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"seed": 1 << 32}, {"probes": 0}, {"probes": 1 << 16}])
def test_options_out_of_range_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=next(iter(wrong))):
        MultiProbe(["a"], **wrong)


@every
@pytest.mark.parametrize("other", [HashRing, maglev], ids=lambda make: make.__name__)
def test_a_diff_of_any_two_placements(make: Make, other: Make) -> None:
    old, new = make(NAMES), other(NAMES[:7])
    diff = KeyDiff(old, new)
    moved = owners(old) != owners(new)
    assert (diff.affected(NUMBERS) == moved).all()
    assert [diff.moves_key(key) for key in range(30)] == moved[:30].tolist()
    assert diff.affected(iter(range(30))).tolist() == moved[:30].tolist()
    assert diff.fraction == pytest.approx(moved.mean(), abs=0.02)
    assert f"about {diff.fraction:.2%}" in repr(diff)
    if make is not HashRing:
        assert (old.diff(new).affected(NUMBERS) == moved).all()


def test_a_diff_wants_placements() -> None:
    ring: Any = HashRing(["a"])
    for wrong in ((ring, "a"), (None, ring)):
        with pytest.raises(InvalidType, match="Placement"):
            KeyDiff(*wrong)
    with pytest.raises(InvalidType, match="'abc'"):
        KeyDiff(ring, ring).affected("abc")


GOLDEN = json.loads((Path(__file__).parent / "golden_algorithms.json").read_text())
KINDS = {kind.__name__: kind for kind in (Rendezvous, JumpHash, MultiProbe, Maglev, AnchorHash)}


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["what"])
def test_golden_placements(case: dict[str, Any]) -> None:
    placement: Any = KINDS[case["class"]](case["nodes"], **case["options"])
    for name in case["leave"]:
        placement = placement.without_node(name)
    keys = [*(f"user:{i}" for i in range(50)), b"\xff\x00", "é", *range(50)]
    assert placement.lookup_many(keys).tolist() == case["owners"]
    assert [list(placement.replicas(key, 3)) for key in keys[:8]] == case["replicas"]
