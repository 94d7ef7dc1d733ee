"""The look-ups of the placements: compiled and interpreted, in one process, with one result."""

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ringfence import _core
from ringfence._core import _twins, points
from ringfence.errors import EmptyRing, InvalidType, InvalidValue
from ringfence.placement import AnchorHash, HashRing, JumpHash, Maglev, MultiProbe, Rendezvous

HASHES = np.concatenate(
    [
        np.random.default_rng(1).integers(0, 1 << 63, 700, dtype=np.uint64) * np.uint64(2),
        np.array([0, 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1], np.uint64),
    ]
)
KEYS: list[Any] = ["a", "é", "x" * 40, b"", b"\xff", 0, 7, (1 << 64) - 1]
NAMES = tuple(f"node-{i:02}" for i in range(23))
WEIGHTS = {name: 0.5 + i % 5 for i, name in enumerate(NAMES)}


@pytest.fixture(scope="module", params=["points", "jump", "maglev", "rendezvous", "probes", "anchor"])
def pair(request: pytest.FixtureRequest, compiled: Callable[[str], bool]) -> tuple[ModuleType, ModuleType]:
    """Return both twins of a module."""
    if not compiled(request.param):
        pytest.skip("nothing is compiled here")
    other = "python" if _core.IMPLEMENTATION == "c" else "c"
    return getattr(_core, request.param), _twins.load(request.param, other, prefix="placement_twin")


def made(module: ModuleType, names: tuple[str, ...] = NAMES) -> Any:
    """Return the compiled class of a module, with the arrays of a placement."""
    kind = module.__name__.rpartition(".")[2]
    if kind == "points":
        ring = HashRing({name: WEIGHTS[name] for name in names})
        return module.Points(names, ring.points, ring.owners)
    if kind == "jump":
        return module.Jump(names)
    if kind == "maglev":
        return module.Slots(names, Maglev({name: WEIGHTS[name] for name in names}, table_size=1009).table)
    if kind == "rendezvous":
        weights = np.array([WEIGHTS[name] for name in names])
        return module.Scores(
            names, np.arange(len(names), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15), weights
        )
    if kind == "probes":
        at = np.full(len(names) + points.PAD, (1 << 64) - 1, np.uint64)
        at[: len(names)] = np.sort(HASHES[: len(names)])
        owners = np.append(np.arange(len(names), dtype=np.uint32), np.uint32(0))
        table = points.prefix_table(at)
        return module.Probes(names, at, owners, table, points.prefix_shift(len(table) - 1), 21)
    full = AnchorHash([f"bucket-{i}" for i in range(40)], capacity=40)
    for i in range(0, 34, 2):
        full = full.without_node(f"bucket-{i}")
    left, heirs = module.replayed(np.array(full.removed, np.uint32), 40)
    places = np.zeros(40, np.uint32)
    places[[i for i in range(40) if i not in full.removed]] = np.arange(23)
    return module.Anchor(names, left, heirs, places)


def ranked(made: Any) -> Any:
    """Return what gives the nodes of a key in order of preference; points are a ring's, and have the ring's word."""
    return made.replicas if hasattr(made, "replicas") else made.ranked


def test_both_place_alike(pair: tuple[ModuleType, ModuleType]) -> None:
    one, other = (made(module) for module in pair)
    assert one.nodes == other.nodes == NAMES
    assert one.search(HASHES).tolist() == other.search(HASHES).tolist()
    for n in (1, 3, 17, 23, 99):
        assert one.rows(HASHES, n).tolist() == other.rows(HASHES, n).tolist()
        assert [ranked(one)(key, n) for key in KEYS] == [ranked(other)(key, n) for key in KEYS]
    assert [one[key] for key in KEYS] == [other[key] for key in KEYS] == [one.lookup(key) for key in KEYS]


def refusal(work: Any, *arguments: Any) -> tuple[type[Exception], str]:
    """Return the class and the text of the error that `work` raises."""
    with pytest.raises((InvalidType, InvalidValue, EmptyRing)) as caught:
        work(*arguments)
    return type(caught.value), str(caught.value)


def test_both_refuse_alike(pair: tuple[ModuleType, ModuleType]) -> None:
    one, other = (made(module) for module in pair)
    for wrong in (None, True, -1, 1 << 64, 1.5, "\ud800", (1,)):
        assert refusal(one.lookup, wrong) == refusal(other.lookup, wrong)
        assert refusal(one.__getitem__, wrong) == refusal(other.__getitem__, wrong)
        assert refusal(ranked(one), wrong, 1) == refusal(ranked(other), wrong, 1)
    for n in (0, -1, True, "1", 2.0):
        assert refusal(ranked(one), "a", n) == refusal(ranked(other), "a", n)
        assert refusal(one.rows, HASHES, n) == refusal(other.rows, HASHES, n)


def test_both_refuse_the_same_numbers_of_buckets() -> None:
    if _twins.extension("jump") is None:
        pytest.skip("nothing is compiled")
    one, other = (_twins.load("jump", which, prefix=f"jump_{which}") for which in ("c", "python"))
    cannot_be = (-1, -(1 << 30), -(1 << 60), -(1 << 90), 1 << 64, 1 << 90, "2", 2.0, True)
    for arguments in [(1, buckets) for buckets in (0, 1 << 31, *cannot_be)] + [(key, 2) for key in cannot_be]:
        assert refusal(one.jump_hash, *arguments) == refusal(other.jump_hash, *arguments)
    # where an int has one digit more
    edges = [number for bits in (30, 60, 63) for number in ((1 << bits) - 1, 1 << bits)]
    for key in (0, 1, *edges, (1 << 64) - 1, np.int64(5)):
        for buckets in (1, 7, 257, (1 << 30) - 1, 1 << 30, (1 << 31) - 1):
            assert one.jump_hash(key, buckets) == other.jump_hash(key, buckets)


def test_the_classes_behind_the_placements_are_those_of_the_chosen_twin() -> None:
    for kind, name in ((JumpHash, "jump"), (MultiProbe, "probes"), (Rendezvous, "rendezvous")):
        assert f"ringfence._core.{name}" in [base.__module__ for base in kind.__mro__]


def test_the_modules_of_a_twin_use_one_another(core: SimpleNamespace) -> None:
    assert core.hashing.column_hashes is core.columns.hashes
