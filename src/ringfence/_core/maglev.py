# cython: annotation_typing=False
"""Maglev: a table of slots, of which every node has its share, and the look-ups in it."""

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
    from ringfence._core._kernel_array import indices
    from ringfence._core._kernel_hash import hash_key
    from ringfence._core._kernel_maglev import populate, remainder, slots_many, table_rows
    from ringfence._core._kernel_search import distinct, replica_count


def fill(offsets: Words, skips: Words, weights: NDArray[np.float64], size: int) -> Indices:
    """Return the table of nodes with these permutations and weights; read-only.

    Node `i` prefers the slots `offsets[i]`, `offsets[i] + skips[i]`, `offsets[i] + 2 * skips[i]`, … modulo `size`.
    The nodes take turns, in proportion to their weights; each has at least one slot.

    Args:
        offsets: of at least one node; each below `size`.
        skips: each in 1 <= skip < size.
        weights: finite and above 0.
        size: a prime, at least the number of nodes and below 2**32.
    """
    table: Indices = np.empty(size, np.uint32)
    populate(offsets.copy(), skips, weights, table)
    table.flags.writeable = False
    return table


class Slots:
    """A Maglev table: the owner of a hash stands in slot `hash % len(table)`.

    Args:
        names: the nodes.
        table: of each slot, the index of its node in `names`; empty where there are no nodes.
    """

    __slots__ = ("_count", "_inverse", "_names", "_size", "_table", "_table_array")

    def __init__(self, names: tuple[str, ...], table: Indices) -> None:
        self._names = names
        self._count = len(names)
        self._size = len(table)
        self._inverse = 0xFFFF_FFFF_FFFF_FFFF // max(1, len(table))
        self._table_array = table
        self._table = indices(table)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes, sorted."""
        return self._names

    @property
    def table(self) -> Indices:
        """The owner of each slot, as an index into `nodes`; read-only."""
        return self._table_array.view()  # whoever sets its dtype or strides shall not set ours

    def __getitem__(self, key: str | bytes | int) -> str:
        """Return the name of the node that owns `key`."""
        if self._count == 0:
            raise EmptyRing
        return self._names[self._table[remainder(hash_key(key), self._size, self._inverse)]]

    def lookup(self, key: str | bytes | int, /) -> str:
        """Return the name of the node that owns `key`, like `HashRing.lookup`."""
        if self._count == 0:
            raise EmptyRing
        return self._names[self._table[remainder(hash_key(key), self._size, self._inverse)]]

    def ranked(self, key: str | bytes | int, n: int) -> tuple[str, ...]:
        """Return the `n` nodes that come first for `key`: those met from its slot on."""
        if self._count == 0:
            raise EmptyRing
        wanted = replica_count(n, self._count)
        start = remainder(hash_key(key), self._size, self._inverse)
        return distinct(self._table, self._size, start, self._names, wanted)

    def search(self, hashes: Words) -> Indices:
        """Return the owners of a contiguous array of hashes, as uint32 indices into `nodes`."""
        if self._count == 0:
            raise EmptyRing
        out: Indices = np.empty(len(hashes), np.uint32)
        slots_many(hashes, self._table_array, self._inverse, out)
        return out

    def rows(self, hashes: Words, n: int) -> Indices:
        """Return the `n` nodes that come first for each hash, one row each."""
        if self._count == 0:
            raise EmptyRing
        out: Indices = np.empty((len(hashes), replica_count(n, self._count)), np.uint32)
        table_rows(hashes, self._table_array, self._inverse, self._count, out)
        return out
