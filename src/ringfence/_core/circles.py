# cython: annotation_typing=False
"""The search structure of other systems' rings: circles of any width, and keys hashed as each system does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from typing import Any

import numpy as np

from ringfence._core import _checks
from ringfence._core._kernel_array import Indices, Words
from ringfence._core.digests import KINDS
from ringfence._core.points import PAD, prefix_shift, prefix_table
from ringfence.errors import InvalidType

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
    from ringfence._core._kernel_tokens import plan_of, spread

_LOW = 0xFFFF_FFFF_FFFF_FFFF


class Circle:
    """Sorted points on a circle, and which node's each is: immutable, so look-ups need no lock.

    Keys that are ASCII and, where the system takes them, bytes are hashed and searched in one go; whatever else goes
    through `key_hash`, which refuses what the system could not hash.

    Args:
        names: the nodes, in any order.
        points: sorted, at least one; of up to 64 bits also as an array, shifted up to 64 already.
        owners: of each point, as an index into `names`.
        key_hash: from a key to its place on the circle.
        bits: width of the circle: up to 64, or 128.
        after: whether a key belongs to the first point after its place, instead of at or after it.
        digest: the name of the hash in `digests.KINDS` that `key_hash` is for ASCII, or None; of 128 bits it is `md5`.
        takes_bytes: whether `key_hash` hashes bytes as they are.
        takes_text: whether it hashes a str as its UTF-8.
        tag: two characters: what stands between them in a key is hashed instead of the key.
    """

    __slots__ = (
        "_bits",
        "_count",
        "_key_hash",
        "_low_array",
        "_lows",
        "_names",
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
        self._with_points = int(np.count_nonzero(np.bincount(self._owner_array)))
        self._table_array = prefix_table(self._point_array)
        self._shift = prefix_shift(len(self._table_array) - 1)
        self._points = words(self._point_array)
        self._lows = words(self._low_array)
        self._owners = indices(self._owner_array)
        self._table = indices(self._table_array)
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
        return self._point_array

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
        return self._owner_array

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

    def lookup_many(self, keys: Iterable[Any]) -> Indices:
        """Return the owners of a batch of keys, as uint32 indices into `ring.nodes`.

        Args:
            keys: any iterable of keys, or a one-dimensional NumPy array of `S` (trailing NULs do not count), `U` or
                `StringDType`.

        Raises:
            InvalidType: as for `lookup`, or `keys` is a single key.
            InvalidValue: as for `lookup`.
        """
        items = list(_checks.key_list(keys))  # of our own: another thread may change that of the caller
        places = self._places_of(items)
        out: Indices = np.empty(len(items), np.uint32)
        if self._bits <= 64:
            find_many(self._point_array, self._table_array, self._shift, self._owner_array, places, out)
            return out
        for row in self._ties(places, out):
            at = self._start(items[row])
            out[row] = self._owners[at]
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

    def replicas_many(self, keys: Iterable[Any], n: int) -> Indices:
        """Return the `replicas` of a batch of keys, one row a key, as uint32 indices into `ring.nodes`."""
        items, wanted = list(_checks.key_list(keys)), replica_count(n, self._with_points)
        places = self._places_of(items)
        out: Indices = np.empty((len(items), wanted), np.uint32)
        nodes = len(self._names)
        ring_rows(self._point_array, self._table_array, self._shift, self._owner_array, nodes, places, out)
        if self._bits > 64:
            for row in self._ties(places, np.empty(len(items), np.uint32)):
                at = self._start(items[row])
                walk = np.roll(self._owner_array[:-1], -int(at))
                out[row] = list(dict.fromkeys(walk.tolist()))[:wanted]
        return out

    def _ties(self, highs: Words, out: Indices) -> list[int]:
        """Put the owners of places into `out` by their upper bits, and return the rows where these do not tell."""
        return find_highs(self._point_array, self._table_array, self._shift, self._owner_array, highs, out)

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
        self._planned: list[tuple[Any, Any, Any]] = [(None, None, None)]
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
        known, plan, found = self._planned[0]
        if type(replication) is not type(known) or replication != known:
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
            self._planned[0] = (copy(replication), plan, found)
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
