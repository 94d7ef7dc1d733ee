"""Which part of the keys each node has before and after a change, and what moves from where to where."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ringfence.errors import InvalidValue
from ringfence.placement.arguments import checked_sizes

Pair: TypeAlias = tuple[str | None, str | None]


class Shares(NamedTuple):
    """Parts of all keys, as exact fractions of what was measured or counted.

    Attributes:
        before: the part of each node of the old placement.
        after: the same of the new one.
        totals: the part that moves from a source to a target, of each pair that has any, sorted by names; the source
            is None when the old placement had no node, the target when the new one has none.
    """

    before: dict[str, Fraction]
    after: dict[str, Fraction]
    totals: dict[Pair, Fraction]

    @property
    def fraction(self) -> float:
        """The part that moves, 0.0 to 1.0."""
        return float(sum(self.totals.values()))

    def transfer(self, sizes: Mapping[str, int]) -> dict[Pair, int]:
        """Estimate how many bytes move, by the pairs of `totals`; `Migration.transfer` says more."""
        held = checked_sizes(sizes, tuple(self.before))
        return {
            (source, target): 0 if source is None else round(held[source] * part / self.before[source])
            for (source, target), part in self.totals.items()
        }


def counted(old: tuple[str, ...], before: NDArray[Any], new: tuple[str, ...], after: NDArray[Any]) -> Shares:
    """Count keys, or slots, by the owners they have in two placements.

    Args:
        old: the nodes of the old placement.
        before: the owner of each key there, as an index into `old`; whatever when there is none.
        new: the nodes of the new placement.
        after: the owner of each key there, as an index into `new`.

    Raises:
        InvalidValue: there are no keys.
    """
    if not len(before):
        raise InvalidValue("there are no keys to count; give at least one")
    names = sorted({*old, *new})
    sources, targets = positions(names, old, before), positions(names, new, after)
    kinds, counts = np.unique((sources + 1) * (len(names) + 1) + targets + 1, return_counts=True)
    known: list[str | None] = [None, *names]
    pairs = [(known[kind // len(known)], known[kind % len(known)]) for kind in kinds.tolist()]
    parts = [Fraction(count, len(before)) for count in counts.tolist()]
    moved = {pair: part for pair, part in zip(pairs, parts, strict=True) if pair[0] != pair[1]}
    return Shares(_shares(names, old, sources), _shares(names, new, targets), _sorted(moved))


def positions(names: list[str], nodes: tuple[str, ...], owners: NDArray[Any]) -> NDArray[np.int64]:
    """Return the owners as indices into `names` instead of `nodes`; -1 where there are no nodes."""
    if not nodes:
        return np.full(len(owners), -1)
    places = {name: place for place, name in enumerate(names)}
    found: NDArray[np.int64] = np.array([places[name] for name in nodes])[owners]
    return found


def _shares(names: list[str], nodes: tuple[str, ...], owners: NDArray[np.int64]) -> dict[str, Fraction]:
    counts = np.bincount(owners + 1, minlength=len(names) + 1).tolist()
    every = dict(zip(names, counts[1:], strict=True))
    return {name: Fraction(every[name], len(owners)) for name in nodes}


def _sorted(totals: dict[Pair, Fraction]) -> dict[Pair, Fraction]:
    return dict(sorted(totals.items(), key=lambda item: (item[0][0] or "", item[0][1] or "")))
