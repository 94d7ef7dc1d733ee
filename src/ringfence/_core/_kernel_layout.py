"""The building of sorted points, interpreted; `_kernel_layout.pxd` holds the same names, compiled."""

from __future__ import annotations

import numpy as np

from ringfence._core._kernel_array import Indices, Words


def fill_points(points: Words, start: int, count: int, state: int) -> None:
    """Put the first `count` outputs of SplitMix64 (Steele, Lea, Flood 2014) seeded with `state` at `start`."""
    x = np.uint64(state) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E37_79B9_7F4A_7C15)
    x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58_476D_1CE4_E5B9)
    x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D0_49BB_1331_11EB)
    points[start : start + count] = x ^ x >> np.uint64(31)


def sort_points(points: Words, owners: Indices, count: int) -> None:
    """Sort the first `count` points with their owners, in place; equal points keep their order."""
    order = np.argsort(points[:count], kind="stable")
    points[:count] = points[:count][order]
    owners[:count] = owners[:count][order]


def fill_table(table: Indices, points: Words, count: int, shift: int) -> None:
    """Put into `table[b]` the position of the first point whose top bits are `b` or more."""
    starts = np.arange(len(table) - 1, dtype=np.uint64) << np.uint64(shift)
    table[:-1] = np.searchsorted(points[:count], starts)
    table[-1] = count


def shift_table(table: Indices, old: Indices, added: Words, shift: int) -> None:
    """Put into `table` what `old` becomes when the sorted points `added` are merged in."""
    table[:] = old + np.searchsorted(added >> np.uint64(shift), np.arange(len(table), dtype=np.uint64))


def merge_points(
    points: Words, owners: Indices, count: int, added: Words, owner: int, to_points: Words, to_owners: Indices
) -> None:
    """Merge the sorted points `added` of a new node `owner` in; the nodes from there on count one higher."""
    total = count + len(added)
    moved = owners[:count] + (owners[:count] >= owner).astype(np.uint32)
    all_points = np.concatenate([points[:count], added])
    all_owners = np.concatenate([moved, np.full(len(added), owner, np.uint32)])
    order = np.lexsort((all_owners, all_points))
    to_points[:total] = all_points[order]
    to_owners[:total] = all_owners[order]


def drop_points(
    points: Words, owners: Indices, count: int, owner: int, to_points: Words, to_owners: Indices
) -> None:
    """Leave out the points of the node `owner`; the nodes after it count one lower."""
    kept = owners[:count] != owner
    left = int(kept.sum())
    rest = owners[:count][kept]
    to_points[:left] = points[:count][kept]
    to_owners[:left] = rest - (rest > owner).astype(np.uint32)
