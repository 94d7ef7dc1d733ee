"""What every placement can be asked, whatever its algorithm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ringfence.placement.node import Node
from ringfence.placement.plan import Plan


@runtime_checkable
class Diff(Protocol):
    """Which keys change their owner from one placement to another.

    `Migration` is the exact one of two rings, arc by arc; `KeyDiff` that of any two placements, key by key.
    """

    @property
    def fraction(self) -> float:
        """The part of all keys that moves, 0.0 to 1.0."""

    def moves_key(self, key: str | bytes | int) -> bool:
        """Tell whether the owner of `key` changes."""

    def affected(self, keys: Iterable[str | bytes | int]) -> NDArray[np.bool_]:
        """Tell of each key of a batch whether its owner changes."""

    def plan(self, sizes: Mapping[str, int] | None = None) -> Plan:
        """Return a dry run: what each node has before and after, and what moves from where to where."""


@runtime_checkable
class Placement(Protocol):
    """An immutable snapshot of which node owns which key.

    A key is a str (placed by its UTF-8), bytes, or an int in 0 <= key < 2**64, and all placements hash it alike, so
    code written for one works with every other. Look-ups need no lock; a change makes a new placement.
    """

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes, in the order of the indices that `lookup_many` gives."""

    @property
    def epoch(self) -> int:
        """Which version of the membership this is; each change makes it one more."""

    def node(self, name: str) -> Node:
        """Return a node with its weight and zone, or raise `UnknownNode`."""

    def __getitem__(self, key: str | bytes | int) -> str:
        """Return the name of the node that owns `key`."""

    def lookup(self, key: str | bytes | int, /) -> str:
        """Return the name of the node that owns `key`."""

    def lookup_many(self, keys: Iterable[str | bytes | int]) -> NDArray[np.uint32]:
        """Return the owners of a batch of keys, as indices into `nodes`."""

    def replicas(self, key: str | bytes | int, n: int) -> tuple[str, ...]:
        """Return `n` distinct nodes for `key` in order of preference, the owner first; all when there are fewer."""

    def replicas_many(self, keys: Iterable[str | bytes | int], n: int) -> NDArray[np.uint32]:
        """Return the replicas of a batch of keys, as rows of indices into `nodes`."""

    def with_node(self, node: str | Node) -> Self:
        """Return a placement with one node more and `epoch + 1`."""

    def without_node(self, name: str) -> Self:
        """Return a placement without a node and with `epoch + 1`."""

    def diff(self, new: Self) -> Diff:
        """Return which keys have another owner in `new`."""
