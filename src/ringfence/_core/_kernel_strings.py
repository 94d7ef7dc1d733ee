"""Hashes of NumPy's StringDType, interpreted; `_kernel_strings.pxd` holds the same names, compiled.

Compiled, the first takes over where keys are hashed by a Python function.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringfence._core._kernel_hash import Kind, Words, hash_by


def hash_strings(items: NDArray[Any], kind: Kind, out: Words) -> int:
    """Put the hash of each string into `out`, anything for a null; return the first row that NumPy cannot read, or -1.

    Where the dtype's `na_object` is a str, a missing string counts as that str, as in NumPy.
    """
    rows = (hash_by(kind, item) if isinstance(item, str) else 0 for item in items.tolist())
    out[:] = np.fromiter(rows, np.uint64, len(out))
    return -1


def null_strings(items: NDArray[Any], out: NDArray[np.bool_]) -> None:
    """Put whether each string is missing into `out`; the dtype's `na_object` is no str."""
    out[:] = [not isinstance(item, str) for item in items.tolist()]
