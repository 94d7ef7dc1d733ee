"""Memory for the arrays of rings, interpreted; `_kernel_spares.pxd` holds the same name, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def room(count: int, dtype: DTypeLike) -> NDArray[Any]:
    """Return an array to be filled; compiled, in memory that the arrays of dead rings have left, if it fits."""
    return np.empty(count, dtype)
