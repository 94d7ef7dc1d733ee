"""How long the phases of a transaction may take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ringfence.errors import InvalidType, InvalidValue

_PAUSES = (0.0, 0.02, 0.1)
_LONGEST = 0.5


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds for the phases of a transaction, beside what each store itself waits for an answer.

    Attributes:
        prepare: until every branch has voted; a transaction whose votes came later is rolled back. None for no bound.
        decide: that are let pass, in all, between attempts to get a decision answered; then it is in doubt.
        commit: that are let pass, in all, between attempts to tell a branch; then that is left to recovery.

    Raises:
        InvalidType: one is no number.
        InvalidValue: one is below 0 or not finite.
    """

    prepare: float | None = None
    decide: float = 0.2
    commit: float = 0.2

    def __post_init__(self) -> None:
        if self.prepare is not None:
            check_seconds("prepare", self.prepare)
        check_seconds("decide", self.decide)
        check_seconds("commit", self.commit)


def check_seconds(name: str, value: object) -> None:
    """Refuse what is no time to wait.

    Raises:
        InvalidType: `value` is no number.
        InvalidValue: it is below 0 or not finite.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InvalidType(f"{name} is a number of seconds, not {value!r}")
    if not 0 <= value < float("inf"):
        raise InvalidValue(f"{name} is at least 0 and finite, not {value!r}")


DEFAULT = Timeouts()


def pauses(seconds: float) -> Iterator[float]:
    """How long to wait before each further attempt at a request that was not answered: `seconds` at most, in all."""
    for pause in _PAUSES:
        if pause > seconds:
            return
        seconds -= pause
        yield pause
    while seconds >= _LONGEST:
        seconds -= _LONGEST
        yield _LONGEST
