"""Maglev hashing."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ringfence._core.hashing import xxh64_many
from ringfence._core.maglev import Slots, fill
from ringfence.errors import InvalidValue
from ringfence.placement.arguments import Nodes, integer, sorted_nodes
from ringfence.placement.node import Node
from ringfence.placement.snapshot import Snapshot

_MOST_SLOTS = (1 << 28) - 1


class Maglev(Snapshot, Slots):
    """Which node owns which key, by Maglev hashing (Eisenbud et al., NSDI 2016).

    A table of slots in which the nodes take turns, each in an order of its own, weights deciding how often. So the load
    is almost even and a look-up is one step into a table; in return a change also moves a few keys between nodes that
    stay, the fewer the larger the table is for the number of nodes. It builds the table that Envoy builds for the
    same names and weights.

    Equal sets of nodes give equal placements, whatever their order or history.

    >>> Maglev(["a", "b", "c"])["user:42"]
    'a'

    Args:
        nodes: names, `Node`s, or a mapping of names to weights.
        table_size: number of slots, a prime, at least the number of nodes and below 2**28; a hundred times that number
            keeps the load within 1% of the weights.
        epoch: which version of the membership this is; it only grows.

    Raises:
        InvalidType: an argument of another type.
        InvalidValue: two nodes of one name, or a value out of range; where `table_size` is no prime, it names the next.
    """

    __slots__ = ("_epoch", "_members", "_positions")

    def __init__(self, nodes: Nodes = (), *, table_size: int = 65537, epoch: int = 0) -> None:
        members = sorted_nodes(nodes)
        self._describe(members, epoch)
        size = _checked_size(table_size, len(members))
        names = tuple(node.name for node in members)
        super().__init__(names, _table(names, _weights(members), size))

    @property
    def table_size(self) -> int:
        """Number of slots."""
        return len(self.table)

    def _options(self) -> dict[str, int]:
        return {"table_size": self.table_size}


def _table(names: tuple[str, ...], weights: NDArray[np.float64], size: int) -> NDArray[np.uint32]:
    if not names:
        return np.zeros(size, np.uint32)
    offsets = xxh64_many(names, 0) % np.uint64(size)
    skips = xxh64_many(names, 1) % np.uint64(size - 1) + np.uint64(1)
    return fill(offsets, skips, weights, size)


def _weights(members: tuple[Node, ...]) -> NDArray[np.float64]:
    return np.array([node.weight for node in members], np.float64)


def _checked_size(table_size: int, nodes: int) -> int:
    size = integer("table_size", table_size, 2, _MOST_SLOTS)
    if not _is_prime(size):
        raise InvalidValue(f"table_size must be a prime, not {size}; the next one is {_next_prime(size)}")
    if size < nodes:
        raise InvalidValue(
            f"a table of {size} slots is too small for {nodes} nodes; take {_next_prime(100 * nodes)}"
        )
    return size


def _next_prime(number: int) -> int:
    while not _is_prime(number):
        number += 1
    return number


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, math.isqrt(number) + 1))
