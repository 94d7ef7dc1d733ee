"""The keys of a column as Python objects, for hashes that cannot read them where they lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from struct import Struct
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ringfence._core._layouts import (
    Bytes,
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
from ringfence.errors import InvalidValue

_WORDS = Struct("=iiii")


def keys_of(column: Column, nulls: NDArray[np.bool_] | None, first: int) -> list[Any]:
    """Return the key of each row as the str, bytes or int that it is, None for a null.

    Args:
        column: the rows.
        nulls: which are null, or None where none is.
        first: the number of the first row, for messages.

    Raises:
        InvalidValue: a row lies outside its data, or text is no UTF-8.
    """
    layout = column.layout
    if isinstance(layout, Dictionary):
        values = [*keys_of(layout.values, layout.values.nulls, 0), None]  # without values, all rows are null
        indices = layout.indices if nulls is None else np.where(nulls, -1, layout.indices)
        return [values[i] for i in indices.tolist()]
    items = list(_rows(layout))
    for row, item in enumerate(items):
        if item is None and (nulls is None or not nulls[row]):
            refuse_row(layout, first + row)
    for row in [] if nulls is None else np.flatnonzero(nulls).tolist():
        items[row] = None
    return _decoded(items, first) if isinstance(layout, Offsets | Views) and layout.text else items


def _decoded(items: list[Any], first: int) -> list[Any]:
    try:
        return [item if item is None else item.decode() for item in items]
    except UnicodeDecodeError as error:
        row = first + items.index(error.object)
        raise InvalidValue(f"the text in row {row} of the keys is no UTF-8: {error.object!r}") from None


def _rows(layout: Offsets | Views | Fixed | Utf32 | Strings | Integers) -> Iterable[Any]:
    if isinstance(layout, Offsets):
        return offset_rows(layout.offsets, layout.data)
    if isinstance(layout, Views):
        return view_rows(layout.views, layout.buffers)
    if isinstance(layout, Fixed):
        return fixed_rows(layout.items, layout.padded)
    if isinstance(layout, Utf32):
        return _texts(layout.characters)
    if isinstance(layout, Integers):
        return list(layout.numbers.tolist())
    return list(layout.items.tolist())


def _texts(characters: NDArray[np.uint32]) -> Iterable[str | None]:
    if not characters.shape[1]:
        return [""] * len(characters)
    if (characters < 0x11_0000).all():  # lone surrogates are refused as keys are
        return list(characters.view(f"U{characters.shape[1]}").ravel().tolist())
    return (None if data is None else data.decode() for data in utf8_rows(characters))


def refuse_row(layout: Layout, row: int) -> NoReturn:
    """Raise for a row without a key that can be read."""
    if isinstance(layout, Utf32):
        raise InvalidValue(
            f"the key in row {row} has no UTF-8: it holds lone surrogates or what is no character"
        )
    if isinstance(layout, Strings):
        raise InvalidValue(f"NumPy cannot read the string in row {row} of the keys")
    raise InvalidValue(f"row {row} of the Arrow column lies outside its data: its offsets are malformed")


def offset_rows(offsets: NDArray[Any], data: Bytes) -> Iterator[bytes | None]:
    """Yield the bytes of each row of an `Offsets`, None for one out of bounds."""
    memory, size = data.tobytes(), len(data)
    for start, end in pairwise(offsets.tolist()):
        yield memory[start:end] if 0 <= start <= end <= size else None


def view_rows(views: Bytes, buffers: tuple[Bytes, ...]) -> Iterator[bytes | None]:
    """Yield the bytes of each row of a `Views`, None for one out of bounds."""
    memory = views.data
    for at in range(0, len(views), 16):
        length, _, buffer, start = _WORDS.unpack_from(memory, at)
        if 0 <= length <= 12:
            yield memory[at + 4 : at + 4 + length].tobytes()
        elif length > 12 and 0 <= buffer < len(buffers) and 0 <= start <= len(buffers[buffer]) - length:
            yield buffers[buffer].data[start : start + length].tobytes()
        else:
            yield None


def fixed_rows(items: Bytes, padded: bool) -> Iterator[bytes]:
    """Yield the bytes of each row of a `Fixed`."""
    width, memory = items.shape[1], items.tobytes()
    for row in range(len(items)):
        data = memory[row * width : (row + 1) * width]
        yield data.rstrip(b"\0") if padded else data


def utf8_rows(characters: NDArray[np.uint32]) -> Iterator[bytes | None]:
    """Yield the UTF-8 of each row of a `Utf32`, None for one that has none."""
    width, memory = 4 * characters.shape[1], characters.astype("<u4").tobytes()
    for row in range(len(characters)):
        try:
            yield memory[row * width : (row + 1) * width].decode("utf-32-le").rstrip("\0").encode()
        except UnicodeError:
            yield None
