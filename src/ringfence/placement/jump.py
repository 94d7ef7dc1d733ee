"""Jump consistent hashing."""

from __future__ import annotations

from typing import Self

from ringfence._core.jump import Jump, jump_hash, jump_hash_many
from ringfence.errors import InvalidValue
from ringfence.placement.arguments import Nodes, equal_weights, nodes_in_order
from ringfence.placement.snapshot import Snapshot

__all__ = ["JumpHash", "jump_hash", "jump_hash_many"]


class JumpHash(Snapshot, Jump):
    """Which node owns which key, by jump consistent hashing (Lamping, Veach 2014, arXiv 1406.2294).

    Needs no memory beyond the names, and spreads keys as evenly as chance allows. The nodes are numbered in the order
    given, and a key's node depends on its number alone: so the order is part of the placement, and only the last
    node can leave. All have the same share.

    The owner is `nodes[jump_hash(key_hash(key), len(nodes))]`; the replicas follow from the outputs of SplitMix64
    seeded with the key's hash, in place of that hash.

    >>> JumpHash(["a", "b", "c"])["user:42"]
    'c'

    Args:
        nodes: names or `Node`s, in order.
        epoch: which version of the membership this is; it only grows.

    Raises:
        InvalidType: an argument of another type.
        InvalidValue: two nodes of one name, a weight other than 1, or a value out of range.
    """

    __slots__ = ("_epoch", "_members", "_positions")

    def __init__(self, nodes: Nodes = (), *, epoch: int = 0) -> None:
        members = equal_weights("JumpHash", nodes_in_order(nodes))
        self._describe(members, epoch)
        super().__init__(tuple(node.name for node in members))

    def without_node(self, name: str) -> Self:
        """Return a placement without the last node and with `epoch + 1`.

        Raises:
            UnknownNode: there is no node of that name.
            InvalidValue: the node is not the last one.
        """
        if self._position(name) < len(self) - 1:
            raise InvalidValue(
                f"only the last node, {self.nodes[-1]!r}, can leave a JumpHash, not {name!r}; "
                "where any node may leave, use AnchorHash or HashRing"
            )
        return super().without_node(name)
