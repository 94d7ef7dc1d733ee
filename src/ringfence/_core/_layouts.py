"""How the keys of a column lie in memory: what `columns` hashes, and what NumPy arrays and Arrow data are read into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Offsets:
    """Row i is `data[offsets[i]:offsets[i + 1]]`; int32 or int64 offsets, one more than rows."""

    offsets: NDArray[Any]
    data: Bytes


@dataclass(frozen=True, slots=True)
class Views:
    """Row i is a view of 16 bytes, which holds up to 12 bytes itself or says where in `buffers` its bytes are."""

    views: Bytes
    buffers: tuple[Bytes, ...]


@dataclass(frozen=True, slots=True)
class Fixed:
    """Row i is `items[i]`, an array of bytes; where `padded`, its trailing NULs do not count."""

    items: Bytes
    padded: bool


@dataclass(frozen=True, slots=True)
class Utf32:
    """Row i is `characters[i]`, an array of uint32 code points whose trailing NULs do not count."""

    characters: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Strings:
    """Row i is `items[i]`, an array of NumPy's StringDType."""

    items: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Integers:
    """Row i is `numbers[i]`, an integer of any type."""

    numbers: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Row i is row `indices[i]` of `values`; the indices are in range."""

    indices: NDArray[Any]
    values: Column


Layout: TypeAlias = Offsets | Views | Fixed | Utf32 | Strings | Integers | Dictionary


class Column(NamedTuple):
    """The keys of some rows, and a mask of the rows that have none, or None where all have one."""

    rows: int
    layout: Layout
    nulls: NDArray[np.bool_] | None
