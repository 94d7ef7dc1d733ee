"""The consistent-hash ring."""

from __future__ import annotations

from bisect import bisect_left
from fractions import Fraction
from typing import Any, Self

from ringfence._core import points
from ringfence.errors import InvalidType, InvalidValue
from ringfence.placement import arcs, key_hash
from ringfence.placement.arguments import Nodes, integer, one_node, sorted_nodes
from ringfence.placement.key_hash import KeyHash
from ringfence.placement.migration import Migration
from ringfence.placement.node import Node
from ringfence.placement.snapshot import Snapshot
from ringfence.placement.zones import spread

_MOST_POINTS = 1 << 28


class HashRing(points.Points, Snapshot):
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
        hash: how keys are hashed: "murmur3", "xxh64", "xxh3", "md5" or "sha1", or a function from the bytes of a key to
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
        self._members, self._epoch = members, epoch
        self._vnodes, self._seed, self._hash = vnodes, seed, hash

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

    def spread(self, key: str | bytes | int, n: int, distinct: str) -> tuple[str, ...]:
        """Return `replicas(key, n, distinct)` where `distinct` is not None."""
        return spread(self, key, n, distinct)

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
        return self._made((*self._members[:at], member, *self._members[at:]), self._with(at, member))

    def without_node(self, name: str) -> Self:
        """Return a ring without a node and with `epoch + 1`.

        Raises:
            UnknownNode: the ring has no node of that name.
        """
        at = self._position(name)
        return self._made(self._members[:at] + self._members[at + 1 :], points.without_node(self, at))

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
        return self._made(members, self._with(at, node, without))

    def load(self) -> dict[str, Fraction]:
        """Return which part of all hashes each node owns, exactly, by name; they add up to 1."""
        return arcs.load(self)

    def diff(self, new: HashRing) -> Migration:  # type: ignore[override]  # others have no arcs
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

    def _made(self, members: tuple[Node, ...], parts: tuple[Any, ...]) -> Self:
        ring = type(self).__new__(type(self))
        ring._members, ring._epoch = members, self._epoch + 1
        ring._vnodes, ring._seed, ring._hash = self._vnodes, self._seed, self._hash
        points.Points.__init__(ring, *(*parts, self.kind))
        return ring

    def _find(self, name: str) -> int | None:
        at = bisect_left(self.nodes, name)
        return at if at < len(self.nodes) and self.nodes[at] == name else None

    def _options(self) -> dict[str, Any]:
        return {"vnodes": self._vnodes, "seed": self._seed, "hash": self._hash}

    def _shown(self) -> dict[str, Any]:
        shown = {"vnodes": self._vnodes, "seed": self._seed}
        if self._hash == "murmur3":
            return shown
        return {**shown, "hash": getattr(self._hash, "__qualname__", self._hash)}


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
