"""Rows of nodes in order of preference, interpreted; `_kernel_rows.pxd` holds the same names, compiled."""

from __future__ import annotations

from ringfence._core._kernel_array import Indices, Words
from ringfence._core._kernel_search import find

_MASK = 0xFFFF_FFFF_FFFF_FFFF


def splitmix64(state: int, number: int) -> int:
    """Return an output of SplitMix64 (Steele, Lea, Flood 2014) seeded with `state`."""
    x = state + (number + 1) * 0x9E37_79B9_7F4A_7C15 & _MASK
    x = (x ^ x >> 30) * 0xBF58_476D_1CE4_E5B9 & _MASK
    x = (x ^ x >> 27) * 0x94D0_49BB_1331_11EB & _MASK
    return x ^ x >> 31


def walk(owners: list[int], count: int, start: int, wanted: int) -> list[int]:
    """Return the first `wanted` distinct owners from position `start` on, round the circle."""
    found: dict[int, None] = {}
    while len(found) < wanted:
        start = start if start < count else 0
        found[owners[start]] = None
        start += 1
    return list(found)


def ring_rows(
    points: Words,
    table: Indices,
    shift: int,
    owners: Indices,
    nodes: int,  # noqa: ARG001 as the compiled twin has it
    hashes: Words,
    out: Indices,
) -> None:
    """Put the distinct owners met from each hash on into its row of `out`; compiled, without the GIL."""
    point, starts, of = points.tolist(), table.tolist(), owners.tolist()
    for row, h in enumerate(hashes.tolist()):
        out[row] = walk(of, len(of) - 1, find(point, starts, shift, h), out.shape[1])
