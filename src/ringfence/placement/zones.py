"""Replicas that stand in zones of their own."""

from __future__ import annotations

from collections.abc import Iterable

from ringfence._core._checks import replica_count
from ringfence.errors import EmptyRing, InvalidValue
from ringfence.placement.protocol import Placement


def spread(placement: Placement, key: str | bytes | int, n: int, distinct: str) -> tuple[str, ...]:
    """Return `n` nodes over as many zones as there are.

    In rounds: each takes the first node left of every zone, in the key's order of preference. So zones repeat only
    when there are fewer than `n`, and then evenly. A node without a zone is one of its own.

    Raises:
        EmptyRing: there is no node.
        InvalidType: a key of another type, or `n` is no int.
        InvalidValue: `n` is less than 1, a key out of range, or `distinct` is not "zone".
    """
    if distinct != "zone":
        raise InvalidValue(f"distinct must be 'zone' or None, not {distinct!r}")
    if not placement.nodes:
        raise EmptyRing
    wanted = replica_count(n, len(placement.nodes))
    found, left = _first_round(placement, key, wanted)
    while len(found) < wanted:
        more, left = _round(placement, left)
        found += more
    return tuple(found[:wanted])


def _first_round(placement: Placement, key: str | bytes | int, wanted: int) -> tuple[list[str], list[str]]:
    # Near the key there are mostly zones enough; the whole order is seldom needed.
    asked = wanted
    while True:
        found, left = _round(placement, placement.replicas(key, asked))
        if len(found) >= wanted or asked >= len(placement.nodes):
            return found, left
        asked *= 4


def _round(placement: Placement, order: Iterable[str]) -> tuple[list[str], list[str]]:
    zones: set[object] = set()
    found: list[str] = []
    left: list[str] = []
    for name in order:
        zone = placement.node(name).zone
        (found if zone is None or zone not in zones else left).append(name)
        zones.add(zone)
    return found, left
