"""The arguments that every placement takes, checked."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, TypeAlias

from ringfence.errors import InvalidType, InvalidValue, UnknownNode
from ringfence.placement.node import Node

Nodes: TypeAlias = Iterable[str | Node] | Mapping[str, float]


def nodes_in_order(nodes: Any) -> tuple[Node, ...]:
    """Return the nodes, each with a name of its own, in the order given.

    Raises:
        InvalidType: no iterable of names and nodes, and no mapping of names to weights.
        InvalidValue: two nodes of one name, or a name or weight that `Node` refuses.
    """
    found = _nodes(nodes)
    _refuse_twins(sorted(node.name for node in found))
    return tuple(found)


def sorted_nodes(nodes: Any) -> tuple[Node, ...]:
    """Return the nodes, each with a name of its own, sorted by name; raises what `nodes_in_order` does."""
    found = _nodes(nodes)
    found.sort(key=lambda node: node.name)
    _refuse_twins([node.name for node in found])
    return tuple(found)


def one_node(node: str | Node) -> Node:
    """Return a node for its name."""
    return node if isinstance(node, Node) else Node(node)


def integer(what: str, value: Any, low: int, high: int | None = None) -> int:
    """Return `value` as an int in low <= value <= high; `what` names it in an error.

    Raises:
        InvalidType: it is no integer, or a bool.
        InvalidValue: it is out of range.
    """
    if isinstance(value, bool):
        raise InvalidType(f"{what} must be an int, not bool: {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise InvalidType(f"{what} must be an int, not {type(value).__name__}: {value!r}") from None
    if number < low:
        raise InvalidValue(f"{what} must be at least {low}, not {number}")
    if high is not None and number > high:
        raise InvalidValue(f"{what} must be at most {high}, not {number}")
    return number


def equal_weights(algorithm: str, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """Return `nodes`, if all have weight 1; raise `InvalidValue` for an algorithm that knows no other."""
    for node in nodes:
        if node.weight != 1:
            raise InvalidValue(
                f"{algorithm} gives every node the same share, so {node.name!r} cannot have weight {node.weight:g}; "
                "HashRing, Maglev and Rendezvous take weights"
            )
    return nodes


def checked_sizes(sizes: Mapping[str, int], names: tuple[str, ...]) -> dict[str, int]:
    """Return the bytes of each of these nodes.

    Raises:
        InvalidType: no mapping of names to ints.
        InvalidValue: a size below 0, or none for one of the nodes.
        UnknownNode: a size for another node.
    """
    if not isinstance(sizes, Mapping):
        raise InvalidType(f"sizes must map names to bytes, not {type(sizes).__name__}: {sizes!r}")
    known = frozenset(names)
    for name in sizes:
        if name not in known:
            raise UnknownNode(name, names)
    for name in names:
        if name not in sizes:
            raise InvalidValue(
                f"the size of {name!r} is missing; give the bytes of every node, 0 for an empty one"
            )
    return {name: integer(f"the size of {name!r}", sizes[name], 0, (1 << 64) - 1) for name in names}


def _nodes(nodes: Any) -> list[Node]:
    if isinstance(nodes, str | bytes | Node) or not isinstance(nodes, Iterable):
        raise InvalidType(f"nodes must be names, Nodes or a mapping of weights, not {nodes!r}")
    if isinstance(nodes, Mapping):
        return [Node(name, weight) for name, weight in nodes.items()]
    return [one_node(node) for node in nodes]


def _refuse_twins(names: list[str]) -> None:
    for one, next_one in pairwise(names):
        if one == next_one:
            raise InvalidValue(f"two nodes are named {one!r}; every node needs a name of its own")
