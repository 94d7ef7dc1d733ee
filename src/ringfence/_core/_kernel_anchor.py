"""AnchorHash (Mendelson et al. 2020), interpreted; `_kernel_anchor.pxd` holds the same names, compiled.

`left[b]` is how many buckets were left when `b` was removed, 0 while it works (the paper's A); `heirs[b]` is who took
its place then (K); `places[b]` is the index of its node.
"""

from __future__ import annotations

from ringfence._core._kernel_array import Indices, Words
from ringfence._core._kernel_rows import splitmix64

_MASK = 0xFFFF_FFFF_FFFF_FFFF


def replay(removed: Indices, left: Indices, heirs: Indices) -> None:
    """Remove buckets one after the other (the paper's InitAnchor and RemoveBucket); fill `left` and `heirs`."""
    size = len(left)
    a, k = [0] * size, list(range(size))
    working, where = list(range(size)), list(range(size))  # W and L
    for count, bucket in zip(range(size - 1, -1, -1), removed.tolist(), strict=False):
        a[bucket] = count
        k[bucket] = working[where[bucket]] = working[count]
        where[working[count]] = where[bucket]
    left[:], heirs[:] = a, k


def below(h: int, count: int) -> int:
    """Scale the high 32 bits of `h` to 0 <= x < count."""
    return (h >> 32) * count >> 32


def anchor(h: int, left: list[int], heirs: list[int], size: int) -> int:
    """Return the working bucket of `h`."""
    bucket = below(h, size)
    while left[bucket]:
        heir = below(splitmix64(h, bucket), left[bucket])
        while left[heir] >= left[bucket]:
            heir = heirs[heir]
        bucket = heir
    return bucket


def anchor_many(hashes: Words, left: Indices, heirs: Indices, places: Indices, out: Indices) -> None:
    """Put the place of each hash's bucket into `out`, which is as long; compiled, without the GIL."""
    a, k, place = left.tolist(), heirs.tolist(), places.tolist()
    out[:] = [place[anchor(h, a, k, len(a))] for h in hashes.tolist()]


def anchor_row(
    h: int, left: list[int], heirs: list[int], places: list[int], size: int, wanted: int
) -> list[int]:
    """Return the first `wanted` distinct places of `h`, then of the outputs of SplitMix64 seeded with `~h`."""
    found = {places[anchor(h, left, heirs, size)]: None}
    number = 0
    while len(found) < wanted:
        found[places[anchor(splitmix64(h ^ _MASK, number), left, heirs, size)]] = None
        number += 1
    return list(found)


def anchor_ranked(
    h: int,
    left: list[int],
    heirs: list[int],
    places: list[int],
    size: int,
    names: tuple[str, ...],
    wanted: int,
) -> tuple[str, ...]:
    """Return the names of the row of `h`."""
    return tuple(names[place] for place in anchor_row(h, left, heirs, places, size, wanted))


def anchor_rows(hashes: Words, left: Indices, heirs: Indices, places: Indices, out: Indices) -> None:
    """Put the row of each hash into `out`; compiled, without the GIL."""
    a, k, place = left.tolist(), heirs.tolist(), places.tolist()
    for row, h in enumerate(hashes.tolist()):
        out[row] = anchor_row(h, a, k, place, len(a), out.shape[1])
