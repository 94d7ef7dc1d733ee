"""What every placement keeps, for any nodes, weights, zones and options: agreement, balance, replicas and round trips.

docs/testing.md has the table of which property is held where.
"""

import copy
import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.placement import AnchorHash, HashRing, JumpHash, Maglev, MultiProbe, Node, Rendezvous

FORMAT = (Path(__file__).parent.parent.parent / "docs" / "placement-format.md").read_text(encoding="utf-8")
KEYS: list[Any] = ["", "a", "é", b"\xff", 0, 1, (1 << 64) - 1, *(f"user:{i}" for i in range(30))]
NUMBERS = np.arange(20_000, dtype=np.uint64)
SEEDS = st.integers(0, (1 << 32) - 1)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
weights = st.floats(0.01, 20)
zones = st.sampled_from([None, "x", "y"])

OPTIONS: dict[Any, Any] = {
    HashRing: st.fixed_dictionaries({"vnodes": st.integers(1, 60), "seed": SEEDS}),
    Rendezvous: st.fixed_dictionaries({"seed": SEEDS}),
    JumpHash: st.just({}),
    MultiProbe: st.fixed_dictionaries({"probes": st.integers(1, 30), "seed": SEEDS}),
    Maglev: st.fixed_dictionaries({"table_size": st.sampled_from([13, 101, 1009])}),
    AnchorHash: st.fixed_dictionaries({"capacity": st.integers(10, 40)}),
}
WEIGHTED = (HashRing, Rendezvous, Maglev)
every = pytest.mark.parametrize("kind", OPTIONS, ids=lambda kind: kind.__name__)


@st.composite
def made(draw: st.DrawFn, kind: Any) -> Any:
    """Draw a placement of a kind."""
    weight = weights if kind in WEIGHTED else st.just(1.0)
    nodes = draw(
        st.lists(st.builds(Node, names, weight, zones), min_size=1, max_size=9, unique_by=lambda n: n.name)
    )
    return kind(nodes, **draw(OPTIONS[kind]), epoch=draw(st.integers(0, 1 << 40)))


def documented() -> dict[str, Any]:
    """Return what the program of docs/placement-format.md defines."""
    program = re.search(r"```python\n(.*?)```", FORMAT, re.DOTALL)
    assert program is not None
    namespace: dict[str, Any] = {}
    exec(program[1], namespace)
    return namespace


@given(
    made(HashRing),
    st.lists(st.integers(0, (1 << 64) - 1) | st.text(st.characters(codec="utf-8")), max_size=20),
)
def test_a_ring_is_the_program_of_its_format(ring: Any, more: list[Any]) -> None:
    program = documented()
    weights = {name: ring.node(name).weight for name in ring}
    points = program["ring"](weights, ring.vnodes, ring.seed)
    keys = [*KEYS, *more]
    expected = [program["owner"](points, key, ring.hash) for key in keys]
    assert [ring[key] for key in keys] == expected
    assert [ring.nodes[i] for i in ring.lookup_many(keys)] == expected


@every
@settings(max_examples=25)
@given(data=st.data(), n=st.integers(1, 11))
def test_replicas_are_distinct_whatever_is_asked(kind: Any, data: st.DataObject, n: int) -> None:
    placement = data.draw(made(kind))
    rows = placement.replicas_many(KEYS, n)
    assert rows.shape == (len(KEYS), min(n, len(placement)))
    assert rows[:, 0].tolist() == placement.lookup_many(KEYS).tolist()
    for key, row in zip(KEYS, rows.tolist(), strict=True):
        found = placement.replicas(key, n)
        assert [placement.nodes[i] for i in row] == list(found)
        assert len(set(found)) == len(found)
        assert set(placement.replicas(key, n, distinct="zone")) <= set(placement.nodes)


@every
@settings(max_examples=25)
@given(data=st.data())
def test_a_round_trip_changes_nothing(kind: Any, data: st.DataObject) -> None:
    placement = data.draw(made(kind))
    again = [pickle.loads(pickle.dumps(placement, p)) for p in range(pickle.HIGHEST_PROTOCOL + 1)]
    for other in (
        *again,
        copy.copy(placement),
        copy.deepcopy(placement),
        from_json(kind, to_json(placement)),
    ):
        assert other == placement
        assert hash(other) == hash(placement)
        assert (other.epoch, other.nodes) == (placement.epoch, placement.nodes)
        assert [other.node(name) for name in other] == [placement.node(name) for name in placement]
        assert other.lookup_many(KEYS).tolist() == placement.lookup_many(KEYS).tolist()
        assert other.replicas_many(KEYS, 3).tolist() == placement.replicas_many(KEYS, 3).tolist()


OPTION_NAMES = ("vnodes", "seed", "probes", "table_size", "capacity", "epoch")


def to_json(placement: Any) -> str:
    """Write a placement as anyone would: its nodes in order, and its options."""
    nodes = [placement.node(name) for name in placement.nodes]
    options = {name: getattr(placement, name) for name in OPTION_NAMES if hasattr(placement, name)}
    return json.dumps({"nodes": [(n.name, n.weight, n.zone) for n in nodes], "options": options})


def from_json(kind: Any, text: str) -> Any:
    read = json.loads(text)
    return kind([Node(*node) for node in read["nodes"]], **read["options"])


BOUNDS: dict[Any, tuple[float, float]] = {
    HashRing: (0.5, 1.7),  # about 8 per cent of deviation, with 160 vnodes
    Rendezvous: (0.85, 1.15),  # no more than chance
    JumpHash: (0.85, 1.15),
    AnchorHash: (0.85, 1.15),
    Maglev: (0.85, 1.15),
}


@pytest.mark.parametrize("kind", BOUNDS, ids=lambda kind: kind.__name__)
@settings(max_examples=25)
@given(nodes=st.lists(names, min_size=2, max_size=8, unique=True))
def test_the_load_is_bounded_for_any_names(kind: Any, nodes: list[str]) -> None:
    placement = kind(nodes, **({"capacity": 12} if kind is AnchorHash else {}))
    load = np.bincount(placement.lookup_many(NUMBERS), minlength=len(nodes)) / len(NUMBERS) * len(nodes)
    least, most = BOUNDS[kind]
    assert least <= load.min()
    assert load.max() <= most


@settings(max_examples=25)
@given(seed=SEEDS)
def test_many_probes_bound_the_fullest_of_many_nodes(seed: int) -> None:
    placement = MultiProbe([f"node{i}" for i in range(100)], seed=seed)
    assert np.bincount(placement.lookup_many(NUMBERS), minlength=100).max() < 1.6 * len(NUMBERS) / 100


@pytest.mark.parametrize("kind", WEIGHTED, ids=lambda kind: kind.__name__)
@settings(max_examples=25)
@given(shares=st.dictionaries(names, st.sampled_from([0.5, 1.0, 2.0, 4.0]), min_size=2, max_size=6))
def test_the_load_is_bounded_by_the_weights(kind: Any, shares: dict[str, float]) -> None:
    placement = kind(shares)
    load = np.bincount(placement.lookup_many(NUMBERS), minlength=len(shares)) / len(NUMBERS)
    fair = np.array([shares[name] for name in placement.nodes]) / sum(shares.values())
    least, most = (0.4, 1.8) if kind is HashRing else (0.7, 1.3)  # the lightest have few vnodes, and few keys
    assert (load >= least * fair).all()
    assert (load <= most * fair).all()
