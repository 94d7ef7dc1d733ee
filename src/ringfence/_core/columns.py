# cython: annotation_typing=False
"""Hashes of whole columns of keys, NumPy arrays and Arrow data, without a Python object for each key.

The GIL is released while a column is hashed, and `threads` splits it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from ringfence._core import _arrays, _checks, _threads, arrow
from ringfence._core._layouts import (
    Column,
    Dictionary,
    Fixed,
    Integers,
    Layout,
    Offsets,
    Strings,
    Utf32,
    Views,
)
from ringfence._core._rows import keys_of, refuse_row
from ringfence.errors import InvalidValue

try:
    import cython
except ModuleNotFoundError:
    from ringfence._core import _cython as cython

if not cython.compiled:
    from ringfence._core._kernel_columns import hash_fixed, hash_offsets, hash_utf32, hash_views
    from ringfence._core._kernel_hash import mix_many
    from ringfence._core._kernel_strings import hash_strings, null_strings

if TYPE_CHECKING:
    from ringfence._core._kernel_hash import Kind


def is_column(keys: Any) -> bool:
    """Tell whether `hashes` takes a batch of keys."""
    return _arrays.is_column(keys) if isinstance(keys, np.ndarray) else arrow.is_column(keys)


def hashes(keys: Any, threads: int = 1, kind: Kind = 0) -> Any:
    """Return the hash of each row of a column as uint64, of the kind `key_hash` takes.

    Raises:
        InvalidType: the column holds something else than keys.
        InvalidValue: a row is null, its key out of range or without UTF-8, or the data are malformed.
    """
    found, nulls = hashes_and_nulls(keys, threads, kind)
    refuse_nulls(nulls)
    return found


def refuse_nulls(nulls: Any) -> None:
    """Raise for the first row that is null, if there is one."""
    if nulls is not None and nulls.any():
        raise InvalidValue(f"row {int(nulls.argmax())} of the keys is null")


def hashes_and_nulls(keys: Any, threads: int = 1, kind: Kind = 0) -> tuple[Any, Any]:
    """Return the hash of each row, anything for a null; and a mask of the nulls, or None without any."""
    threads = 1 if callable(kind) else threads  # for a Python function holds the GIL
    return gathered(keys, lambda column, _, row: chunk_hashes(column, row, threads, kind))


def listed(keys: Any) -> tuple[list[Any], Any]:
    """Return the key of each row as a Python object, None for a null; and a mask of the nulls, or None without any.

    Raises:
        InvalidType: the column holds something else than keys.
        InvalidValue: a row has no UTF-8, or the data are malformed.
    """
    found, nulls = gathered(keys, _objects)
    return found.tolist(), nulls


def _objects(column: Column, nulls: Any, row: int) -> Any:
    out = np.empty(column.rows, object)
    out[:] = keys_of(column, nulls, row)
    return out


def gathered(keys: Any, work: Callable[[Column, Any, int], Any]) -> tuple[Any, Any]:
    """Return what `work` makes of all chunks of a column, in one array; and a mask of the nulls, or None without any.

    Args:
        keys: the column.
        work: from a chunk, its mask of nulls or None, and the number of its first row, to an array of as many rows.
    """
    if isinstance(keys, np.ndarray):
        column = _arrays.column_of(keys)
        nulls = _nulls(column)
        return work(column, nulls, 0), nulls
    parts: list[Any] = []
    masks: list[Any] = []
    row = 0
    with closing(arrow.columns_of(keys)) as columns:
        for column in columns:
            nulls = _nulls(column)
            parts.append(work(column, nulls, row))
            masks.append(np.zeros(column.rows, np.bool_) if nulls is None else nulls)
            row += column.rows
    if len(parts) == 1:
        return parts[0], nulls
    return np.concatenate([np.empty(0, np.uint64), *parts]), np.concatenate([np.empty(0, np.bool_), *masks])


def _nulls(column: Column) -> Any:
    layout = column.layout
    if not isinstance(layout, Strings) or isinstance(getattr(layout.items.dtype, "na_object", ""), str):
        return column.nulls
    missing = np.empty(column.rows, np.bool_)
    null_strings(layout.items, missing)
    return missing if column.nulls is None else missing | column.nulls


def chunk_hashes(column: Column, row: int, threads: int, kind: Kind) -> Any:
    """Return the hash of each row of one chunk, whose first is number `row`; anything for a null."""
    out = np.empty(column.rows, np.uint64)
    layout = column.layout
    if isinstance(layout, Dictionary):
        values = chunk_hashes(layout.values, 0, threads, kind)
        return values[layout.indices] if len(values) else out  # without values, all rows are null

    def work(start: int, stop: int) -> None:
        _put_hashes(layout, row, start, stop, kind, out[start:stop])

    if callable(kind) and column.nulls is not None:  # a function is not asked about what is no key
        for start, stop in _runs(~column.nulls):
            work(start, stop)
    else:
        _threads.split(
            work, column.rows, 1 if isinstance(layout, Strings) else threads
        )  # as they share a lock
    return out


def _runs(rows: Any) -> list[list[int]]:
    """Return where each run of True rows starts and stops."""
    return np.flatnonzero(np.diff(rows, prepend=False, append=False)).reshape(-1, 2).tolist()


def _put_hashes(layout: Layout, row: int, start: int, stop: int, kind: Kind, out: Any) -> None:
    bad = -1
    if isinstance(layout, Offsets):
        bad = hash_offsets(layout.offsets[start : stop + 1], layout.data, kind, out)
    elif isinstance(layout, Views):
        bad = hash_views(layout.views[16 * start : 16 * stop], layout.buffers, kind, out)
    elif isinstance(layout, Fixed):
        bad = hash_fixed(layout.items[start:stop], layout.padded, kind, out)
    elif isinstance(layout, Utf32):
        bad = hash_utf32(layout.characters[start:stop], kind, out)
    elif isinstance(layout, Strings):
        bad = hash_strings(layout.items[start:stop], kind, out)
    elif isinstance(layout, Integers):
        numbers = _checks.integers(layout.numbers[start:stop])
        if kind == 0:
            mix_many(numbers, out)
        else:
            hash_fixed(numbers.astype("<u8").view(np.uint8).reshape(-1, 8), False, kind, out)
    if bad >= 0:
        refuse_row(layout, row + start + bad)
