"""Replicas over data centres and racks, interpreted; `_kernel_tokens.pxd` holds the same names, compiled."""

from __future__ import annotations

from typing import Any


def same(replication: Any, known: Any, items: tuple[Any, ...]) -> bool:  # noqa: ARG001 as the compiled twin has it
    """Return whether a replication is like the one known, whose keys and values are `items` where it is a dict."""
    return type(replication) is type(known) and bool(replication == known)


def plan_of(left: list[int], repeats: list[int]) -> Any:
    """Return what `spread` takes: how many replicas each data centre is to have, and how many may share a rack."""
    return tuple(left), tuple(repeats)


def spread(
    owners: list[int],
    count: int,
    start: int,
    names: tuple[str, ...],
    centres: list[int],
    racks: list[int],
    centre_count: int,  # noqa: ARG001 as the compiled twin has it
    plan: tuple[tuple[int, ...], tuple[int, ...]],
) -> tuple[str, ...]:
    """Return the replicas met from position `start` on by the rules of `NetworkTopologyStrategy`."""
    left, repeats = list(plan[0]), list(plan[1])
    found: dict[int, None] = {}
    met: set[int] = set()
    wanted = sum(left)
    for step in range(count):
        if len(found) == wanted:
            break
        node = owners[(start + step) % count]
        centre = centres[node]
        if left[centre] <= 0 or node in found:
            continue
        if racks[node] in met:
            if repeats[centre] <= 0:
                continue  # as many distinct racks are left as replicas
            repeats[centre] -= 1
        met.add(racks[node])
        found[node] = None
        left[centre] -= 1
    return tuple(names[node] for node in found)
