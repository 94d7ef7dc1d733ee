"""A failure detector that suspects, and never decides: phi accrual.

Hayashibara, Défago, Yared, Katayama: The φ Accrual Failure Detector (SRDS 2004). With the mean m and the standard
deviation s of the last intervals between heartbeats, and t seconds since the last one,

    phi(t) = -log10(P(an interval is longer than t)) = -log10(erfc((t - m) / (s √2)) / 2)

for normally distributed intervals, by the exact complementary error function and not by a logistic approximation. So
phi is 0.3 when a heartbeat is due, and a threshold of 8 errs once in 10**8 intervals, as far as they are normal.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable
from statistics import fmean

from ringfence.placement.membership.sources import Member

WINDOW = 200
"""How many intervals are remembered."""

_FEWEST = 3


class PhiAccrual:
    """Suspicion of one node, from when its heartbeats arrived; 0 until three intervals are known.

    Args:
        min_deviation: seconds; the standard deviation is never taken for less.
        window: how many intervals are remembered.
    """

    def __init__(self, min_deviation: float = 0.5, window: int = WINDOW) -> None:
        self._min_deviation = min_deviation
        self._intervals: deque[float] = deque(maxlen=window)
        self._mean = self._deviation = math.inf
        self._last = -math.inf
        self._exact = False  # whether a heartbeat arrived at `_last`

    def start(self, now: float) -> None:
        """Count silence from now on: when the last heartbeat arrived is not known."""
        self._last, self._exact = now, False

    def heartbeat(self, now: float) -> None:
        """Take note of a heartbeat that arrived."""
        if self._exact:
            self._intervals.append(now - self._last)
            self._mean = fmean(self._intervals)
            self._deviation = max(_deviation(self._intervals, self._mean), self._min_deviation)
        self._last, self._exact = now, True

    def phi(self, now: float) -> float:
        """Return the suspicion: 0 for none, 1 to err once in 10 intervals, 2 in 100, and so on without end."""
        if len(self._intervals) < _FEWEST:
            return 0.0
        return minus_log10_tail((now - self._last - self._mean) / self._deviation)


def minus_log10_tail(x: float) -> float:
    """Return -log10 of the probability that a standard normal variable is greater than x."""
    tail = math.erfc(x / math.sqrt(2)) / 2
    if tail > 1e-300:
        return max(0.0, -math.log10(tail))
    # Abramowitz and Stegun 26.2.12, as erfc underflows: off by less than 1/x**2 < 0.001
    return (x * x / 2 + math.log(x * math.sqrt(2 * math.pi))) / math.log(10)


def _deviation(intervals: Collection[float], mean: float) -> float:
    return math.sqrt(fmean((interval - mean) ** 2 for interval in intervals))


class Heartbeats:
    """Suspicion of all nodes, from readings of a source.

    Args:
        min_deviation: see `PhiAccrual`.
    """

    def __init__(self, min_deviation: float) -> None:
        self._min_deviation = min_deviation
        self._seen: dict[str, tuple[int, int]] = {}  # fence and beat
        self._detectors: dict[str, PhiAccrual] = {}
        self._interrupted = False

    def observe(self, members: Iterable[Member], now: float) -> dict[str, float]:
        """Take note of a reading, and return the suspicion of each node as of now."""
        listed = {member.node.name: (member.fence, member.beat) for member in members}
        detectors = {name: self._detector(name, *listed[name], now) for name in listed}
        self._seen, self._detectors, self._interrupted = listed, detectors, False
        return {name: detector.phi(now) for name, detector in detectors.items()}

    def interrupt(self) -> None:
        """Take note that the source could not be read, so that silence until the next reading says nothing."""
        self._interrupted = True

    def _detector(self, name: str, fence: int, beat: int, now: float) -> PhiAccrual:
        before = self._seen.get(name)
        same = before is not None and before[0] == fence  # another registration has another rhythm
        detector = self._detectors[name] if same else PhiAccrual(self._min_deviation)
        if not same or self._interrupted:
            detector.start(now)
        elif before != (fence, beat):
            detector.heartbeat(now)
        return detector
