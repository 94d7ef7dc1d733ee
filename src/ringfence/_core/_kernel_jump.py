"""Jump consistent hash, interpreted; `_kernel_jump.pxd` holds the same names, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from ringfence._core import _checks
from ringfence._core._kernel_array import Indices, Words
from ringfence._core._kernel_rows import splitmix64

_MASK = 0xFFFF_FFFF_FFFF_FFFF
_FACTOR = 2862933555777941757


def jump(h: int, count: int) -> int:
    """Return the bucket of `h` among `count` (Lamping, Veach 2014)."""
    bucket = further = 0
    while further < count:
        bucket = further
        h = h * _FACTOR + 1 & _MASK
        further = int((bucket + 1) * (2147483648.0 / ((h >> 33) + 1)))
    return bucket


def jump_many(hashes: Words, count: int, out: Indices) -> None:
    """Put the bucket of each hash into `out`, which is as long; compiled, without the GIL."""
    state, further, slot = hashes.copy(), np.zeros(len(hashes), np.int64), np.arange(len(hashes))
    while len(slot):
        out[slot] = further
        state = state * np.uint64(_FACTOR) + np.uint64(1)
        divisor = ((state >> np.uint64(33)) + np.uint64(1)).astype(np.float64)
        further = ((further + 1) * (2147483648.0 / divisor)).astype(np.int64)
        on = further < count
        state, further, slot = state[on], further[on], slot[on]


def jump_row(h: int, count: int, wanted: int) -> list[int]:
    """Return the first `wanted` distinct buckets of `h`, then of the outputs of SplitMix64 seeded with it."""
    found = {jump(h, count): None}
    number = 0
    while len(found) < wanted:
        found[jump(splitmix64(h, number), count)] = None
        number += 1
    return list(found)


def jump_ranked(h: int, names: tuple[str, ...], wanted: int) -> tuple[str, ...]:
    """Return the names of the row of `h`."""
    return tuple(names[bucket] for bucket in jump_row(h, len(names), wanted))


def jump_rows(hashes: Words, count: int, out: Indices) -> None:
    """Put the row of each hash into `out`; compiled, without the GIL."""
    for row, h in enumerate(hashes.tolist()):
        out[row] = jump_row(h, count, out.shape[1])


def jump_key(key: Any) -> int:
    """Return a 64-bit key, checked."""
    return _checks.uint64(key, "key")


def bucket_count(buckets: Any) -> int:
    """Return the number of buckets, checked."""
    return _checks.bucket_count(buckets)
