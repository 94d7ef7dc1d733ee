# cython: annotation_typing=False, auto_pickle=False
"""The search structure of a ring: sorted points, their owners, and a prefix table over their top bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ringfence.errors import EmptyRing, InvalidType, InvalidValue

try:
    import cython
except ModuleNotFoundError:
    from ringfence._core import _cython as cython

if not cython.compiled:
    from ringfence._core._kernel_array import indices, words
    from ringfence._core._kernel_hash import hash_by, hash_key, murmur3_key
    from ringfence._core._kernel_layout import (
        drop_points,
        fill_points,
        fill_table,
        merge_points,
        shift_table,
        sort_points,
    )
    from ringfence._core._kernel_rows import ring_rows
    from ringfence._core._kernel_search import distinct as distinct_owners
    from ringfence._core._kernel_search import find, find_many, replica_count
    from ringfence._core._kernel_spares import room

if TYPE_CHECKING:
    from ringfence._core._kernel_hash import Kind

Words: TypeAlias = NDArray[np.uint64]
Indices: TypeAlias = NDArray[np.uint32]

PAD = 4
"""Sentinels after the points, so that four can be looked at anywhere and a search never has to wrap."""


class Points:
    """Sorted points on the circle of 64-bit hashes; a key belongs to the first point at or after its hash.

    The part of a ring that is searched: immutable, so look-ups need no lock. An array of points (uint64), one of
    their owners (uint32 indices into `names`) and a prefix table (uint32) take at most 22 bytes a point.

    Args:
        names: the nodes, sorted.
        points: sorted, followed by `PAD` sentinels.
        owners: of each point, and once more that of the first.
        table: the prefix table of these points, where it is known already.
        kind: how keys are hashed, as `hashing.key_hash` takes it.
    """

    __slots__ = (
        "_count",
        "_kind",
        "_names",
        "_owner_array",
        "_owners",
        "_point_array",
        "_points",
        "_shift",
        "_table",
        "_table_array",
        "_usual",
    )

    def __init__(
        self,
        names: tuple[str, ...],
        points: Words,
        owners: Indices,
        table: Indices | None = None,
        kind: Kind = 0,
    ) -> None:
        if getattr(self, "nodes", None) is not None:
            raise InvalidType("a ring is immutable; make a new one")
        self._names = names
        self._count = len(points) - PAD
        self._point_array = points
        self._owner_array = owners
        self._table_array = prefix_table(points) if table is None else table
        self._shift = prefix_shift(len(self._table_array) - 1)
        self._points = words(self._point_array)
        self._owners = indices(self._owner_array)
        self._table = indices(self._table_array)
        self._kind = kind
        self._usual = self._count > 0 and kind == 0

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes, sorted: `ring.nodes[ring.lookup_many([key])[0]] == ring[key]`."""
        return self._names

    @property
    def kind(self) -> Kind:
        """How keys are hashed, as `hashing.key_hash` takes it."""
        return self._kind

    @property
    def points(self) -> Words:
        """The sorted points, and `PAD` sentinels; read-only."""
        return self._point_array.view()  # whoever sets its dtype or strides shall not set the ring's own

    @property
    def owners(self) -> Indices:
        """The owner of each point as an index into `nodes`, and once more that of the first; read-only."""
        return self._owner_array.view()

    @property
    def table(self) -> Indices:
        """The prefix table: at `h >> 64 - bits` stands the position of the first point with these top bits."""
        return self._table_array.view()

    def __getitem__(self, key: str | bytes | int) -> str:
        """Return the name of the node that owns `key`."""
        if self._usual:
            return self._names[self._owners[find(self._points, self._table, self._shift, hash_key(key))]]
        at = self._start(key)
        return self._names[self._owners[at]]

    def lookup(self, key: str | bytes | int, /) -> str:
        """Return the name of the node that owns `key`; `ring[key]` is the same and faster.

        Raises:
            EmptyRing: there is no node.
            InvalidType: the key is neither str, bytes nor int.
            InvalidValue: the int is not in 0 <= key < 2**64, or the str has lone surrogates.
        """
        if self._usual:
            return self._names[self._owners[find(self._points, self._table, self._shift, hash_key(key))]]
        at = self._start(key)
        return self._names[self._owners[at]]

    def search(self, hashes: Words) -> Indices:
        """Return the owners of a contiguous array of hashes, as uint32 indices into `ring.nodes`."""
        if self._count == 0:
            raise EmptyRing
        out: Indices = np.empty(len(hashes), np.uint32)
        find_many(self._point_array, self._table_array, self._shift, self._owner_array, hashes, out)
        return out

    def rows(self, hashes: Words, n: int) -> Indices:
        """Return the `n` distinct nodes met from each hash on, one row each, as uint32 indices into `ring.nodes`."""
        if self._count == 0:
            raise EmptyRing
        nodes = len(self._names)
        out: Indices = np.empty((len(hashes), replica_count(n, nodes)), np.uint32)
        ring_rows(self._point_array, self._table_array, self._shift, self._owner_array, nodes, hashes, out)
        return out

    def replicas(self, key: str | bytes | int, n: int, distinct: str | None = None) -> tuple[str, ...]:
        """Return the `n` distinct nodes met from the key's hash on, round the ring; the first owns the key.

        All nodes, in that order, when there are fewer than `n`.

        Args:
            key: what `lookup` takes.
            n: how many; at least 1.
            distinct: "zone" for nodes of as many zones as there are: first the nodes met whose zone is new, then, if
                there are fewer zones than `n`, another of each zone, and so on. A node without a zone is one of its
                own.

        Raises:
            EmptyRing: there is no node.
            InvalidType: a key of another type, or `n` is no int.
            InvalidValue: `n` is less than 1, a key out of range, or `distinct` is neither "zone" nor None.
        """
        if distinct is not None:
            return self.spread(key, n, distinct)
        if self._count == 0:
            raise EmptyRing
        wanted = replica_count(n, len(self._names))
        start = self._start(key)
        return distinct_owners(self._owners, self._count, start, self._names, wanted)

    def _start(self, key: str | bytes | int) -> int:
        if self._count == 0:
            raise EmptyRing
        return find(self._points, self._table, self._shift, hash_by(self._kind, key))

    def spread(self, key: str | bytes | int, n: int, distinct: str) -> tuple[str, ...]:  # noqa: ARG002
        """Return `replicas(key, n, distinct)`; bare points know no zones, a ring does."""
        raise InvalidValue(f"distinct={distinct!r} needs a ring, which knows its zones")


def build(names: Sequence[str], counts: Sequence[int], seed: int) -> tuple[Words, Indices]:
    """Return the sorted points of nodes and their owners, with the sentinels that `Points` wants."""
    total = sum(counts)
    points: Words = room(total + PAD, np.uint64)
    start = 0
    for name, count in zip(names, counts, strict=True):
        fill_points(points, start, count, murmur3_key(name, seed))
        start += count
    owners: Indices = room(total + 1, np.uint32)
    owners[:-1] = np.repeat(np.arange(len(names), dtype=np.uint32), counts)
    sort_points(points, owners, total)
    return _sealed(points, owners)


def with_node(ring: Points, owner: int, name: str, count: int, seed: int) -> tuple[Any, ...]:
    """Return the arguments of a `Points` where one node more stands at index `owner`."""
    added: Words = np.empty(count, np.uint64)
    fill_points(added, 0, count, murmur3_key(name, seed))
    added.sort()
    return with_points(ring, owner, name, added)


def with_points(ring: Points, owner: int, name: str, added: Words) -> tuple[Any, ...]:
    """Return the arguments of a `Points` where one node more, with these sorted points, stands at index `owner`."""
    names = (*ring.nodes[:owner], name, *ring.nodes[owner:])
    old, total = len(ring.points) - PAD, len(ring.points) - PAD + len(added)
    points: Words = room(total + PAD, np.uint64)
    owners: Indices = room(total + 1, np.uint32)
    merge_points(ring.points, ring.owners, old, added, owner, points, owners)
    return (names, *_sealed(points, owners), _shifted(ring.table, added, total))


def without_node(ring: Points, owner: int) -> tuple[Any, ...]:
    """Return the arguments of a `Points` without the node at index `owner`."""
    names = ring.nodes[:owner] + ring.nodes[owner + 1 :]
    old = len(ring.points) - PAD
    left = old - int(np.count_nonzero(ring.owners[:old] == owner))
    points: Words = room(left + PAD, np.uint64)
    owners: Indices = room(left + 1, np.uint32)
    drop_points(ring.points, ring.owners, old, owner, points, owners)
    return (names, *_sealed(points, owners), None)


def prefix_table(points: Words) -> Indices:
    """Return the positions where the points with each value of their top bits begin, and their number."""
    count = len(points) - PAD
    table: Indices = room(prefix_size(count) + 1, np.uint32)
    fill_table(table, points, count, prefix_shift(len(table) - 1))
    table.flags.writeable = False
    return table


def prefix_size(count: int) -> int:
    """Return the number of entries for `count` points: a power of two, 1.25 to 2.5 to a point."""
    return max(2, (1 << (5 * count // 2).bit_length()) >> 1)


def prefix_shift(size: int) -> int:
    """Return how far to shift a hash right for its entry in a table of `size` entries."""
    return 65 - size.bit_length()


def _shifted(old: Indices, added: Words, count: int) -> Indices | None:
    if len(old) != prefix_size(count) + 1:
        return None
    table: Indices = room(len(old), np.uint32)
    shift_table(table, old, added, prefix_shift(len(old) - 1))
    table.flags.writeable = False
    return table


def _sealed(points: Words, owners: Indices) -> tuple[Words, Indices]:
    points[len(points) - PAD :] = 0xFFFF_FFFF_FFFF_FFFF
    owners[-1] = owners[0]
    points.flags.writeable = owners.flags.writeable = False
    return points, owners
