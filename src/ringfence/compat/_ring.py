"""The ring that most systems share: sorted points, their owners, a hash for keys, and a rule of which point is next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Self, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from ringfence._core.circles import Circle
from ringfence._core.points import Points
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
        digest: the name of the hash in the compiled core that `key_hash` is for keys of ASCII, or None; 128 bits of
            `md5` are a number.
        takes_bytes: whether `key_hash` hashes bytes as they are.
        tag: two characters: what stands between them in a key is hashed instead of the key.
    """

    name: str
    key_hash: Callable[[Any], int]
    bits: int = 32
    after: bool = False
    digest: str | None = None
    takes_bytes: bool = False
    tag: str | None = None

    def placing(self) -> dict[str, Any]:
        """Return what a `Circle` takes of it."""
        return {name: value for name, value in self._asdict().items() if name != "name"}


class Ring(Circle, Snapshot):
    """An immutable ring that places keys exactly as another system does.

    Made by the functions of `ringfence.compat`, one for each system. `nodes` keeps the order given, which is the
    order in which the other system counts its servers. A change of nodes builds a new ring.

    Args:
        members: the nodes with their weights, as the system was given them.
        pairs: (point, index of its owner) in the order of the circle; equal points stay where the system has them.
        rule: how a key finds its point.
        make: builds the ring of other members, with the same options.
    """

    __slots__ = ("_epoch", "_make", "_members", "_system")

    def __init__(
        self,
        members: dict[str, Any],
        pairs: list[tuple[int, int]],
        rule: Rule,
        make: Callable[[dict[str, Any]], Ring],
    ) -> None:
        points, owners = map(list, zip(*pairs, strict=True))
        super().__init__(tuple(members), points, owners, **rule.placing())
        self._describe(members)
        self._system = rule
        self._make = make

    @property
    def points(self) -> list[tuple[int, str]]:
        """The circle: each point and the node that owns it, sorted."""
        return [(point, self.nodes[owner]) for point, owner in zip(self.places, self.owners, strict=False)]

    def at(self, key_hash: int) -> str:
        """Return the name of the node that owns a hash, where the caller has hashed the key.

        Raises:
            InvalidType: the hash is no int.
            InvalidValue: it is not on the circle.
        """
        place = _arguments.integer("the hash", key_hash, 0, (1 << self.bits) - 1)
        return self.nodes[int(self.owners[self.position(place)])]

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
        if new._system.name != self._system.name:
            raise InvalidValue(
                f"rings of {self._system.name} and {new._system.name} hash keys differently; look keys up in both"
            )
        migration = Migration(self._stretched(), new._stretched())
        return Moves(self, new, migration.shares, len(migration))

    def _made(self, members: dict[str, Any]) -> Self:
        return cast("Self", self._make(members))

    def _stretched(self) -> Points:
        """Return the points on a circle of 64 bits, where "after h" is "at or after h + 1"."""
        return Points(self.nodes, self.uppers, self.owners)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ring):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((self._system.name, self.nodes))

    def _identity(self) -> tuple[object, ...]:
        return self._system.name, self.nodes, self.places, self.owners.tolist()

    def __reduce__(self) -> tuple[Any, ...]:
        return self._make, (self._members,)

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self.nodes[:8])) + (", …" if len(self) > 8 else "")
        return f"<{self._system.name} ring of {len(self)} nodes [{shown}], {len(self.owners) - 1} points>"


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
