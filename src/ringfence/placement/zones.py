"""Replicas that stand in zones of their own."""

from __future__ import annotations

from collections.abc import Callable

from ringfence.errors import InvalidValue
from ringfence.placement.node import Node


def check_distinct(distinct: object) -> None:
    """Raise `InvalidValue` for anything but "zone"."""
    if distinct != "zone":
        raise InvalidValue(f"distinct must be 'zone' or None, not {distinct!r}")


def spread(
    ranked: Callable[[int], tuple[str, ...]], node: Callable[[str], Node], n: int, total: int
) -> tuple[str, ...]:
    """Return `n` nodes over as many zones as there are, in order of preference within each round of the zones.

    Each round takes the first node left of every zone, so zones repeat only when there are fewer than `n`, and then
    evenly. A node without a zone is one of its own.

    Args:
        ranked: gives the first so many nodes in order of preference.
        node: gives the node of a name.
        n: how many to return.
        total: how many nodes there are.
    """
    asked = n
    while True:
        order = ranked(min(asked, total))
        first, left = _round(order, node)
        if len(first) >= n or len(order) == total:
            break
        asked *= 4
    while len(first) < n and left:
        more, left = _round(left, node)
        first += more
    return tuple(first[:n])


def _round(order: tuple[str, ...] | list[str], node: Callable[[str], Node]) -> tuple[list[str], list[str]]:
    zones: set[object] = set()
    taken: list[str] = []
    left: list[str] = []
    for name in order:
        zone = _zone(node(name))
        (left if zone in zones else taken).append(name)
        zones.add(zone)
    return taken, left


def _zone(node: Node) -> object:
    return ("alone", node.name) if node.zone is None else ("zone", node.zone)
