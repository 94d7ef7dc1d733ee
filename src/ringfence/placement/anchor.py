"""AnchorHash."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import numpy as np

from ringfence._core._kernel_array import Indices
from ringfence._core.anchor import Anchor, replayed
from ringfence.errors import InvalidType, InvalidValue
from ringfence.placement.arguments import Nodes, equal_weights, integer, nodes_in_order, one_node
from ringfence.placement.node import Node
from ringfence.placement.snapshot import Snapshot

_MOST_BUCKETS = 1 << 24


class AnchorHash(Snapshot, Anchor):
    """Which node owns which key, by AnchorHash (Mendelson et al. 2020, arXiv 1812.09674).

    Any node may leave, and look-ups take constant time: about `(1 + ln(capacity / len(nodes)))` steps, squared
    at worst, however many nodes there are. Nothing moves between nodes that stay, and all have the same share.

    A node has a bucket. One that comes takes the bucket that was left last, and its keys: so the placement depends on
    the order in which nodes came and left, and is handed on by pickling it, not by the names.

    >>> AnchorHash(["a", "b", "c"], capacity=16)["user:42"]
    'b'

    Args:
        nodes: names or `Node`s, in order.
        capacity: the most nodes there may ever be at a time, at most 2**24; another capacity is another placement.
        removed: the buckets that are free, in the order in which they were left; those behind the nodes, the last
            first, when it is None.
        epoch: which version of the membership this is; it only grows.

    Raises:
        InvalidType: an argument of another type.
        InvalidValue: two nodes of one name, a weight other than 1, a value out of range, or more nodes than `capacity`.
    """

    __slots__ = ("_epoch", "_members", "_positions", "_removed", "_working")

    def __init__(
        self, nodes: Nodes = (), *, capacity: int, removed: Iterable[int] | None = None, epoch: int = 0
    ) -> None:
        members = equal_weights("AnchorHash", nodes_in_order(nodes))
        self._describe(members, epoch)
        size = _checked_capacity(capacity, len(members))
        if removed is None:
            removed = np.arange(size - 1, len(members) - 1, -1).astype(np.uint32)
        self._removed, self._working = _split(removed, size, len(members))
        places: Indices = np.zeros(size, np.uint32)
        places[self._working] = np.arange(len(members))
        super().__init__(tuple(node.name for node in members), *replayed(self._removed, size), places)

    @property
    def capacity(self) -> int:
        """The most nodes there may be at a time."""
        return len(self._removed) + len(self._working)

    @property
    def removed(self) -> tuple[int, ...]:
        """The buckets that are free, in the order in which they were left; the last is taken first."""
        return tuple(self._removed.tolist())

    def with_node(self, node: str | Node) -> Self:
        """Return a placement with one node more, in the bucket that was left last, and with `epoch + 1`.

        Raises:
            InvalidValue: there is a node of that name already, it has a weight, or all buckets are taken.
            InvalidType: `node` is neither a name nor a `Node`.
        """
        member = one_node(node)
        if member.name in self:
            raise InvalidValue(f"there is a node {member.name!r} already")
        if not len(self._removed):
            raise InvalidValue(
                f"all {self.capacity} buckets are taken, so there is no room for {member.name!r}; "
                "make an AnchorHash of a larger capacity, and move the keys that `diff` names"
            )
        at = int(np.searchsorted(self._working, self._removed[-1]))
        return self._moved((*self._members[:at], member, *self._members[at:]), self._removed[:-1])

    def without_node(self, name: str) -> Self:
        """Return a placement without a node and with `epoch + 1`.

        Raises:
            UnknownNode: there is no node of that name.
        """
        at = self._position(name)
        members = self._members[:at] + self._members[at + 1 :]
        return self._moved(members, np.append(self._removed, self._working[at]))

    def _moved(self, members: tuple[Node, ...], removed: Indices) -> Self:
        return type(self)(members, capacity=self.capacity, removed=removed, epoch=self._epoch + 1)

    def _options(self) -> dict[str, Any]:
        return {"capacity": self.capacity, "removed": self._removed}

    def _identity(self) -> tuple[object, ...]:
        return type(self), self._members, self.capacity, self._removed.tobytes()

    def _shown(self) -> dict[str, Any]:
        return {"capacity": self.capacity}


def _checked_capacity(capacity: int, nodes: int) -> int:
    size = integer("capacity", capacity, 1, _MOST_BUCKETS)
    if size < nodes:
        raise InvalidValue(f"a capacity of {size} is too small for {nodes} nodes; take at least {nodes}")
    return size


def _split(removed: Iterable[int], size: int, nodes: int) -> tuple[Indices, Indices]:
    """Return the buckets that are free, in the order given, and those that work, in their own."""
    free = _buckets(removed, size)
    works = np.ones(size, np.bool_)
    works[free] = False
    working: Indices = np.flatnonzero(works).astype(np.uint32)
    if len(free) != size - nodes or len(working) != nodes:
        raise InvalidValue(
            f"{nodes} nodes of a capacity of {size} leave {size - nodes} buckets, each once, not {removed!r}"
        )
    return free, working


def _buckets(removed: Iterable[int], size: int) -> Indices:
    if isinstance(removed, np.ndarray) and removed.dtype == np.uint32 and (removed < size).all():
        return removed.copy()
    if not isinstance(removed, Iterable):
        raise InvalidType(f"removed must be buckets, not {type(removed).__name__}: {removed!r}")
    numbers = [integer("a removed bucket", bucket, 0, size - 1) for bucket in removed]
    return np.array(numbers, np.uint32)
