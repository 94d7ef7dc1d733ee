# cython: annotation_typing=False
"""Multi-probe consistent hashing: one point a node, several probes a key."""

from __future__ import annotations

import numpy as np

from ringfence._core._kernel_array import Indices, Words
from ringfence.errors import EmptyRing

try:
    import cython
except ModuleNotFoundError:
    from ringfence._core import _cython as cython

if not cython.compiled:
    from ringfence._core._kernel_array import indices, words
    from ringfence._core._kernel_hash import hash_key
    from ringfence._core._kernel_probes import nearest, nearest_many, probes_ranked, probes_rows
    from ringfence._core._kernel_search import replica_count


class Probes:
    """The look-ups of multi-probe consistent hashing (Appleton, O'Reilly 2015, arXiv 1505.00062).

    Args:
        names: the nodes.
        points: one of each node, sorted, followed by the sentinels that `Points` has.
        owners: of each point, and once more that of the first.
        table: the prefix table of these points.
        shift: how far to shift a hash right for its entry there.
        probes: how many positions a key has.
    """

    __slots__ = (
        "_count",
        "_names",
        "_owner_array",
        "_owners",
        "_point_array",
        "_points",
        "_probes",
        "_shift",
        "_table",
        "_table_array",
    )

    def __init__(
        self, names: tuple[str, ...], points: Words, owners: Indices, table: Indices, shift: int, probes: int
    ) -> None:
        self._names = names
        self._count = len(names)
        self._point_array, self._owner_array, self._table_array = points, owners, table
        self._points, self._owners, self._table = words(points), indices(owners), indices(table)
        self._shift = shift
        self._probes = probes

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes, sorted."""
        return self._names

    def __getitem__(self, key: str | bytes | int) -> str:
        """Return the name of the node that owns `key`."""
        if self._count == 0:
            raise EmptyRing
        at = nearest(hash_key(key), self._points, self._table, self._shift, self._count, self._probes)
        return self._names[self._owners[at]]

    def lookup(self, key: str | bytes | int, /) -> str:
        """Return the name of the node that owns `key`, like `HashRing.lookup`."""
        if self._count == 0:
            raise EmptyRing
        at = nearest(hash_key(key), self._points, self._table, self._shift, self._count, self._probes)
        return self._names[self._owners[at]]

    def ranked(self, key: str | bytes | int, n: int) -> tuple[str, ...]:
        """Return the `n` nodes that come first for `key`: those nearest to a probe, the nearest first."""
        if self._count == 0:
            raise EmptyRing
        wanted = replica_count(n, self._count)
        return probes_ranked(
            hash_key(key),
            self._points,
            self._table,
            self._shift,
            self._owners,
            self._probes,
            self._names,
            wanted,
        )

    def search(self, hashes: Words) -> Indices:
        """Return the owners of a contiguous array of hashes, as uint32 indices into `nodes`."""
        if self._count == 0:
            raise EmptyRing
        out: Indices = np.empty(len(hashes), np.uint32)
        nearest_many(
            hashes,
            self._point_array,
            self._table_array,
            self._shift,
            self._owner_array,
            self._probes,
            out,
        )
        return out

    def rows(self, hashes: Words, n: int) -> Indices:
        """Return the `n` nodes that come first for each hash, one row each."""
        if self._count == 0:
            raise EmptyRing
        out: Indices = np.empty((len(hashes), replica_count(n, self._count)), np.uint32)
        probes_rows(
            hashes,
            self._point_array,
            self._table_array,
            self._shift,
            self._owner_array,
            self._probes,
            out,
        )
        return out
