"""Hashes of the keys of columns, interpreted; `_kernel_columns.pxd` holds the same names, compiled.

Compiled, these take over where keys are hashed by a Python function.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringfence._core._kernel_hash import Kind, Words, hash_by
from ringfence._core._layouts import Bytes

_WORDS = Struct("=iiii")


def hash_offsets(offsets: NDArray[Any], data: Bytes, kind: Kind, out: Words) -> int:
    """Put the hash of each row of an `Offsets` into `out`; return the first row out of bounds, or -1."""
    return _put(_offset_rows(offsets, data), kind, out)


def hash_views(views: Bytes, buffers: tuple[Bytes, ...], kind: Kind, out: Words) -> int:
    """Put the hash of each row of a `Views` into `out`; return the first row out of bounds, or -1."""
    return _put(_view_rows(views, buffers), kind, out)


def hash_fixed(items: Bytes, padded: bool, kind: Kind, out: Words) -> int:
    """Put the hash of each row of a `Fixed` into `out`; return -1, as every row is in bounds."""
    rows = (item.tobytes() for item in items)
    return _put((data.rstrip(b"\0") for data in rows) if padded else rows, kind, out)


def hash_utf32(characters: NDArray[np.uint32], kind: Kind, out: Words) -> int:
    """Put the hash of the UTF-8 of each row of a `Utf32` into `out`; return the first row that has none, or -1."""
    return _put(map(_encoded, characters.astype("<u4")), kind, out)


def _put(rows: Iterator[bytes | None], kind: Kind, out: Words) -> int:
    for row, data in enumerate(rows):
        if data is None:
            return row
        out[row] = hash_by(kind, data)
    return -1


def _offset_rows(offsets: NDArray[Any], data: Bytes) -> Iterator[bytes | None]:
    memory, size = data.data, len(data)
    for start, end in pairwise(offsets.tolist()):
        yield memory[start:end].tobytes() if 0 <= start <= end <= size else None


def _view_rows(views: Bytes, buffers: tuple[Bytes, ...]) -> Iterator[bytes | None]:
    memory = views.data
    for at in range(0, len(views), 16):
        length, _, buffer, start = _WORDS.unpack_from(memory, at)
        if 0 <= length <= 12:
            yield memory[at + 4 : at + 4 + length].tobytes()
        elif length > 12 and 0 <= buffer < len(buffers) and 0 <= start <= len(buffers[buffer]) - length:
            yield buffers[buffer].data[start : start + length].tobytes()
        else:
            yield None


def _encoded(item: NDArray[np.uint32]) -> bytes | None:
    try:
        return item.tobytes().decode("utf-32-le").rstrip("\0").encode()
    except UnicodeError:
        return None
