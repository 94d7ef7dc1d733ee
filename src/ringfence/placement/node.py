"""A member of a ring."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from ringfence.errors import InvalidType, InvalidValue


@dataclass(frozen=True, slots=True)
class Node:
    """A member of a ring: a name that never changes, a weight, and the zone it stands in.

    Args:
        name: identifies the node for good; keys follow it, so do not use an address that may change.
        weight: its share of the keys in proportion to the other nodes' weights; finite and above 0.
        zone: the failure domain it belongs to, if any; it does not move keys.

    Raises:
        InvalidType: an argument of another type.
        InvalidValue: an empty name or one with lone surrogates, or a weight that is not finite and above 0.
    """

    name: str
    weight: float = 1.0
    zone: str | None = None

    def __post_init__(self) -> None:
        _check_name(self.name)
        object.__setattr__(self, "weight", _checked_weight(self.name, self.weight))
        if not isinstance(self.zone, str | None):
            raise InvalidType(f"zone must be a str or None, not {type(self.zone).__name__}: {self.zone!r}")


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise InvalidType(f"a node's name must be a str, not {type(name).__name__}: {name!r}")
    if not name:
        raise InvalidValue("a node's name must not be empty")
    if not name.isascii():
        _check_utf8(name)


def _check_utf8(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InvalidValue(f"a node's name must have UTF-8, not lone surrogates: {name!r}") from None


def _checked_weight(name: str, weight: object) -> float:
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise InvalidType(f"the weight of {name!r} must be a number, not {type(weight).__name__}: {weight!r}")
    if not 0 < weight <= sys.float_info.max:  # an int may be larger than any float
        raise InvalidValue(f"the weight of {name!r} must be finite and above 0, not {weight!r}")
    return float(weight)
