"""What a look-up on a ring reads does not grow with the ring."""

import numpy as np
import pytest

from ringfence._core.points import prefix_shift
from ringfence.placement import HashRing

HASHES = np.random.default_rng(1).integers(0, 1 << 64, 100_000, dtype=np.uint64)


@pytest.mark.parametrize("count", [10, 100, 1000, 10_000])
def test_a_look_up_passes_over_few_points_however_many_there_are(count: int) -> None:
    ring = HashRing([f"node{i}" for i in range(count)])
    shift = np.uint64(prefix_shift(len(ring.table) - 1))
    passed = np.searchsorted(ring.points[:-4], HASHES) - ring.table[HASHES >> shift]
    assert passed.min() >= 0
    assert passed.mean() < 1
    assert np.quantile(passed, 0.999) <= 6
