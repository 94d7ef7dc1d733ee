"""What the placements of all systems have in common: nodes with weights, and a new placement for every change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from ringfence._core.arrow import Keys
from ringfence.errors import InvalidValue
from ringfence.placement.key_diff import KeyDiff
from ringfence.placement.names import Names
from ringfence.placement.node import Node
from ringfence.placement.plan import Plan
from ringfence.placement.protocol import Placement
from ringfence.placement.shares import Shares


class Snapshot(Names):
    """An immutable placement of another system, made of its nodes in their order.

    `len()` gives the number of nodes, `"a" in placement` asks for a name, and iterating gives the names.
    """

    if not TYPE_CHECKING:  # what is assigned here are slots of the classes derived
        __slots__ = ()
    _members: dict[str, Any]
    _epoch: int

    def _describe(self, members: dict[str, Any]) -> None:
        self._members = members
        self._epoch = 0

    def lookup_many(self, keys: Keys, *, threads: int = 1, null: str | None = None) -> NDArray[np.uint32]:
        """Return the owners of a batch of keys, as uint32 indices into `nodes`."""
        raise NotImplementedError

    def _made(self, members: dict[str, Any]) -> Self:
        """Return the placement of other members, with the same options."""
        raise NotImplementedError

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes, in the order given: `nodes[lookup_many([key])[0]]` is the owner of `key`."""
        return tuple(self._members)

    def node(self, name: str) -> Node:
        """Return a node with its weight.

        Raises:
            UnknownNode: there is no node of that name.
        """
        return Node(name, self._members[self._known(name)])

    def with_node(self, node: str | Node) -> Self:
        """Return the placement that the system has with one node more, and `epoch + 1`.

        Args:
            node: its name, for a weight of 1, or a `Node` with another.

        Raises:
            InvalidValue: there is a node of that name already, or the system would refuse its name or weight.
            InvalidType: `node` is neither a name nor a `Node`, or its weight is not whole and would have to be.
        """
        member = node if isinstance(node, Node) else Node(node)
        if member.name in self._members:
            raise InvalidValue(f"there is a node {member.name!r} already")
        weight = int(member.weight) if member.weight.is_integer() else member.weight
        return self._next({**self._members, member.name: weight})

    def without_node(self, name: str) -> Self:
        """Return the placement that the system has without a node, and `epoch + 1`.

        Raises:
            UnknownNode: there is no node of that name.
            InvalidValue: it is the last.
        """
        self._known(name)
        return self._next({key: weight for key, weight in self._members.items() if key != name})

    def _next(self, members: dict[str, Any]) -> Self:
        changed = self._made(members)
        changed._epoch = self._epoch + 1
        return changed

    def _has(self, name: str) -> bool:
        return name in self._members


class Moves:
    """Which keys have another owner in one placement of a system than in another of it.

    Args:
        old: the placement before.
        new: the placement after.
        shares: what moves from where to where when keys are spread evenly.
        arcs: of the circle, in which it moves, where there is one.

    Attributes:
        fraction: the part of all keys that moves, 0.0 to 1.0, when they are spread evenly; exact but for the rounding
            to a float.
    """

    def __init__(self, old: Snapshot, new: Snapshot, shares: Shares, arcs: int | None = None) -> None:
        self._by_key = KeyDiff(cast("Placement", old), cast("Placement", new))
        self._shares, self._arcs = shares, arcs
        self.fraction = shares.fraction

    def plan(self, sizes: Mapping[str, int] | None = None) -> Plan:
        """Return a dry run, to be shown as a table or as a picture.

        Args:
            sizes: the bytes on each node of the old placement, where bytes are to be estimated too.

        Raises:
            InvalidType: a size is no int.
            InvalidValue: a size is below 0, or that of a node is missing.
            UnknownNode: a size is given for a node that the old placement does not have.
        """
        return Plan(self._shares, sizes, self._arcs)

    def moves_key(self, key: Any) -> bool:
        """Tell whether the owner of `key` changes; raises what looking it up does."""
        return bool(self.affected([key])[0])

    def affected(self, keys: Keys, *, threads: int = 1, null: str | None = None) -> NDArray[np.bool_]:
        """Tell of each key of a batch whether its owner changes; takes and raises what `lookup_many` of both does."""
        return self._by_key.affected(keys, threads=threads, null=null)

    def __repr__(self) -> str:
        return f"<Moves of {self.fraction:.2%} of the keys>"
