"""AnchorHash."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any, Self

import numpy as np

from ringfence._core._kernel_array import Indices
from ringfence._core.anchor import Anchor
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
        free = range(size - 1, len(members) - 1, -1) if removed is None else removed
        self._removed = _checked_removed(free, size, len(members))
        self._working = tuple(sorted({*range(size)} - {*self._removed}))
        places: Indices = np.zeros(size, np.uint32)
        places[list(self._working)] = np.arange(len(members))
        super().__init__(tuple(node.name for node in members), *_replayed(self._removed, size), places)

    @property
    def capacity(self) -> int:
        """The most nodes there may be at a time."""
        return len(self._removed) + len(self._working)

    @property
    def removed(self) -> tuple[int, ...]:
        """The buckets that are free, in the order in which they were left; the last is taken first."""
        return self._removed

    def with_node(self, node: str | Node) -> Self:
        """Return a placement with one node more, in the bucket that was left last, and with `epoch + 1`.

        Raises:
            InvalidValue: there is a node of that name already, it has a weight, or all buckets are taken.
            InvalidType: `node` is neither a name nor a `Node`.
        """
        member = one_node(node)
        if member.name in self:
            raise InvalidValue(f"there is a node {member.name!r} already")
        if not self._removed:
            raise InvalidValue(
                f"all {self.capacity} buckets are taken, so there is no room for {member.name!r}; "
                "make an AnchorHash of a larger capacity, and move the keys that `diff` names"
            )
        at = bisect_left(self._working, self._removed[-1])
        return self._moved((*self._members[:at], member, *self._members[at:]), self._removed[:-1])

    def without_node(self, name: str) -> Self:
        """Return a placement without a node and with `epoch + 1`.

        Raises:
            UnknownNode: there is no node of that name.
        """
        at = self._position(name)
        members = self._members[:at] + self._members[at + 1 :]
        return self._moved(members, (*self._removed, self._working[at]))

    def _moved(self, members: tuple[Node, ...], removed: tuple[int, ...]) -> Self:
        return type(self)(members, capacity=self.capacity, removed=removed, epoch=self._epoch + 1)

    def _options(self) -> dict[str, Any]:
        return {"capacity": self.capacity, "removed": self._removed}

    def _shown(self) -> dict[str, Any]:
        return {"capacity": self.capacity}


def _replayed(removed: tuple[int, ...], size: int) -> tuple[Indices, Indices]:
    # The paper's InitAnchor and RemoveBucket: `working` is W, `where` is L.
    left, heirs = [0] * size, list(range(size))
    working, where = list(range(size)), list(range(size))
    for count, bucket in zip(range(size - 1, -1, -1), removed, strict=False):
        left[bucket] = count
        heirs[bucket] = working[where[bucket]] = working[count]
        where[working[count]] = where[bucket]
    return np.array(left, np.uint32), np.array(heirs, np.uint32)


def _checked_capacity(capacity: int, nodes: int) -> int:
    size = integer("capacity", capacity, 1, _MOST_BUCKETS)
    if size < nodes:
        raise InvalidValue(f"a capacity of {size} is too small for {nodes} nodes; take at least {nodes}")
    return size


def _checked_removed(removed: Iterable[int], size: int, nodes: int) -> tuple[int, ...]:
    if not isinstance(removed, Iterable):
        raise InvalidType(f"removed must be buckets, not {type(removed).__name__}: {removed!r}")
    free = tuple(integer("a removed bucket", bucket, 0, size - 1) for bucket in removed)
    if len({*free}) < len(free) or len(free) != size - nodes:
        raise InvalidValue(
            f"{nodes} nodes of a capacity of {size} leave {size - nodes} buckets, each once, not {free!r}"
        )
    return free
