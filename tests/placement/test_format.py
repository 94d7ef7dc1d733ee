"""Placement is a stored format: golden vectors, and the program in the documentation, hold it fixed."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ringfence.placement import HashRing

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE / "golden.json").read_text())
PROGRAM = re.search(
    r"```python\n(.*?)```", (HERE.parent.parent / "docs" / "placement-format.md").read_text(), re.DOTALL
)
KEYS: list[Any] = [
    *("", "a", "user:123456", "é", "\U0001f600", "x" * 15, "x" * 16, "x" * 17, "x" * 33),
    *(b"", b"\xff\x00", bytes(range(64))),
    *(0, 1, 42, (1 << 63), (1 << 64) - 1),
    *(f"user:{i}" for i in range(300)),
    *range(1000, 1100),
]


@pytest.mark.parametrize("case", GOLDEN["rings"], ids=lambda case: case["what"])
def test_golden_rings(case: dict[str, Any]) -> None:
    ring = HashRing(
        case["weights"], vnodes=case["vnodes"], seed=case["seed"], hash=case.get("hash", "murmur3")
    )
    assert ring.points[: len(case["first_points"])].tolist() == case["first_points"]
    assert list(ring.nodes) == case["nodes"]
    assert ring.lookup_many(KEYS).tolist() == case["owners"]
    assert [list(ring.replicas(key, 3)) for key in KEYS[:20]] == case["replicas"]


@pytest.mark.parametrize("case", GOLDEN["rings"], ids=lambda case: case["what"])
def test_the_program_in_the_documentation_places_alike(case: dict[str, Any]) -> None:
    assert PROGRAM is not None
    documented: dict[str, Any] = {}
    exec(PROGRAM[1], documented)
    points = documented["ring"](case["weights"], case["vnodes"], case["seed"])
    ring = HashRing(
        case["weights"], vnodes=case["vnodes"], seed=case["seed"], hash=case.get("hash", "murmur3")
    )
    names = [ring.nodes[owner] for owner in ring.owners[:-1]]
    assert [
        (point, name.encode()) for point, name in zip(ring.points.tolist(), names, strict=False)
    ] == points
    for key in KEYS:
        assert documented["owner"](points, key, ring.hash) == ring[key]


def test_points_spread_as_evenly_as_random_ones() -> None:
    ring = HashRing([f"node-{i}" for i in range(100)])
    assert max_over_mean(ring.points[:-4], ring.owners[:-1]) < 1.35
    rng = np.random.default_rng(5)
    ours = [
        max_over_mean(r.points[:-4], r.owners[:-1]) for r in (HashRing(ring.nodes, seed=s) for s in range(20))
    ]
    random = [
        max_over_mean(np.sort(rng.integers(0, 1 << 64, 16000, np.uint64)), rng.permutation(ring.owners[:-1]))
        for _ in range(20)
    ]
    assert abs(np.mean(ours) - np.mean(random)) < 0.05


def max_over_mean(points: Any, owners: Any) -> float:
    arcs = (points - np.roll(points, 1)).astype(float)
    share = np.bincount(owners, weights=arcs)
    return float(share.max() / share.mean())
