"""The consistent-hash ring."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ringfence._core import points, replicas
from ringfence._core.arrow import Keys
from ringfence._core.hashing import key_hash_many
from ringfence.errors import InvalidType, InvalidValue, UnknownNode
from ringfence.placement import arcs, key_hash
from ringfence.placement.arguments import Nodes, integer, one_node, sorted_nodes
from ringfence.placement.key_hash import KeyHash
from ringfence.placement.migration import Migration
from ringfence.placement.node import Node
from ringfence.placement.zones import spread

_MOST_POINTS = 1 << 28


class HashRing(points.Points):
    """An immutable snapshot of which node owns which key, by consistent hashing with virtual nodes.

    A node has `max(1, round(vnodes * weight))` points on a circle of 64-bit hashes (`round` takes halves to even),
    which depend on its name, their number and the seed alone; a key belongs to the first point at or after its
    hash. Equal sets of nodes give equal rings, whatever their order or history. Look-ups need no lock; a change
    makes a new ring with `epoch + 1`. The placement is a stored format: see `docs/placement-format.md`.

    >>> ring = HashRing(["a", "b", "c"])
    >>> ring["user:42"]
    'b'

    Two rings are equal when their nodes, vnodes, seed and hash are, whatever their epochs. `len(ring)` is the number of
    nodes, `"a" in ring` asks for a name, and iterating gives the names.

    Args:
        nodes: names, `Node`s, or a mapping of names to weights.
        vnodes: points of a node of weight 1; more make the load more even: its deviation is about 1/sqrt(vnodes).
        seed: 0 <= seed < 2**32; another seed gives other points.
        epoch: which version of the membership this is; it only grows.
        hash: how keys are hashed: "murmur3", "xxh64", "md5" or "sha1", or a function from the bytes of a key to
            an int in 0 <= hash < 2**64, evenly spread over all 64 bits. It does not change the points.

    Raises:
        InvalidType: an argument of another type.
        InvalidValue: two nodes of one name, a value out of range, or more points than 2**28 in all.
    """

    __slots__ = ("_epoch", "_hash", "_members", "_seed", "_vnodes")
    _members: tuple[Node, ...]
    _vnodes: int
    _seed: int
    _epoch: int
    _hash: KeyHash

    def __init__(
        self,
        nodes: Nodes = (),
        *,
        vnodes: int = 160,
        seed: int = 0,
        epoch: int = 0,
        hash: KeyHash = "murmur3",  # noqa: A002
    ) -> None:
        members = sorted_nodes(nodes)
        vnodes = integer("vnodes", vnodes, 1, _MOST_POINTS)
        seed = integer("seed", seed, 0, (1 << 32) - 1)
        epoch = integer("epoch", epoch, 0, (1 << 63) - 1)
        names = tuple(node.name for node in members)
        kind = key_hash.kind(hash)
        super().__init__(names, *points.build(names, _counts(members, vnodes), seed), kind=kind)
        self._describe(members, vnodes, seed, epoch, hash)

    def _describe(
        self, members: tuple[Node, ...], vnodes: int, seed: int, epoch: int, key_hash: KeyHash
    ) -> None:
        self._members = members
        self._vnodes = vnodes
        self._seed = seed
        self._epoch = epoch
        self._hash = key_hash

    @property
    def epoch(self) -> int:
        """Which version of the membership this is; each change makes it one more."""
        return self._epoch

    @property
    def vnodes(self) -> int:
        """Points of a node of weight 1."""
        return self._vnodes

    @property
    def seed(self) -> int:
        """Seed of the points."""
        return self._seed

    @property
    def hash(self) -> KeyHash:
        """How keys are hashed: the name of a hash, or a function of their bytes."""
        return self._hash

    def node(self, name: str) -> Node:
        """Return a node with its weight and zone.

        Raises:
            UnknownNode: the ring has no node of that name.
        """
        return self._members[self._position(name)]

    def spread(self, key: str | bytes | int, n: int, distinct: str) -> tuple[str, ...]:
        """Return `replicas(key, n, distinct)` where `distinct` is not None."""
        return spread(self, key, n, distinct)

    def replicas_many(self, keys: Keys, n: int) -> NDArray[np.uint32]:
        """Return `replicas(key, n)` of each key of a batch, as a row of uint32 indices into `ring.nodes`.

        Args:
            keys: what `lookup_many` takes.
            n: how many for each key; the rows have all nodes when there are fewer.

        Raises:
            EmptyRing: there is no node.
            InvalidType: a key of another type, or `n` is no int.
            InvalidValue: `n` is less than 1, or a key out of range.
        """
        shift = points.prefix_shift(len(self.table) - 1)
        return replicas.rows(self, shift, key_hash_many(keys, 1, self.kind), n)

    def with_node(self, node: str | Node) -> Self:
        """Return a ring with one node more and `epoch + 1`.

        Raises:
            InvalidValue: there is a node of that name already.
            InvalidType: `node` is neither a name nor a `Node`.
        """
        member = one_node(node)
        if member.name in self:
            raise InvalidValue(
                f"the ring has a node {member.name!r} already; with_weight() changes its weight"
            )
        at = bisect_left(self.nodes, member.name)
        return self._changed((*self._members[:at], member, *self._members[at:]), self._with(at, member))

    def without_node(self, name: str) -> Self:
        """Return a ring without a node and with `epoch + 1`.

        Raises:
            UnknownNode: the ring has no node of that name.
        """
        at = self._position(name)
        return self._changed(self._members[:at] + self._members[at + 1 :], points.without_node(self, at))

    def with_weight(self, name: str, weight: float) -> Self:
        """Return a ring where a node has another weight, and with `epoch + 1`.

        Raises:
            UnknownNode: the ring has no node of that name.
            InvalidType: the weight is no number.
            InvalidValue: the weight is not finite and above 0.
        """
        at = self._position(name)
        node = Node(name, weight, self._members[at].zone)
        without = points.Points(*points.without_node(self, at))
        members = (*self._members[:at], node, *self._members[at + 1 :])
        return self._changed(members, self._with(at, node, without))

    def load(self) -> dict[str, Fraction]:
        """Return which part of all hashes each node owns, exactly, by name; they add up to 1."""
        return arcs.load(self)

    def diff(self, new: HashRing) -> Migration:
        """Return what moves from this ring to `new`: exactly the keys whose owner is another there.

        Raises:
            InvalidType: `new` is no ring.
            InvalidValue: it hashes keys otherwise, so that no arcs say what moves; `KeyDiff` asks key by key.
        """
        if not isinstance(new, HashRing):
            raise InvalidType(f"a ring is compared with a HashRing, not {type(new).__name__}: {new!r}")
        if new._hash != self._hash:
            raise InvalidValue(
                f"a ring that hashes keys by {self._hash!r} and one that does by {new._hash!r} have no arcs in common; "
                "KeyDiff(old, new) compares them key by key"
            )
        return Migration(self, new)

    def _with(self, at: int, node: Node, ring: points.Points | None = None) -> tuple[Any, ...]:
        _check_total(len(self.points) + _count(node, self._vnodes))
        return points.with_node(ring or self, at, node.name, _count(node, self._vnodes), self._seed)

    def _changed(self, members: tuple[Node, ...], parts: tuple[Any, ...]) -> Self:
        ring = type(self).__new__(type(self))
        ring._describe(members, self._vnodes, self._seed, self._epoch + 1, self._hash)
        points.Points.__init__(ring, *(*parts, self.kind))
        return ring

    def _position(self, name: object) -> int:
        at = bisect_left(self.nodes, name) if isinstance(name, str) else len(self)
        if at < len(self) and self.nodes[at] == name:
            return at
        raise UnknownNode(name, self.nodes)

    def __contains__(self, name: object) -> bool:
        try:
            self._position(name)
        except UnknownNode:
            return False
        return True

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.nodes)

    __reversed__ = None  # or reversed() would look up the keys len(ring) - 1 to 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HashRing):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[object, ...]:
        return self._members, self._vnodes, self._seed, self._hash

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self._members, self._vnodes, self._seed, self._epoch, self._hash)

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self.nodes[:8])) + (", …" if len(self) > 8 else "")
        return (
            f"<HashRing of {len(self)} nodes [{shown}], vnodes={self._vnodes}, seed={self._seed}, "
            f"{self._shown_hash()}epoch={self._epoch}>"
        )

    def _shown_hash(self) -> str:
        if self._hash == "murmur3":
            return ""
        return f"hash={getattr(self._hash, '__qualname__', repr(self._hash))}, "


def _restore(
    kind: type[HashRing],
    members: tuple[Node, ...],
    vnodes: int,
    seed: int,
    epoch: int,
    key_hash: KeyHash = "murmur3",  # for rings pickled before there were others
) -> HashRing:
    return kind(members, vnodes=vnodes, seed=seed, epoch=epoch, hash=key_hash)


def _counts(members: tuple[Node, ...], vnodes: int) -> list[int]:
    counts = [_count(node, vnodes) for node in members]
    _check_total(sum(counts))
    return counts


def _count(node: Node, vnodes: int) -> int:
    wanted = vnodes * node.weight
    _check_total(wanted)
    return max(1, round(wanted))


def _check_total(count: float) -> None:
    if count > _MOST_POINTS:
        raise InvalidValue(
            f"a ring of {count:g} points is too large (at most 2**28); lower vnodes or the weights"
        )
