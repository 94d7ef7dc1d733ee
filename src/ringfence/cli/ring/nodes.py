"""Nodes as the command line is given them: as arguments, or in a file."""

from __future__ import annotations

from ringfence.errors import InvalidValue
from ringfence.placement.node import Node
from ringfence.placement.nodes_file import Listed, read, size

__all__ = ["Listed", "node", "pair", "read", "size", "weight"]


def node(text: str) -> Node:
    """Return the node that an argument names: `a` or `a=2.5`."""
    return Node(text) if "=" not in text else Node((split := pair(text))[0], weight(split[1]))


def pair(text: str) -> tuple[str, str]:
    """Return both sides of the last `=`.

    Raises:
        InvalidValue: there is none, or nothing beside it.
    """
    name, _, value = text.rpartition("=")
    if not name or not value:
        raise InvalidValue(f"{text!r} is not NAME=VALUE")
    return name, value


def weight(text: str) -> float:
    """Return a weight; raise `InvalidValue` for anything but a number."""
    try:
        return float(text)
    except ValueError:
        raise InvalidValue(f"the weight {text!r} is not a number") from None
