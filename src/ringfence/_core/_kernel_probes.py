"""Multi-probe hashing (Appleton, O'Reilly 2015), interpreted; `_kernel_probes.pxd` holds the same names, compiled.

Every node has one point. Probe `i` of a hash `h` stands at `h + i * (mix64(h) | 1)`, modulo 2**64. A node's distance
is that from its nearest probe, clockwise; the least distance owns, of equal ones the least point.
"""

from __future__ import annotations

from ringfence._core._kernel_array import Indices, Words
from ringfence._core._kernel_murmur import mix64
from ringfence._core._kernel_search import find

_MASK = 0xFFFF_FFFF_FFFF_FFFF


def nearest(h: int, points: list[int], table: list[int], shift: int, count: int, probes: int) -> int:
    """Return the position of the point nearest to a probe."""
    return _row(h, points, table, shift, count, probes, 1)[0]


def nearest_many(
    hashes: Words, points: Words, table: Indices, shift: int, owners: Indices, probes: int, out: Indices
) -> None:
    """Put the owner of each hash into `out`, which is as long; compiled, without the GIL."""
    point, starts, count = points.tolist(), table.tolist(), len(owners) - 1
    out[:] = [owners[nearest(h, point, starts, shift, count, probes)] for h in hashes.tolist()]


def probes_ranked(
    h: int,
    points: list[int],
    table: list[int],
    shift: int,
    owners: list[int],
    probes: int,
    names: tuple[str, ...],
    wanted: int,
) -> tuple[str, ...]:
    """Return the names of the `wanted` nearest nodes, the nearest first."""
    return tuple(names[owners[at]] for at in _row(h, points, table, shift, len(names), probes, wanted))


def probes_rows(
    hashes: Words, points: Words, table: Indices, shift: int, owners: Indices, probes: int, out: Indices
) -> None:
    """Put the nearest nodes into the row of each hash; compiled, without the GIL."""
    point, starts, count = points.tolist(), table.tolist(), len(owners) - 1
    for row, h in enumerate(hashes.tolist()):
        out[row] = owners[_row(h, point, starts, shift, count, probes, out.shape[1])]


def _row(
    h: int, points: list[int], table: list[int], shift: int, count: int, probes: int, wanted: int
) -> list[int]:
    step = mix64(h) | 1
    distances: dict[int, int] = {}
    for _ in range(probes):
        start = find(points, table, shift, h)
        for further in range(wanted):  # a node further on is preceded by `wanted` nearer ones
            at = (start + further) % count
            distances[at] = min(distances.get(at, _MASK), points[at] - h & _MASK)
        h = h + step & _MASK
    return sorted(distances, key=lambda at: (distances[at], at))[:wanted]
