"""How the keys of a column lie in memory: what `columns` hashes, and what NumPy arrays and Arrow data are read into."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]


class Offsets(NamedTuple):
    """Row i is `data[offsets[i]:offsets[i + 1]]`; int32 or int64 offsets, one more than rows."""

    offsets: NDArray[Any]
    data: Bytes
    text: bool


class Views(NamedTuple):
    """Row i is a view of 16 bytes, which holds up to 12 bytes itself or says where in `buffers` its bytes are."""

    views: Bytes
    buffers: tuple[Bytes, ...]
    text: bool


class Fixed(NamedTuple):
    """Row i is `items[i]`, an array of bytes; where `padded`, its trailing NULs do not count."""

    items: Bytes
    padded: bool


class Utf32(NamedTuple):
    """Row i is `characters[i]`, an array of uint32 code points whose trailing NULs do not count."""

    characters: NDArray[np.uint32]


class Strings(NamedTuple):
    """Row i is `items[i]`, an array of NumPy's StringDType."""

    items: NDArray[Any]


class Integers(NamedTuple):
    """Row i is `numbers[i]`, an integer of any type."""

    numbers: NDArray[Any]


class Dictionary(NamedTuple):
    """Row i is row `indices[i]` of `values`; the indices are in range."""

    indices: NDArray[Any]
    values: Column


Layout: TypeAlias = Offsets | Views | Fixed | Utf32 | Strings | Integers | Dictionary


class Column(NamedTuple):
    """The keys of some rows, and a mask of the rows that have none, or None where all have one."""

    rows: int
    layout: Layout
    nulls: NDArray[np.bool_] | None


def key_type(layout: Layout) -> type[str] | type[bytes] | type[int]:
    """Return what the keys of a layout are; text may lie there as its UTF-8."""
    if isinstance(layout, Dictionary):
        return key_type(layout.values.layout)
    if isinstance(layout, Integers):
        return int
    text = layout.text if isinstance(layout, Offsets | Views) else not isinstance(layout, Fixed)
    return str if text else bytes
