"""Views of NumPy arrays for searching, interpreted: lists, for `bisect` is fastest on them.

`_kernel_array.pxd` holds the same names; compiled, they give C pointers.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = NDArray[np.uint64]
Indices: TypeAlias = NDArray[np.uint32]


def words(array: Words) -> list[int]:
    """View an array of points for searching."""
    numbers: list[int] = array.tolist()
    return numbers


def indices(array: Indices) -> list[int]:
    """View an array of owners, or a prefix table, for searching."""
    numbers: list[int] = array.tolist()
    return numbers
