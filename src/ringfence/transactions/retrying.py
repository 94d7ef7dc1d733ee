"""Running a transaction again that came in the way of another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from ringfence.errors import Aborted, InvalidType, InvalidValue
from ringfence.protocol import Call, Effects, Sleep

FIRST = 0.01
"""Seconds that the pause before the first retry takes at most; each further one may take twice as long."""

LONGEST = 1.0
"""Seconds that no pause exceeds."""


def retrying(attempt: Callable[[], Any], retries: int, random: Random) -> Effects[Any]:
    """Call `attempt` until it is not aborted for a reason that may be gone soon; return what it returns.

    Pauses are drawn evenly between nothing and a bound that doubles ("full jitter"; Brooker, "Exponential backoff and
    jitter", AWS Architecture Blog, 2015), so that those who were in each other's way come back at different times.

    Args:
        attempt: runs the transaction once.
        retries: how often it is run again, at most.
        random: where the pauses come from.

    Raises:
        Aborted: for another reason, or once too often.
    """
    for pause in (*backoff(retries, random), None):
        try:
            return (yield Call(attempt, "__call__"))
        except Aborted as error:
            if not error.retryable or pause is None:
                raise
        yield Sleep(pause)
    raise AssertionError("unreachable")


def backoff(retries: int, random: Random) -> Iterator[float]:
    """The seconds to wait before each of `retries` further attempts."""
    for number in range(retries):
        yield random.uniform(0.0, min(LONGEST, FIRST * 2**number))


def check_retries(retries: object) -> None:
    """Refuse what is no number of retries.

    Raises:
        InvalidType: it is not an int.
        InvalidValue: it is below 0.
    """
    if not isinstance(retries, int) or isinstance(retries, bool):
        raise InvalidType(f"retries is a whole number, not {retries!r}")
    if retries < 0:
        raise InvalidValue(f"retries is at least 0, not {retries!r}")
