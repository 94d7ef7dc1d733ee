"""The clocks of tests."""

from __future__ import annotations

import pytest

from ringfence.errors import InvalidValue
from ringfence.testing.clock import FakeClock, SkewedClock


def test_it_stands_still_until_it_is_moved() -> None:
    clock = FakeClock(100.0)
    assert (clock(), clock()) == (100.0, 100.0)
    clock.advance(2.5)
    clock.advance_to(200.0)
    assert clock() == 200.0


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_it_never_goes_back(seconds: float) -> None:
    clock = FakeClock(100.0)
    with pytest.raises(InvalidValue, match="never goes back"):
        clock.advance(seconds)
    with pytest.raises(InvalidValue, match="never goes back"):
        clock.advance_to(seconds)
    assert clock() == 100.0


def test_a_skewed_clock_is_off_by_its_offset_and_its_drift() -> None:
    true = FakeClock()
    skewed = SkewedClock(true, offset=5.0, drift=0.1)
    true.advance(10.0)
    assert skewed() == pytest.approx(16.0)
    assert skewed.true_time(16.0) == pytest.approx(10.0)
    assert skewed.true_seconds(1.1) == pytest.approx(1.0)
