"""Ring search, interpreted; `_kernel_search.pxd` holds the same names, compiled."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import numpy as np

from ringfence._core import _checks
from ringfence._core._kernel_array import Indices, Words


def find(points: list[int], table: list[int], shift: int, h: int) -> int:
    """Return the position of the first point at or after `h`; the number of points when there is none.

    `table[b]` says where the points with the top bits `b` begin. Compiled, a few are looked at from there, and what
    is left of the bucket, if anything, is searched by halves.
    """
    bucket = h >> shift
    return bisect_left(points, h, table[bucket], table[bucket + 1])


def find_many(
    points: Words,
    table: Indices,  # noqa: ARG001 as the compiled twin has it
    shift: int,  # noqa: ARG001
    owners: Indices,
    hashes: Words,
    out: Indices,
) -> None:
    """Put the owner of each hash into `out`, which is as long; compiled, without the GIL."""
    out[:] = owners[np.searchsorted(points, hashes)]


def replica_count(n: Any, most: int) -> int:
    """Return `n`, checked, but no more than `most`."""
    return _checks.replica_count(n, most)


def distinct(
    owners: list[int], count: int, start: int, names: tuple[str, ...], wanted: int
) -> tuple[str, ...]:
    """Return the first `wanted` distinct owners from position `start` on, round the ring."""
    found: dict[int, None] = {}
    while len(found) < wanted:
        found[owners[start]] = None
        start = start + 1 if start + 1 < count else 0
    return tuple(names[owner] for owner in found)
