"""A plan says before a change what the change does: exact parts, estimated bytes, a table and a picture."""

import json
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence._core.points import PAD
from ringfence.compat import envoy, ignite, memcached
from ringfence.errors import BackendUnavailable, InvalidType, InvalidValue, UnknownNode
from ringfence.placement import (
    HashRing,
    JumpHash,
    KeyDiff,
    Maglev,
    Migration,
    NodeLoad,
    Rendezvous,
    Transfer,
)
from ringfence.placement.table import in_bytes, table

SPACE = 1 << 64
rings = st.builds(
    lambda weights, vnodes: HashRing(weights, vnodes=vnodes),
    st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.sampled_from([0.01, 1.0, 3.0]), max_size=4),
    st.sampled_from([1, 2, 9]),
)


def slow_load(ring: HashRing) -> dict[str, Fraction]:
    """Walk round the circle point by point."""
    parts = dict.fromkeys(ring.nodes, Fraction(0))
    points = [int(point) for point in ring.points[:-PAD]]
    for at, point in enumerate(points):
        parts[ring.nodes[ring.owners[at]]] += Fraction((point - points[at - 1] - 1) % SPACE + 1, SPACE)
    return parts


@settings(deadline=None)
@given(old=rings, new=rings)
def test_parts_are_exact(old: HashRing, new: HashRing) -> None:
    migration = old.diff(new)
    assert migration.before == old.load() == slow_load(old)
    assert migration.after == new.load() == slow_load(new)
    expected: dict[Any, Fraction] = {}
    for start, end, source, target in migration.moves:
        length = Fraction((end - start - 1) % SPACE + 1, SPACE)
        expected[source, target] = expected.get((source, target), Fraction(0)) + length
    assert migration.totals == expected
    assert migration.fraction == float(sum(expected.values()))


@settings(deadline=None)
@given(old=rings, new=rings, size=st.integers(0, 1 << 40))
def test_what_leaves_and_what_arrives_adds_up(old: HashRing, new: HashRing, size: int) -> None:
    migration = old.diff(new)
    for name in {*old.nodes, *new.nodes}:
        out = sum(part for (source, _), part in migration.totals.items() if source == name)
        into = sum(part for (_, target), part in migration.totals.items() if target == name)
        assert migration.before.get(name, 0) - out + into == migration.after.get(name, 0)
    plan = migration.plan(dict.fromkeys(old.nodes, size))
    for node in plan.nodes:
        assert node.bytes_before == (size if node.name in old else 0)
        if node.name not in new and new.nodes:
            assert node.bytes_after is not None
            assert abs(node.bytes_after) <= len(new)  # each transfer is rounded
    if new.nodes:
        assert sum(node.bytes_after or 0 for node in plan.nodes) == size * len(old)


def test_bytes_go_in_proportion_to_the_part_that_moves() -> None:
    migration = HashRing(["a", "b"]).diff(HashRing(["a", "b", "c"]))
    moved = migration.transfer({"a": 10**12, "b": 0})
    assert moved == {
        ("a", "c"): round(10**12 * migration.totals["a", "c"] / migration.before["a"]),
        ("b", "c"): 0,
    }


def test_the_last_node_takes_all_with_it() -> None:
    plan = HashRing(["a"]).diff(HashRing()).plan({"a": 7})
    assert plan.transfers == (Transfer("a", None, Fraction(1), 7),)
    assert plan.nodes == (NodeLoad("a", Fraction(1), None, 7, 0),)
    assert HashRing().diff(HashRing(["a"])).transfer({}) == {(None, "a"): 0}


def test_a_million_arcs_add_up() -> None:
    ring = HashRing([f"n{i}" for i in range(1000)], vnodes=1000)
    assert sum(ring.load().values()) == 1


@pytest.mark.parametrize(
    ("sizes", "error", "words"),
    [
        ({"a": 1}, InvalidValue, "the size of 'b' is missing"),
        ({"a": 1, "b": 1, "c": 1}, UnknownNode, "'c'"),
        ({"a": -1, "b": 1}, InvalidValue, "-1"),
        ({"a": 1.5, "b": 1}, InvalidType, "float"),
        ([1, 2], InvalidType, "list"),
    ],
)
def test_sizes_that_cannot_be(sizes: Any, error: type[Exception], words: str) -> None:
    migration = HashRing(["a", "b"]).diff(HashRing(["a", "b", "c"]))
    with pytest.raises(error, match=words):
        migration.transfer(sizes)
    with pytest.raises(error, match=words):
        migration.plan(sizes)


def grown() -> Migration:
    return HashRing(["a", "b"]).diff(HashRing(["b", "c"]))


def test_the_table() -> None:
    assert (
        str(grown().plan({"a": 10**9, "b": 2 * 10**9}))
        .splitlines()[0]
        .startswith(f"{grown().fraction:.2%} of the keys move in ")
    )
    lines = str(grown().plan()).splitlines()
    assert lines[2].split() == ["node", "before", "after", "change"]
    assert [line.split()[0] for line in lines[3:6]] == ["a", "b", "c"]
    assert lines[3].split()[2] == lines[5].split()[1] == "-"
    assert lines[7].split() == ["from", "to", "keys"]
    assert {tuple(line.split()[:2]) for line in lines[8:]} == {("a", "b"), ("a", "c"), ("b", "c")} & set(
        grown().totals
    )


def test_a_change_that_moves_nothing() -> None:
    ring = HashRing(["a", "b"])
    assert "0.00% of the keys move in 0 arcs" in str(ring.diff(ring).plan())
    assert "from" not in str(ring.diff(ring).plan())
    assert str(HashRing().diff(HashRing()).plan()) == "0.00% of the keys move in 0 arcs"


def test_it_can_be_written_as_json() -> None:
    plan = grown().plan({"a": 5, "b": 5})
    again = json.loads(json.dumps(plan.as_dict()))
    assert again["fraction"] == plan.fraction
    assert again["bytes"] == plan.bytes == sum(one["bytes"] for one in again["transfers"])
    assert again["nodes"][0] == {
        "name": "a", "before": float(plan.nodes[0].before or 0), "after": None, "bytes_before": 5, "bytes_after": 0,
    }  # fmt: skip
    assert repr(plan).startswith("<Plan: ")


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (10**30, "1000000.0 YB")],
)
def test_sizes_for_people(count: int, text: str) -> None:
    assert in_bytes(count) == text


def test_columns() -> None:
    assert table(["a", "b"], [["xyz", "1"], ["x", "22"]]) == "a     b\nxyz   1\nx    22"


PLANS: dict[str, Callable[[], Migration]] = {
    "few": grown,
    "many": lambda: HashRing([f"n{i}" for i in range(90)]).diff(HashRing([f"n{i}" for i in range(1, 91)])),
    "nothing moves": lambda: HashRing(["a"]).diff(HashRing(["a"])),
    "from nothing": lambda: HashRing().diff(HashRing(["a"])),
    "to nothing": lambda: HashRing(["a"]).diff(HashRing()),
    "odd names": lambda: HashRing(["$a_1$", "é\\" * 40]).diff(HashRing(["<b>&", "$a_1$", "_hidden"])),
}


def image_of(path: Path) -> Any:
    read: Any = matplotlib.image.imread
    return read(path)


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("suffix", [".svg", ".PNG"])
def test_pictures(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"plan{suffix}"
    PLANS[name]().plan().draw(path)
    if suffix == ".svg":
        assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    else:
        assert image_of(path).shape[1] >= 1000


def test_the_picture_names_all_nodes_and_figures(tmp_path: Path) -> None:
    plan = grown().plan({"a": 10**9, "b": 0})
    plan.draw(tmp_path / "plan.svg")
    words = {element.text for element in ElementTree.parse(tmp_path / "plan.svg").iter()}
    moved = {f"{100 * float(transfer.part):.2f}" for transfer in plan.transfers}
    assert words >= {"a", "b", "c", "before", "after", plan.headline()} | moved


def test_the_same_plan_is_the_same_picture(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        grown().plan().draw(str(tmp_path / name))
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_pictures_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidValue, match=r"\*\.svg or \*\.png"):
        grown().plan().draw(tmp_path / "plan.gif")
    with pytest.raises(InvalidValue, match="nothing to draw"):
        HashRing().diff(HashRing()).plan().draw(tmp_path / "plan.svg")
    with pytest.raises(InvalidValue, match="No such file or directory"):
        grown().plan().draw(tmp_path / "missing" / "plan.svg")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'ringfence\[plot\]'"):
        grown().plan().draw(tmp_path / "plan.svg")


# --- placements without arcs ------------------------------------------------------------------------------------


def slow_plan(
    old: Any, new: Any, keys: list[Any]
) -> tuple[dict[str, Fraction], dict[str, Fraction], dict[Any, Fraction]]:
    """Count one key after the other."""
    one = Fraction(1, len(keys))
    before, after = dict.fromkeys(old.nodes, Fraction(0)), dict.fromkeys(new.nodes, Fraction(0))
    moves: dict[Any, Fraction] = {}
    for key in keys:
        source, target = old[key], new[key]
        before[source] += one
        after[target] += one
        if source != target:
            moves[source, target] = moves.get((source, target), Fraction(0)) + one
    return before, after, moves


@pytest.mark.parametrize("kind", [Maglev, Rendezvous, JumpHash, HashRing])
def test_a_plan_counts_keys_where_there_are_no_arcs(kind: Any) -> None:
    old, keys = kind(["a", "b", "c"]), [f"user:{i}" for i in range(700)]
    for new in (old.with_node("d"), old.without_node("c"), old):
        plan = KeyDiff(old, new).plan({"a": 1000, "b": 2000, "c": 3000}, keys=keys)
        before, after, moves = slow_plan(old, new, keys)
        assert {node.name: node.before for node in plan.nodes if node.before is not None} == before
        assert {node.name: node.after for node in plan.nodes if node.after is not None} == after
        assert {(move.source, move.target): move.part for move in plan.transfers} == moves
        assert plan.fraction == float(sum(moves.values()))
        assert plan.arcs is None
        assert sum(node.bytes_after or 0 for node in plan.nodes) == 6000
        assert plan.headline().startswith(f"{plan.fraction:.2%} of the keys move, about ")


def test_without_keys_a_plan_counts_those_that_the_fraction_looks_at() -> None:
    old = Maglev(["a", "b", "c"])
    diff = old.diff(old.with_node("d"))
    plan = diff.plan()
    assert plan.fraction == diff.fraction == float(diff.affected(np.arange(1 << 16)).mean())
    assert plan.as_dict()["arcs"] is None
    assert " arcs" not in str(plan)


def test_from_no_node_and_to_none_all_keys_move() -> None:
    some, none = HashRing(["a", "b"], hash="md5"), HashRing()
    plan = KeyDiff(none, some).plan({})
    assert [(move.source, move.target) for move in plan.transfers] == [(None, "a"), (None, "b")]
    assert plan.fraction == 1.0
    plan = KeyDiff(some, none).plan({"a": 5, "b": 7})
    assert [(move.source, move.target, move.bytes) for move in plan.transfers] == [
        ("a", None, 5),
        ("b", None, 7),
    ]


def test_a_plan_of_no_keys_is_refused() -> None:
    with pytest.raises(InvalidValue, match="no keys"):
        KeyDiff(Maglev(["a"]), Maglev(["b"])).plan(keys=[])


def test_a_change_of_memcached_servers_is_planned_exactly() -> None:
    old = memcached.ring({"10.0.0.1:11211": 1, "10.0.0.2:11211": 1}, client="libketama")
    new = old.with_node("10.0.0.3:11211")
    plan = old.diff(new).plan({"10.0.0.1:11211": 10**9, "10.0.0.2:11211": 10**9})
    keys = [f"key:{i}" for i in range(20_000)]
    before, after, moves = slow_plan(old, new, keys)
    assert (plan.arcs or 0) > 0
    assert plan.fraction == old.diff(new).fraction
    assert sum(node.after or 0 for node in plan.nodes) == 1
    for node in plan.nodes:
        assert float(node.before or 0) == pytest.approx(float(before.get(node.name, 0)), abs=0.02)
        assert float(node.after or 0) == pytest.approx(float(after[node.name]), abs=0.02)
    for move in plan.transfers:
        assert float(move.part) == pytest.approx(float(moves.get((move.source, move.target), 0)), abs=0.02)


@pytest.mark.parametrize(
    ("old", "slots"),
    [(envoy.maglev(["10.0.0.1:80", "10.0.0.2:80"], 251), 251), (ignite.rendezvous(["a", "b", "c"], 64), 64)],
    ids=["maglev", "ignite"],
)
def test_slots_of_other_systems_are_counted_exactly(old: Any, slots: int) -> None:
    new = old.with_node("10.0.0.9:80")
    plan = old.diff(new).plan()
    assert plan.arcs is None
    assert sum(node.before or 0 for node in plan.nodes) == sum(node.after or 0 for node in plan.nodes) == 1
    assert all(
        slots % part.denominator == 0 for node in plan.nodes for part in (node.before, node.after) if part
    )
    assert 0 < plan.fraction == old.diff(new).fraction < 1
