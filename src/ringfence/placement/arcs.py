"""The arcs into which points cut the circle of hashes, and which exact part of it a node has."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringfence._core.points import PAD, Points, Words

_SPACE = 1 << 64
_PIECE = 22  # bits: 2**28 arcs of a piece each add up below 2**53, exactly also as float64


def ends(*rings: Points) -> Words:
    """Return the distinct points of rings, sorted: where arcs end; 0 for rings without any, whose arc is the circle."""
    points = np.concatenate([ring.points[:-PAD] for ring in rings])
    if not len(points):
        return np.zeros(1, np.uint64)
    points.sort(kind="stable")  # merges the runs
    distinct: Words = points[np.append(True, points[1:] != points[:-1])]
    return distinct


def shares(starts: Words, stops: Words, groups: NDArray[Any], count: int) -> list[Fraction]:
    """Return which part of the circle the arcs of each group are together, exactly.

    Args:
        starts: before the first hash of each arc.
        stops: the last hash of each arc; an arc is the whole circle where both are equal.
        groups: 0 <= group < count of each arc.
        count: of the groups.
    """
    spans = stops - starts - np.uint64(1)  # one less than the length, as the whole circle is 2**64
    totals = [int(number) for number in np.bincount(groups, minlength=count)]
    for shift in range(0, 64, _PIECE):
        pieces = spans >> np.uint64(shift) & np.uint64((1 << _PIECE) - 1)
        sums = np.bincount(groups, weights=pieces, minlength=count)
        totals = [total + (int(part) << shift) for total, part in zip(totals, sums, strict=True)]
    return [Fraction(total, _SPACE) for total in totals]


def load(ring: Points) -> dict[str, Fraction]:
    """Return which part of the hash space each node owns, exactly; empty for a ring without nodes."""
    if not ring.nodes:
        return {}
    stops = ends(ring)
    parts = shares(np.roll(stops, 1), stops, ring.search(stops), len(ring.nodes))
    return dict(zip(ring.nodes, parts, strict=True))
