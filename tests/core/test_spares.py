"""The memory of dead rings, which serves later ones and none that is still looked at."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from ringfence import _core
from ringfence.placement import HashRing

NAMES = [f"node-{i}" for i in range(200)]


def addresses(ring: HashRing) -> set[int]:
    return {array.ctypes.data for array in (ring.points, ring.owners, ring.table)}


def test_a_later_ring_lies_where_a_dead_one_did(compiled: Callable[[str], bool]) -> None:
    if not compiled("points") or _core.IMPLEMENTATION != "c":
        pytest.skip("the allocator of NumPy serves the pure twin")
    ring = HashRing(NAMES, vnodes=500)
    for _ in range(3):
        other = ring.with_node("other")
        places = addresses(other)
        del other
        assert addresses(ring.with_node("another")) & places


def test_what_is_still_looked_at_is_left_alone() -> None:
    base = HashRing(NAMES, vnodes=500)
    kept: list[tuple[Any, Any]] = []
    for i in range(12):
        ring = base.with_node(f"new-{i}")
        view = (ring.points, ring.owners[::7], ring.table[5:])[i % 3]
        kept.append((view, view.copy()))
        del ring, view
    for view, copy in kept:
        assert np.array_equal(view, copy)
        assert not view.flags.writeable


def test_rings_made_and_dropped_by_many_threads_are_right() -> None:
    base = HashRing(NAMES, vnodes=200)
    expected = {i: HashRing([*NAMES, f"new-{i}"], vnodes=200) for i in range(4)}

    def work(i: int) -> None:
        for _ in range(25):
            ring = base.with_node(f"new-{i}")
            for name in ("points", "owners", "table"):
                assert np.array_equal(getattr(ring, name), getattr(expected[i], name))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))


@pytest.mark.parametrize("vnodes", [1, 80, 3000])
def test_rings_of_any_size(vnodes: int) -> None:
    ring = HashRing(NAMES, vnodes=vnodes)
    changed = ring.with_node("new").without_node("new")
    for name in ("points", "owners", "table"):
        assert np.array_equal(getattr(ring, name), getattr(changed, name))
        assert getattr(ring, name).dtype == getattr(changed, name).dtype
