"""The ring that most systems share: sorted points, their owners, a hash for keys, and a rule of which point is next."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple, Self, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from ringfence._core.points import PAD, Points
from ringfence.compat import _arguments
from ringfence.compat._snapshot import Moves, Snapshot
from ringfence.errors import InvalidType, InvalidValue
from ringfence.placement.migration import Migration

Indices: TypeAlias = NDArray[np.uint32]
T = TypeVar("T")


class Rule(NamedTuple):
    """How a system finds the point of a key.

    Attributes:
        name: of the system and of all its options that decide where a key stands; rings of one rule are comparable.
        key_hash: from a key to its place on the circle; it refuses what the system could not hash.
        bits: width of the circle.
        after: whether a key belongs to the first point after its hash, instead of at or after it.
        key_hash_many: the same for a list of keys, where there is something faster than a loop.
    """

    name: str
    key_hash: Callable[[Any], int]
    bits: int = 32
    after: bool = False
    key_hash_many: Callable[[list[Any]], NDArray[np.uint64]] | None = None


class Ring(Snapshot):
    """An immutable ring that places keys exactly as another system does.

    Made by the functions of `ringfence.compat`, one for each system. `nodes` keeps the order given, which is the
    order in which the other system counts its servers. A change of nodes builds a new ring.

    Args:
        members: the nodes with their weights, as the system was given them.
        pairs: (point, index of its owner) in the order of the circle; equal points stay where the system has them.
        rule: how a key finds its point.
        make: builds the ring of other members, with the same options.
    """

    __slots__ = ("_batch", "_make", "_owners", "_points", "_rule", "_with_points")

    def __init__(
        self,
        members: dict[str, Any],
        pairs: list[tuple[int, int]],
        rule: Rule,
        make: Callable[[dict[str, Any]], Ring],
    ) -> None:
        super().__init__(members)
        self._rule = rule
        self._make = make
        self._points = [point for point, _ in pairs]
        self._owners = [owner for _, owner in pairs]
        self._with_points = len(set(self._owners))
        self._owners.append(self._owners[0])  # so that no search has to wrap
        self._batch = _searched(self._nodes, self._points, self._owners, rule)

    @property
    def points(self) -> list[tuple[int, str]]:
        """The circle: each point and the node that owns it, sorted."""
        return [(point, self._nodes[owner]) for point, owner in zip(self._points, self._owners, strict=False)]

    def __getitem__(self, key: Any) -> str:
        """Return the name of the node that the other system gives `key` to."""
        return self._nodes[self._owners[self._position(self._rule.key_hash(key))]]

    def lookup(self, key: Any, /) -> str:
        """Return the name of the node that the other system gives `key` to; `ring[key]` is the same.

        Raises:
            InvalidType: a key that is no str or bytes, unless the system takes others.
            InvalidValue: a str with lone surrogates.
        """
        return self[key]

    def at(self, key_hash: int) -> str:
        """Return the name of the node that owns a hash, where the caller has hashed the key.

        Raises:
            InvalidType: the hash is no int.
            InvalidValue: it is not on the circle.
        """
        place = _arguments.integer("the hash", key_hash, 0, (1 << self._rule.bits) - 1)
        return self._nodes[self._owners[self._position(place)]]

    def lookup_many(self, keys: Iterable[Any]) -> Indices:
        """Return the owners of a batch of keys, as uint32 indices into `ring.nodes`.

        Args:
            keys: any iterable of keys, or a one-dimensional NumPy array of `S` (trailing NULs do not count), `U` or
                `StringDType`.

        Raises:
            InvalidType: as for `lookup`, or `keys` is a single key.
            InvalidValue: as for `lookup`.
        """
        items = _arguments.key_list(keys)
        rule = self._rule
        if rule.bits > 64:
            places = (self._position(rule.key_hash(key)) for key in items)
            return np.fromiter((self._owners[place] for place in places), np.uint32, len(items))
        if rule.key_hash_many is not None:
            hashes = rule.key_hash_many(items)
        else:
            hashes = np.fromiter(map(rule.key_hash, items), np.uint64, len(items))
        hashes <<= np.uint64(64 - rule.bits)
        return self._batch.search(hashes + np.uint64(1) if rule.after else hashes)

    def replicas(self, key: Any, n: int) -> tuple[str, ...]:
        """Return the `n` distinct nodes met from the key's point on, round the ring; the first owns the key.

        All nodes that have points, in that order, when there are fewer than `n`.

        Raises:
            InvalidType: as for `lookup`, or `n` is no int.
            InvalidValue: as for `lookup`, or `n` is less than 1.
        """
        return tuple(self._nodes[owner] for owner in self._distinct(key, self._wanted(n)))

    def replicas_many(self, keys: Iterable[Any], n: int) -> Indices:
        """Return the `replicas` of a batch of keys, one row a key, as uint32 indices into `ring.nodes`."""
        items, wanted = _arguments.key_list(keys), self._wanted(n)
        rows = chain.from_iterable(self._distinct(key, wanted) for key in items)
        return np.fromiter(rows, np.uint32, len(items) * wanted).reshape(len(items), wanted)

    def diff(self, new: Ring) -> Moves:
        """Return which keys have another owner in `new`, a ring of the same system.

        Raises:
            InvalidType: `new` is no ring of another system.
            InvalidValue: it is one whose keys are hashed otherwise.
        """
        if not isinstance(new, Ring):
            raise InvalidType(
                f"this ring is compared with one of its kind, not {type(new).__name__}: {new!r}"
            )
        if new._rule.name != self._rule.name:
            raise InvalidValue(
                f"rings of {self._rule.name} and {new._rule.name} hash keys differently; look keys up in both"
            )
        migration = Migration(self._batch, new._batch)
        return Moves(self, new, migration.shares, len(migration))

    def _made(self, members: dict[str, Any]) -> Self:
        return cast("Self", self._make(members))

    def _position(self, place: int) -> int:
        return (bisect_right if self._rule.after else bisect_left)(self._points, place)

    def _distinct(self, key: Any, wanted: int) -> Iterator[int]:
        start = self._position(self._rule.key_hash(key))
        return distinct(round_from(self._owners, start, len(self._points)), wanted)

    def _wanted(self, n: int) -> int:
        return min(_arguments.integer("n", n, 1), self._with_points)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ring):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((self._rule.name, self._nodes))

    def _identity(self) -> tuple[object, ...]:
        return self._rule.name, self._nodes, self._points, self._owners

    def __reduce__(self) -> tuple[Any, ...]:
        return self._make, (self._members,)

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self._nodes[:8])) + (", …" if len(self) > 8 else "")
        return f"<{self._rule.name} ring of {len(self)} nodes [{shown}], {len(self._points)} points>"


def in_order(points: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sort (point, owner) pairs; of equal points the first given comes first, as a stable sort leaves them."""
    return sorted(points, key=lambda pair: pair[0])


def last_wins(points: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sort (point, owner) pairs; of equal points only the last given stays, as in a map from points to owners."""
    return sorted(dict(points).items())


def round_from(owners: list[T], start: int, count: int) -> Iterator[T]:
    """Yield the owners of the `count` points of a circle, from that at `start` on and round."""
    for place in range(start, count):
        yield owners[place]
    for place in range(min(start, count)):
        yield owners[place]


def distinct(owners: Iterable[T], wanted: int) -> Iterator[T]:
    """Yield the first `wanted` distinct owners, or all; looks no further than it has to."""
    seen: set[T] = set()
    for owner in owners:
        if owner not in seen:
            seen.add(owner)
            yield owner
            if len(seen) == wanted:
                return


def _searched(nodes: tuple[str, ...], points: list[int], owners: list[int], rule: Rule) -> Points:
    """Return the circle stretched to 64 bits, where "after h" is "at or after h + 1", for searching whole batches."""
    if rule.bits > 64:
        stretched = np.array([point >> rule.bits - 64 for point in points], np.uint64)
    else:
        stretched = np.array(points, np.uint64) << np.uint64(64 - rule.bits)
    sentinels = np.full(PAD, 0xFFFF_FFFF_FFFF_FFFF, np.uint64)
    return Points(nodes, np.concatenate([stretched, sentinels]), np.array(owners, np.uint32))
