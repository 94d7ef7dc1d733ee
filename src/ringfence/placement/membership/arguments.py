"""What memberships accept; everything else is refused before any I/O."""

from __future__ import annotations

from typing import TypedDict

from ringfence.errors import InvalidType, InvalidValue
from ringfence.placement.protocol import Placement


class Options(TypedDict, total=False):
    """The options of `Membership`, which explains them."""

    debounce: float
    hold: float
    poll: float
    allow_empty: bool
    watch: bool


def check_ring(ring: object) -> Placement:
    """Return a placement; raise `InvalidType` for anything else."""
    if isinstance(ring, type) or not isinstance(ring, Placement):
        raise InvalidType(f"a membership begins with a Placement like HashRing(), not {ring!r}")
    return ring


def check_seconds(what: str, value: object, low: float, high: float = 86_400.0) -> float:
    """Return a number of seconds in low <= value <= high; `what` names it in an error.

    Raises:
        InvalidType: it is not a number.
        InvalidValue: it is out of these bounds, or NaN.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidType(f"{what} is a number of seconds, not {value!r}")
    if not low <= value <= high:
        raise InvalidValue(f"{what} is from {low:g} to {high:g} seconds, not {value!r}")
    return float(value)
