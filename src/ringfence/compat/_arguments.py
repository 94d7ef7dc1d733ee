"""Checks of arguments that all systems share, made before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from ringfence._core import _checks
from ringfence.errors import InvalidType, InvalidValue
from ringfence.placement.arguments import integer as integer  # the same for all systems

T = TypeVar("T")
MOST_POINTS = 1 << 24
"""Rings of more points, some gigabytes, are taken for mistakes."""


def point_count(count: int) -> int:
    """Return how many points a ring is to have.

    Raises:
        InvalidValue: they would fill the memory, where the original does just that.
    """
    if count > MOST_POINTS:
        raise InvalidValue(f"a ring of {count} points is too large (at most 2**24); lower the weights")
    return count


def number(what: str, value: Any) -> float:
    """Return a finite int or float above 0, as it is.

    Raises:
        InvalidType: it is neither.
        InvalidValue: it is not finite and above 0.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidType(f"{what} must be a number, not {type(value).__name__}: {value!r}")
    if not 0 < value < float("inf"):
        raise InvalidValue(f"{what} must be finite and above 0, not {value!r}")
    return value


def one_of(what: str, value: str, known: Mapping[str, T]) -> T:
    """Return what `known` has under `value`.

    Raises:
        InvalidValue: nothing; the message lists what there is.
    """
    if not isinstance(value, str) or value not in known:
        raise InvalidValue(f"{what} must be one of {', '.join(map(repr, known))}, not {value!r}")
    return known[value]


def members(
    nodes: Mapping[str, Any] | Iterable[str], check: Callable[[str, Any], T], what: str = "node"
) -> dict[str, T]:
    """Return the nodes with their weights, in the order given; a weight is 1 where only names are given.

    Args:
        nodes: names, or a mapping of names to weights.
        check: from what a weight is called in messages, and the weight, to the weight used.
        what: what a node is called in messages.

    Raises:
        InvalidType: a name that is no str, or `nodes` is a single one.
        InvalidValue: no node, an empty name, one with lone surrogates, or two of one name.
    """
    if isinstance(nodes, str | bytes) or not isinstance(nodes, Iterable):
        raise InvalidType(f"{what}s must be names or a mapping of names to weights, not {nodes!r}")
    weights = nodes if isinstance(nodes, Mapping) else _weightless(list(nodes), what)
    if not weights:
        raise InvalidValue(f"there must be at least one {what}")
    for name in weights:
        name_of(name, what)
    return {name: check(f"the weight of {name!r}", weight) for name, weight in weights.items()}


def _weightless(names: list[Any], what: str) -> dict[Any, int]:
    seen: dict[Any, int] = {}
    for name in names:
        if name_of(name, what) in seen:
            raise InvalidValue(f"the {what} {name!r} is named twice")
        seen[name] = 1
    return seen


def name_of(name: Any, what: str) -> str:
    """Return the name of a node, checked."""
    if not isinstance(name, str):
        raise InvalidType(f"the name of a {what} must be a str, not {type(name).__name__}: {name!r}")
    if not name:
        raise InvalidValue(f"the name of a {what} must not be empty")
    utf8(name)
    return name


def whole(low: int, high: int | None = None) -> Callable[[str, Any], int]:
    """Return a check for weights that are ints in low <= weight <= high."""
    return lambda what, weight: integer(what, weight, low, high)


def host_and_port(server: str) -> tuple[str, int]:
    """Split `host:port`; what stands before the last colon is the host, as it is.

    Raises:
        InvalidValue: it has another form.
    """
    host, _, port = server.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise InvalidValue(f"a server must have the form 'host:port', not {server!r}")
    return host, int(port)


def key_bytes(key: Any) -> bytes:
    """Return the bytes of a key: a str as its UTF-8, bytes as they are.

    Raises:
        InvalidType: it is neither.
        InvalidValue: a str with lone surrogates.
    """
    if isinstance(key, str):
        return utf8(key)
    if isinstance(key, bytes):
        return key
    raise InvalidType(f"key must be a str or bytes, not {type(key).__name__}: {key!r}")


def utf8(text: str) -> bytes:
    """Return the UTF-8 of a str.

    Raises:
        InvalidValue: it has lone surrogates.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        _checks.refuse_surrogates(text)
