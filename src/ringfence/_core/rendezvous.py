# cython: annotation_typing=False
"""Rendezvous hashing: every node has a score for every key, and the highest owns it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ringfence._core._kernel_array import Indices, Words
from ringfence.errors import EmptyRing

try:
    import cython
except ModuleNotFoundError:
    from ringfence._core import _cython as cython

if not cython.compiled:
    from ringfence._core._kernel_array import words
    from ringfence._core._kernel_hash import hash_key
    from ringfence._core._kernel_scores import highest, highest_many, scores_ranked, scores_rows, weights_of
    from ringfence._core._kernel_search import replica_count


class Scores:
    """Weighted rendezvous hashing (Thaler, Ravishankar 1998; weights by Schindelhauer, Schomaker 2005).

    Args:
        names: the nodes.
        seeds: of each node, what its hash with a key starts from.
        weights: of each node.
    """

    __slots__ = ("_count", "_names", "_seed_array", "_seeds", "_weight_array", "_weights")

    def __init__(self, names: tuple[str, ...], seeds: Words, weights: NDArray[np.float64]) -> None:
        self._names = names
        self._count = len(names)
        self._seed_array, self._weight_array = seeds, weights
        self._seeds, self._weights = words(seeds), weights_of(weights)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes, sorted."""
        return self._names

    def __getitem__(self, key: str | bytes | int) -> str:
        """Return the name of the node that owns `key`."""
        if self._count == 0:
            raise EmptyRing
        return self._names[highest(hash_key(key), self._seeds, self._weights, self._count)]

    def lookup(self, key: str | bytes | int, /) -> str:
        """Return the name of the node that owns `key`, like `HashRing.lookup`."""
        if self._count == 0:
            raise EmptyRing
        return self._names[highest(hash_key(key), self._seeds, self._weights, self._count)]

    def ranked(self, key: str | bytes | int, n: int) -> tuple[str, ...]:
        """Return the `n` nodes that come first for `key`: those with the highest scores, falling."""
        if self._count == 0:
            raise EmptyRing
        return scores_ranked(
            hash_key(key), self._seeds, self._weights, self._names, replica_count(n, self._count)
        )

    def search(self, hashes: Words) -> Indices:
        """Return the owners of a contiguous array of hashes, as uint32 indices into `nodes`."""
        if self._count == 0:
            raise EmptyRing
        out: Indices = np.empty(len(hashes), np.uint32)
        highest_many(hashes, self._seed_array, self._weight_array, out)
        return out

    def rows(self, hashes: Words, n: int) -> Indices:
        """Return the `n` nodes that come first for each hash, one row each."""
        if self._count == 0:
            raise EmptyRing
        out: Indices = np.empty((len(hashes), replica_count(n, self._count)), np.uint32)
        scores_rows(hashes, self._seed_array, self._weight_array, out)
        return out
