"""Hashes of the keys of columns, interpreted; `_kernel_columns.pxd` holds the same names, compiled."""

from __future__ import annotations

from itertools import pairwise
from struct import Struct
from typing import Any

import numpy as np
from mmh3 import mmh3_x64_128_utupledigest as _murmur3
from numpy.typing import NDArray

from ringfence._core._kernel_hash import Words
from ringfence._core._layouts import Bytes

_WORDS = Struct("=iiii")


def hash_offsets(offsets: NDArray[Any], data: Bytes, out: Words) -> int:
    """Put the hash of each row of an `Offsets` into `out`; return the first row out of bounds, or -1."""
    memory, size = data.data, len(data)
    for row, (start, end) in enumerate(pairwise(offsets.tolist())):
        if not 0 <= start <= end <= size:
            return row
        out[row] = _murmur3(memory[start:end])[0]
    return -1


def hash_views(views: Bytes, buffers: tuple[Bytes, ...], out: Words) -> int:
    """Put the hash of each row of a `Views` into `out`; return the first row out of bounds, or -1."""
    memory = views.data
    for row in range(len(out)):
        length, _, buffer, start = _WORDS.unpack_from(memory, 16 * row)
        if length < 0:
            return row
        if length <= 12:
            out[row] = _murmur3(memory[16 * row + 4 : 16 * row + 4 + length])[0]
        elif 0 <= buffer < len(buffers) and 0 <= start <= len(buffers[buffer]) - length:
            out[row] = _murmur3(buffers[buffer].data[start : start + length])[0]
        else:
            return row
    return -1


def hash_fixed(items: Bytes, padded: bool, out: Words) -> None:
    """Put the hash of each row of a `Fixed` into `out`."""
    for row, item in enumerate(items):
        data = item.tobytes()
        out[row] = _murmur3(data.rstrip(b"\0") if padded else data)[0]


def hash_utf32(characters: NDArray[np.uint32], out: Words) -> int:
    """Put the hash of the UTF-8 of each row of a `Utf32` into `out`; return the first row that has none, or -1."""
    for row, item in enumerate(characters.astype("<u4")):
        try:
            out[row] = _murmur3(item.tobytes().decode("utf-32-le").rstrip("\0").encode())[0]
        except UnicodeError:
            return row
    return -1
