"""Memory of the arrays of rings that goes to later rings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

LEAST = 1 << 17
"""Bytes below which the allocator of C keeps freed memory by itself."""

MOST = 1 << 25
"""Bytes above which memory is not kept for later."""


class Memory:
    """Memory that NumPy reads as an array; `owner` dies with the last array that lies there.

    Args:
        owner: what gives the memory back when it dies.
        address: where it begins.
        count: of the items.
        dtype: of each.
    """

    __slots__ = ("__array_interface__", "_owner")

    def __init__(self, owner: Any, address: int, count: int, dtype: DTypeLike) -> None:
        self._owner = owner
        self.__array_interface__ = {
            "version": 3,
            "shape": (count,),
            "typestr": np.dtype(dtype).str,
            "data": (address, False),
        }
