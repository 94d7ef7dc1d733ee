"""Hashes of the keys of columns, interpreted; `_kernel_columns.pxd` holds the same names, compiled.

Compiled, these take over where keys are hashed by a Python function.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringfence._core._kernel_hash import Kind, Words, hash_by
from ringfence._core._layouts import Bytes
from ringfence._core._rows import fixed_rows, offset_rows, utf8_rows, view_rows


def hash_offsets(offsets: NDArray[Any], data: Bytes, kind: Kind, out: Words) -> int:
    """Put the hash of each row of an `Offsets` into `out`; return the first row out of bounds, or -1."""
    return _put(offset_rows(offsets, data), kind, out)


def hash_views(views: Bytes, buffers: tuple[Bytes, ...], kind: Kind, out: Words) -> int:
    """Put the hash of each row of a `Views` into `out`; return the first row out of bounds, or -1."""
    return _put(view_rows(views, buffers), kind, out)


def hash_fixed(items: Bytes, padded: bool, kind: Kind, out: Words) -> int:
    """Put the hash of each row of a `Fixed` into `out`; return -1, as every row is in bounds."""
    return _put(fixed_rows(items, padded), kind, out)


def hash_utf32(characters: NDArray[np.uint32], kind: Kind, out: Words) -> int:
    """Put the hash of the UTF-8 of each row of a `Utf32` into `out`; return the first row that has none, or -1."""
    return _put(utf8_rows(characters), kind, out)


def _put(rows: Iterator[bytes | None], kind: Kind, out: Words) -> int:
    for row, data in enumerate(rows):
        if data is None:
            return row
        out[row] = hash_by(kind, data)
    return -1
