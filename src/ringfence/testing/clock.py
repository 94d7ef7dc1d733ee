"""Clocks that move when a test says so.

Every store and protocol of this library takes its clock as an input, so a test can hand it one of these
and pass ten seconds, or ten days, in no time.
"""

from __future__ import annotations

from ringfence.errors import InvalidValue


class FakeClock:
    """A clock that stands still until it is moved; called, it gives its time in seconds.

    Args:
        start: the first time shown, in seconds.

    Example:
        >>> clock = FakeClock(100.0)
        >>> clock.advance(2.5)
        >>> clock()
        102.5
    """

    __slots__ = ("_now",)

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def __call__(self) -> float:
        """The time, in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass.

        Raises:
            InvalidValue: `seconds` is negative; this clock, like `ringfence.protocol.now`, never goes back.
        """
        if not seconds >= 0:
            raise InvalidValue(f"advance({seconds!r}): a clock never goes back; give seconds >= 0")
        self._now += seconds

    def advance_to(self, when: float) -> None:
        """Move to the time `when`, in seconds.

        Raises:
            InvalidValue: `when` is in the past.
        """
        if not when >= self._now:
            raise InvalidValue(f"advance_to({when!r}): it is {self._now} already; a clock never goes back")
        self._now = when


class SkewedClock:
    """A clock of another machine: off by `offset` seconds, and `drift` seconds a second too fast.

    Args:
        true: the clock it should have been.
        offset: seconds it is ahead; negative is behind.
        drift: relative error of its rate; 0.01 gains 10 ms a second, -0.01 loses them.
    """

    __slots__ = ("_rate", "_true", "offset")

    def __init__(self, true: FakeClock, offset: float = 0.0, drift: float = 0.0) -> None:
        self._true = true
        self._rate = 1.0 + drift
        self.offset = offset

    def __call__(self) -> float:
        """The time that it shows, in seconds."""
        return self.offset + self._true() * self._rate

    def true_time(self, local: float) -> float:
        """The time on the true clock when this one shows `local`."""
        return (local - self.offset) / self._rate

    def true_seconds(self, local: float) -> float:
        """How long on the true clock, in seconds, while `local` seconds pass here."""
        return local / self._rate
