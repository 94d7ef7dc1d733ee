# cython: annotation_typing=False
"""The replicas of many keys at once on a ring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ringfence._core._kernel_array import Indices, Words
from ringfence.errors import EmptyRing

try:
    import cython
except ModuleNotFoundError:
    from ringfence._core import _cython as cython

if not cython.compiled:
    from ringfence._core._kernel_rows import ring_rows
    from ringfence._core._kernel_search import replica_count

if TYPE_CHECKING:
    from ringfence._core.points import Points


def rows(ring: Points, shift: int, hashes: Words, n: int) -> Indices:
    """Return the `n` distinct nodes met from each hash on, one row each, as uint32 indices into `ring.nodes`."""
    if not ring.nodes:
        raise EmptyRing
    out: Indices = np.empty((len(hashes), replica_count(n, len(ring.nodes))), np.uint32)
    ring_rows(ring.points, ring.table, shift, ring.owners, len(ring.nodes), hashes, out)
    return out
