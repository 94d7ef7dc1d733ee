# cython: annotation_typing=False
"""AnchorHash: buckets of which any may leave and come back, found in constant time."""

from __future__ import annotations

import numpy as np

from ringfence._core._kernel_array import Indices, Words
from ringfence.errors import EmptyRing

try:
    import cython
except ModuleNotFoundError:
    from ringfence._core import _cython as cython

if not cython.compiled:
    from ringfence._core._kernel_anchor import anchor, anchor_many, anchor_ranked, anchor_rows, replay
    from ringfence._core._kernel_array import indices
    from ringfence._core._kernel_hash import hash_key
    from ringfence._core._kernel_search import replica_count


class Anchor:
    """The look-ups of AnchorHash (Mendelson, Vargaftik, Barabash, Lorenz, Keslassy, Orda 2020).

    Args:
        names: the nodes, in the order of their buckets.
        left: of each bucket, how many were left when it was removed; 0 while it works.
        heirs: of each bucket, who took its place when it was removed.
        places: of each working bucket, the index of its node in `names`.
    """

    __slots__ = (
        "_count",
        "_heir_array",
        "_heirs",
        "_left",
        "_left_array",
        "_names",
        "_place_array",
        "_places",
        "_size",
    )

    def __init__(self, names: tuple[str, ...], left: Indices, heirs: Indices, places: Indices) -> None:
        self._names = names
        self._count = len(names)
        self._size = len(left)
        self._left_array, self._heir_array, self._place_array = left, heirs, places
        self._left, self._heirs, self._places = indices(left), indices(heirs), indices(places)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes, in the order of their buckets."""
        return self._names

    def __getitem__(self, key: str | bytes | int) -> str:
        """Return the name of the node that owns `key`."""
        if self._count == 0:
            raise EmptyRing
        return self._names[self._places[anchor(hash_key(key), self._left, self._heirs, self._size)]]

    def lookup(self, key: str | bytes | int, /) -> str:
        """Return the name of the node that owns `key`, like `HashRing.lookup`."""
        if self._count == 0:
            raise EmptyRing
        return self._names[self._places[anchor(hash_key(key), self._left, self._heirs, self._size)]]

    def ranked(self, key: str | bytes | int, n: int) -> tuple[str, ...]:
        """Return the `n` nodes that come first for `key`."""
        if self._count == 0:
            raise EmptyRing
        wanted = replica_count(n, self._count)
        return anchor_ranked(
            hash_key(key), self._left, self._heirs, self._places, self._size, self._names, wanted
        )

    def search(self, hashes: Words) -> Indices:
        """Return the owners of a contiguous array of hashes, as uint32 indices into `nodes`."""
        if self._count == 0:
            raise EmptyRing
        out: Indices = np.empty(len(hashes), np.uint32)
        anchor_many(hashes, self._left_array, self._heir_array, self._place_array, out)
        return out

    def rows(self, hashes: Words, n: int) -> Indices:
        """Return the `n` nodes that come first for each hash, one row each."""
        if self._count == 0:
            raise EmptyRing
        out: Indices = np.empty((len(hashes), replica_count(n, self._count)), np.uint32)
        anchor_rows(hashes, self._left_array, self._heir_array, self._place_array, out)
        return out


def replayed(removed: Indices, size: int) -> tuple[Indices, Indices]:
    """Return the arguments `left` and `heirs` of an `Anchor` of `size` buckets of which some were removed in turn."""
    left: Indices = np.empty(size, np.uint32)
    heirs: Indices = np.empty(size, np.uint32)
    replay(removed, left, heirs)
    return left, heirs
