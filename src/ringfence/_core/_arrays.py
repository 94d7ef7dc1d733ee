"""Read NumPy arrays of keys as columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringfence._core import _checks
from ringfence._core._layouts import Column, Fixed, Integers, Layout, Strings, Utf32


def is_column(array: NDArray[Any]) -> bool:
    """Tell whether the items of an array are keys that can be read without an object for each."""
    return array.dtype.kind in "iuSUT"


def column_of(array: NDArray[Any]) -> Column:
    """Return an array for which `is_column` as a column; what a masked array masks is null."""
    _checks.one_dimension(array)
    if type(array) is np.ndarray:
        return Column(len(array), _layout(array, None), None)
    nulls = np.ma.getmaskarray(array) if isinstance(array, np.ma.MaskedArray) else None
    return Column(len(array), _layout(np.asarray(array), nulls), nulls)


def _layout(array: NDArray[Any], nulls: NDArray[np.bool_] | None) -> Layout:
    if array.dtype.kind in "iu":
        return Integers(array if nulls is None else np.where(nulls, 0, array))
    if array.dtype.kind == "T":
        return Strings(array)
    if array.dtype.kind == "S":
        return Fixed(_cells(array, np.dtype(np.uint8)), padded=True)
    return Utf32(_cells(array, np.dtype(np.uint32)))


def _cells(array: NDArray[Any], item: np.dtype[Any]) -> NDArray[Any]:
    """View an array of text of one width as a table of its characters; copied only where it is not contiguous."""
    width = array.dtype.itemsize // item.itemsize
    if not width:
        return np.zeros((len(array), 0), item)
    flat = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    return flat.view(item).reshape(len(array), width)
