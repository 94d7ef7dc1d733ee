"""Keys on the circles of other systems, interpreted; `_kernel_circles.pxd` holds the same names, compiled."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ringfence._core._kernel_array import Indices, Words
from ringfence._core._kernel_search import find


class Rule(NamedTuple):
    """How wide a circle is, and whether a key belongs to the point after its hash instead of at or after it."""

    bits: int
    after: bool


def rule_of(
    kind: int,  # noqa: ARG001 as the compiled twin has it
    bits: int,
    after: bool,
    takes_text: bool,  # noqa: ARG001
    takes_bytes: bool,  # noqa: ARG001
    tag: str | None,  # noqa: ARG001
) -> Rule:
    """Return how keys are placed; compiled, also how they are hashed."""
    return Rule(bits, after)


def find_key(
    points: list[int],  # noqa: ARG001 as the compiled twin has it
    lows: list[int],  # noqa: ARG001
    table: list[int],  # noqa: ARG001
    shift: int,  # noqa: ARG001
    count: int,  # noqa: ARG001
    rule: Rule,  # noqa: ARG001
    key: Any,  # noqa: ARG001
) -> int:
    """Return -1, for a key whose place is to be computed outside; compiled, the position of most keys' points."""
    return -1


def find_place(
    points: list[int],
    lows: list[int],
    table: list[int],
    shift: int,
    count: int,
    rule: Rule,
    high: int,
    low: int,
) -> int:
    """Return the position of the point of a place: its upper 64 bits and what is below them."""
    if rule.bits <= 64:
        return find(points, table, shift, high + rule.after)
    at = bisect_left(points, high, 0, count)
    while at < count and points[at] == high and (lows[at] < low or (rule.after and lows[at] == low)):
        at += 1
    return at


def place_list(keys: list[Any], rule: Rule, key_hash: Callable[[Any], int], out: Words) -> None:
    """Put the upper 64 bits of the place of each key into `out`, one more where the next point is after them."""
    hashes = map(key_hash, keys)
    if rule.bits > 64:
        places = (h >> rule.bits - 64 for h in hashes)
    else:
        places = ((h << 64 - rule.bits) + rule.after for h in hashes)
    out[:] = np.fromiter(places, np.uint64, len(out))


def find_highs(
    points: Words,
    table: Indices,  # noqa: ARG001 as the compiled twin has it
    shift: int,  # noqa: ARG001
    owners: Indices,
    highs: Words,
    out: Indices,
) -> list[int]:
    """Put the owner of each place into `out`; return the rows of those that share their upper bits with a point."""
    found = np.searchsorted(points, highs)
    out[:] = owners[found]
    ties: list[int] = np.flatnonzero(points[found] == highs).tolist()
    return ties
