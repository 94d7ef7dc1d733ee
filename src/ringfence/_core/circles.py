# cython: annotation_typing=False
"""The search structure of other systems' rings: circles of any width, and keys hashed as each system does."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from itertools import chain
from typing import Any

import numpy as np

from ringfence._core import _checks, _threads
from ringfence._core._kernel_array import Indices, Words
from ringfence._core._layouts import Column, key_type
from ringfence._core._rows import keys_of
from ringfence._core.arrow import Keys
from ringfence._core.batches import position
from ringfence._core.digests import KINDS
from ringfence._core.points import PAD, prefix_shift, prefix_table
from ringfence.errors import InvalidType

from .columns import chunk_hashes, gathered, is_column, listed, refuse_nulls
from .digests import digest as digest_of

try:
    import cython
except ModuleNotFoundError:
    from ringfence._core import _cython as cython

if not cython.compiled:
    from ringfence._core._kernel_array import indices, words
    from ringfence._core._kernel_circles import find_highs, find_key, find_place, place_list, rule_of
    from ringfence._core._kernel_rows import ring_rows
    from ringfence._core._kernel_search import distinct as distinct_owners
    from ringfence._core._kernel_search import find_many, replica_count
    from ringfence._core._kernel_tokens import plan_of, same, spread

_LOW = 0xFFFF_FFFF_FFFF_FFFF


class Circle:
    """Sorted points on a circle, and which node's each is: immutable, so look-ups need no lock.

    Keys that are ASCII and, where the system takes them, bytes are hashed and searched in one go; whatever else goes
    through `key_hash`, which refuses what the system could not hash. Columns of either are hashed where they lie,
    without the GIL, on circles of up to 64 bits without a tag; others are read into a list first.

    Args:
        names: the nodes, in any order.
        points: sorted, at least one; of up to 64 bits also as an array, shifted up to 64 already.
        owners: of each point, as an index into `names`.
        key_hash: from a key to its place on the circle.
        bits: width of the circle: up to 64, or 128.
        after: whether a key belongs to the first point after its place, instead of at or after it.
        digest: the name of the hash in `digests.KINDS` that `key_hash` is for the UTF-8 of all keys but the empty one,
            or None; of 128 bits it is `md5`, and only of ASCII.
        takes_bytes: whether `key_hash` hashes bytes as they are.
        takes_text: whether it hashes a str as its UTF-8.
        tag: two characters: what stands between them in a key is hashed instead of the key.
    """

    __slots__ = (
        "_bits",
        "_count",
        "_digest",
        "_key_hash",
        "_low_array",
        "_lows",
        "_names",
        "_of_types",
        "_owner_array",
        "_owners",
        "_point_array",
        "_points",
        "_rule",
        "_shift",
        "_table",
        "_table_array",
        "_with_points",
    )

    def __init__(
        self,
        names: tuple[str, ...],
        points: list[int] | Words,
        owners: list[int] | Indices,
        key_hash: Callable[[Any], int],
        bits: int = 64,
        after: bool = False,
        digest: str | None = None,
        takes_bytes: bool = False,
        takes_text: bool = True,
        tag: str | None = None,
    ) -> None:
        if getattr(self, "nodes", None) is not None:
            raise InvalidType("a ring is immutable; make a new one")
        self._names = names
        self._key_hash = key_hash
        self._bits = bits
        self._count = len(points)
        self._point_array = np.append(_uppers(points, bits), np.full(PAD, _LOW, np.uint64))
        self._low_array = np.array([point & _LOW for point in points] if bits > 64 else [0], np.uint64)
        self._owner_array = np.append(np.asarray(owners, np.uint32), np.uint32(owners[0]))
        self._point_array.flags.writeable = self._owner_array.flags.writeable = False
        self._with_points = int(np.count_nonzero(np.bincount(self._owner_array)))
        self._table_array = prefix_table(self._point_array)
        self._shift = prefix_shift(len(self._table_array) - 1)
        self._points = words(self._point_array)
        self._lows = words(self._low_array)
        self._owners = indices(self._owner_array)
        self._table = indices(self._table_array)
        self._digest = digest if bits <= 64 and tag is None else None
        self._of_types = [kind for kind, taken in ((str, takes_text), (bytes, takes_bytes)) if taken]
        self._rule = rule_of(KINDS[digest] if digest else 0, bits, after, takes_text, takes_bytes, tag)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes, in the order given: `nodes[lookup_many([key])[0]]` is the owner of `key`."""
        return self._names

    @property
    def bits(self) -> int:
        """The width of the circle."""
        return self._bits

    @property
    def uppers(self) -> Words:
        """The upper 64 bits of the points, and sentinels, like `Points.points`."""
        return self._point_array.view()  # whoever sets its dtype or strides shall not set the circle's own

    @property
    def places(self) -> list[int]:
        """The points, sorted."""
        uppers = self._point_array[: self._count].tolist()
        if self._bits <= 64:
            return [upper >> 64 - self._bits for upper in uppers]
        return [upper << 64 | low for upper, low in zip(uppers, self._low_array.tolist(), strict=True)]

    @property
    def owners(self) -> Indices:
        """The owner of each point as an index into `nodes`, and once more that of the first."""
        return self._owner_array.view()

    def __getitem__(self, key: Any) -> str:
        """Return the name of the node that the other system gives `key` to."""
        at = self._start(key)
        return self._names[self._owners[at]]

    def lookup(self, key: Any, /) -> str:
        """Return the name of the node that the other system gives `key` to; `ring[key]` is the same.

        Raises:
            InvalidType: a key that is no str or bytes, unless the system takes others.
            InvalidValue: a str with lone surrogates.
        """
        at = self._start(key)
        return self._names[self._owners[at]]

    def position(self, place: int) -> int:
        """Return the position of the point that a place belongs to; the number of points past the last."""
        high = place >> self._bits - 64 if self._bits > 64 else place << 64 - self._bits
        return find_place(
            self._points,
            self._lows,
            self._table,
            self._shift,
            self._count,
            self._rule,
            high,
            place & _LOW if self._bits > 64 else 0,
        )

    def lookup_many(self, keys: Keys, *, threads: int = 1, null: str | None = None) -> Indices:
        """Return the owners of a batch of keys, as uint32 indices into `ring.nodes`.

        Args:
            keys: any iterable of keys; or a one-dimensional NumPy array of `S` (trailing NULs do not count), `U` or
                `StringDType`, or Arrow data of text or bytes; of integers where the system takes ints.
            threads: over how many threads at most to split a large batch.
            null: the name of the node that owns the rows that are null; without it a null is refused.

        Raises:
            InvalidType: as for `lookup`, or `keys` is a single key.
            InvalidValue: as for `lookup`; a row is null, Arrow data are malformed, or `threads` is less than 1.
            UnknownNode: there is no node named `null`.
        """
        threads, owner = _checks.thread_count(threads), position(self._names, null)
        places, nulls, items = self._batch(keys, threads, null)
        out: Indices = np.empty(len(places), np.uint32)
        if self._bits <= 64:
            self._search(places, out, threads)
        else:
            for row in self._ties(places, nulls, out):
                at = self._start(items[row])
                out[row] = self._owners[at]
        if nulls is not None:
            out[nulls] = owner
        return out

    def replicas(self, key: Any, n: int) -> tuple[str, ...]:
        """Return the `n` distinct nodes met from the key's point on, round the ring; the first owns the key.

        All nodes that have points, in that order, when there are fewer than `n`.

        Raises:
            InvalidType: as for `lookup`, or `n` is no int.
            InvalidValue: as for `lookup`, or `n` is less than 1.
        """
        wanted = replica_count(n, self._with_points)
        at = self._start(key)
        return distinct_owners(self._owners, self._count, at, self._names, wanted)

    def replicas_many(self, keys: Keys, n: int, *, threads: int = 1, null: str | None = None) -> Indices:
        """Return the `replicas` of a batch of keys, one row a key, as uint32 indices into `ring.nodes`.

        Takes and raises what `lookup_many` does; the row of a null has `null` and the nodes that follow it in `nodes`.
        """
        threads, owner = _checks.thread_count(threads), position(self._names, null)
        wanted, nodes = replica_count(n, self._with_points), len(self._names)
        places, nulls, items = self._batch(keys, threads, null)
        out: Indices = np.empty((len(places), wanted), np.uint32)
        self._rows(places, out, threads)
        if self._bits > 64:
            for row in self._ties(places, nulls, np.empty(len(places), np.uint32)):
                at = self._start(items[row])
                walk = np.roll(self._owner_array[:-1], -int(at))
                out[row] = list(dict.fromkeys(walk.tolist()))[:wanted]
        if nulls is not None:
            out[nulls] = (owner + np.arange(wanted)) % nodes
        return out

    def _search(self, places: Words, out: Indices, threads: int) -> None:
        def part(start: int, stop: int) -> None:
            points, table, owners = self._point_array, self._table_array, self._owner_array
            find_many(points, table, self._shift, owners, places[start:stop], out[start:stop])

        _threads.split(part, len(places), threads)

    def _rows(self, places: Words, out: Indices, threads: int) -> None:
        def part(start: int, stop: int) -> None:
            points, table, owners = self._point_array, self._table_array, self._owner_array
            some, nodes = places[start:stop], len(self._names)
            ring_rows(points, table, self._shift, owners, nodes, some, out[start:stop])

        _threads.split(part, len(places), threads)

    def _ties(self, highs: Words, nulls: Any, out: Indices) -> list[int]:
        """Put the owners of places into `out` by their upper bits, and return the rows where these do not tell."""
        ties = find_highs(self._point_array, self._table_array, self._shift, self._owner_array, highs, out)
        return ties if nulls is None else [row for row in ties if not nulls[row]]

    def _batch(self, keys: Any, threads: int, null: str | None) -> tuple[Words, Any, list[Any]]:
        """Return the places of a batch; which rows are null, or None; and the keys, but for columns hashed in place."""
        if type(keys) is list or not is_column(keys):
            given = list(_checks.key_list(keys))  # of our own: another thread may change that of the caller
            return self._places_of(given), None, given
        items: list[Any] = []
        if self._bits <= 64:
            places, nulls = gathered(keys, lambda *chunk: self._places_in(threads, *chunk))
        else:
            items, nulls = listed(keys)
            places = self._places_but(items, nulls)
        if null is None:
            refuse_nulls(nulls)
        return places, nulls, items

    def _places_in(self, threads: int, column: Column, nulls: Any, row: int) -> Words:
        """Return the places of a chunk; digested where it lies, unless a key may be the empty one."""
        if self._digest is not None and key_type(column.layout) in self._of_types:
            found: Words = chunk_hashes(column, row, threads, KINDS[self._digest])
            empty = found == np.uint64(digest_of(self._digest, b""))
            if not (empty if nulls is None else empty & ~nulls).any():
                return (found << np.uint64(64 - self._bits)) + np.uint64(self._rule.after)
        return self._places_but(keys_of(column, nulls, row), nulls)

    def _places_but(self, keys: list[Any], nulls: Any) -> Words:
        """Return the places of keys, anything for the nulls."""
        if nulls is None:
            return self._places_of(keys)
        out: Words = np.zeros(len(keys), np.uint64)
        out[~nulls] = self._places_of([key for key, missing in zip(keys, nulls, strict=True) if not missing])
        return out

    def _places_of(self, keys: list[Any]) -> Words:
        out: Words = np.empty(len(keys), np.uint64)
        place_list(keys, self._rule, self._key_hash, out)
        return out

    def _start(self, key: Any) -> int:
        at = find_key(self._points, self._lows, self._table, self._shift, self._count, self._rule, key)
        return at if at >= 0 else self.position(self._key_hash(key))


class Tokens(Circle):
    """The tokens of a cluster, counted from the least up, with the data centre and the rack of each node.

    Args:
        names: as for `Circle`, and so all up to `bits`.
        points: the tokens, sorted.
        owners: of each token.
        key_hash: from a key, or a token as an int, to the token.
        bits: 64, or 128.
        digest: of keys of bytes, or None.
        centres: the number of the data centre of each node, or None where that is not known.
        racks: the number of the rack of each node, no two data centres having one of the same number.
    """

    __slots__ = ("_centre_array", "_centre_count", "_centres", "_found", "_planned", "_rack_array", "_racks")

    def __init__(
        self,
        names: tuple[str, ...],
        points: list[int] | Words,
        owners: list[int] | Indices,
        key_hash: Callable[[Any], int],
        bits: int,
        digest: str | None,
        centres: list[int],
        racks: list[int],
    ) -> None:
        Circle.__init__(self, names, points, owners, key_hash, bits, False, digest, True, False)
        self._centre_array = np.array(centres, np.uint32)
        self._rack_array = np.array(racks, np.uint32)
        self._centres = indices(self._centre_array)
        self._racks = indices(self._rack_array)
        self._centre_count = len(set(centres))
        # The last replication asked for, in a list: its items are put and read at once in any interpreter.
        self._planned: list[tuple[Any, Any, Any, Any]] = [(None, (), None, None)]
        self._found: dict[Any, list[Any]] = {}

    def plan(self, replication: Any) -> Any:
        """Return how many replicas there are, or for each data centre how many, and how many may share a rack."""
        raise NotImplementedError

    def replicas(self, key_or_token: bytes | int, replication: Any) -> tuple[str, ...]:
        """Return the nodes that hold a key, or a token given as an int, in the order in which the server has them.

        Follows Cassandra 02404115, `locator/SimpleStrategy.java` and `locator/NetworkTopologyStrategy.java`. The Python
        driver orders some otherwise, and can name a node twice.

        Args:
            key_or_token: the serialised partition key, or a token.
            replication: how many for `SimpleStrategy`; data centres with how many in each for
                `NetworkTopologyStrategy`; or the whole map of a keyspace, with its `class`.

        Raises:
            InvalidType: neither bytes nor an int, or a replication of another type.
            InvalidValue: an int that is no token, an unknown strategy, or data centres without a topology.
        """
        known, items, plan, found = self._planned[0]
        if not same(replication, known, items):
            plan, found = self._plan_of(replication)
        at = self._start(key_or_token)
        if at == self._count:
            at = 0
        if found[at] is None:
            found[at] = self._walked(at, plan)
        row: tuple[str, ...] = found[at]
        return row

    def _plan_of(self, replication: Any) -> tuple[Any, list[Any]]:
        """Return a plan, and the replicas that were found with it from each token on."""
        plan = self.plan(replication)
        if type(plan) is not int:
            left, repeats = plan
            plan = plan_of(left, repeats)
        found = self._found.get(plan)
        if found is None:
            found = self._found[plan] = [None] * self._count
        if type(replication) is int or type(replication) is dict:
            known = copy(replication)
            items = tuple(chain.from_iterable(known.items())) if type(known) is dict else ()
            self._planned[0] = (known, items, plan, found)
        return plan, found

    def _walked(self, at: int, plan: Any) -> tuple[str, ...]:
        if type(plan) is int:
            return distinct_owners(self._owners, self._count, at, self._names, min(plan, self._with_points))
        return spread(
            self._owners, self._count, at, self._names, self._centres, self._racks, self._centre_count, plan
        )


def _uppers(points: list[int] | Words, bits: int) -> Words:
    if isinstance(points, np.ndarray):
        return points
    if bits > 64:
        return np.array([point >> bits - 64 for point in points], np.uint64)
    return np.array([point << 64 - bits for point in points], np.uint64)
