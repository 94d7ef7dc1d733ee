"""What moves between two rings, exactly."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ringfence._core import _checks, batches
from ringfence._core.arrow import Keys
from ringfence._core.hashing import key_hash
from ringfence._core.points import Points, Words
from ringfence.placement import arcs
from ringfence.placement.plan import Plan
from ringfence.placement.shares import Shares


class Move(NamedTuple):
    """An arc of the circle of key hashes and the nodes between which its keys move.

    The arc holds the hashes after `start` up to and including `end`. Where `start >= end` it passes 2**64 and goes
    on from 0; where both are equal it is the whole circle. `source` is None when the old ring had no node, `target`
    when the new one has none.
    """

    start: int
    end: int
    source: str | None
    target: str | None


class Migration:
    """The keys that change their owner from one ring to another: those on some arcs, and no others.

    Made by `HashRing.diff`. Neighbouring arcs with the same source and target are one.

    Attributes:
        before: the part of the hash space that each node of the old ring owns, exactly.
        after: the same of the new ring.
    """

    before: dict[str, Fraction]
    after: dict[str, Fraction]

    def __init__(self, old: Points, new: Points) -> None:
        names = sorted({*old.nodes, *new.nodes})
        ends = arcs.ends(old, new)
        source, target = _owners_at(ends, old, names), _owners_at(ends, new, names)
        self._names: tuple[str | None, ...] = (*names, None)
        self._kind = old.kind
        self.before, self.after = self._load(ends, source, old), self._load(ends, target, new)
        last = _last_of_runs(source, target)
        starts = np.roll(ends[last], 1)
        moved = source[last] != target[last]
        self._starts, self._ends = starts[moved], ends[last][moved]
        self._sources, self._targets = source[last][moved], target[last][moved]

    def _load(self, ends: Words, owners: NDArray[np.int64], ring: Points) -> dict[str, Fraction]:
        parts = arcs.shares(np.roll(ends, 1), ends, owners, len(self._names))
        owned = dict(zip(self._names, parts, strict=True))
        return {name: owned[name] for name in ring.nodes}

    @cached_property
    def moves(self) -> tuple[Move, ...]:
        """The arcs that move, in the order of their ends."""
        names = self._names
        columns = (self._starts, self._ends, self._sources, self._targets)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return tuple(Move(start, end, names[source], names[target]) for start, end, source, target in rows)

    @cached_property
    def totals(self) -> dict[tuple[str | None, str | None], Fraction]:
        """The part of the hash space that moves from a source to a target, exactly, of each pair that has any.

        Sorted by names; the source is None when the old ring had no node, the target when the new one has none.
        """
        pairs = self._sources * len(self._names) + self._targets
        kinds, groups = np.unique(pairs, return_inverse=True)
        totals = arcs.shares(self._starts, self._ends, groups, len(kinds))
        found = (divmod(kind, len(self._names)) for kind in kinds.tolist())
        names = ((self._names[source], self._names[target]) for source, target in found)
        return dict(zip(names, totals, strict=True))

    @property
    def shares(self) -> Shares:
        """`before`, `after` and `totals` in one."""
        return Shares(self.before, self.after, self.totals)

    @cached_property
    def fraction(self) -> float:
        """The part of the hash space that moves, 0.0 to 1.0; exact but for the rounding to a float."""
        return self.shares.fraction

    def transfer(self, sizes: Mapping[str, int]) -> dict[tuple[str | None, str | None], int]:
        """Estimate how many bytes move from each source to each target, the pairs of `totals`.

        A node is taken to hold its bytes evenly over its part of the hash space, so the estimate is as good as the
        keys are many and of like size. Each is rounded to a whole byte.

        Args:
            sizes: the bytes on each node of the old ring.

        Raises:
            InvalidType: a size is no int.
            InvalidValue: a size is below 0, or that of a node is missing.
            UnknownNode: a size is given for a node that the old ring does not have.
        """
        return self.shares.transfer(sizes)

    def plan(self, sizes: Mapping[str, int] | None = None) -> Plan:
        """Return a dry run, to be shown as a table or as a picture; raises what `transfer` does.

        Args:
            sizes: the bytes on each node of the old ring, where bytes are to be estimated too.
        """
        return Plan(self.shares, sizes, len(self))

    def moves_key(self, key: str | bytes | int) -> bool:
        """Tell whether the owner of `key` changes.

        Raises:
            InvalidType: the key is neither str, bytes nor int.
            InvalidValue: an int out of range or a str with lone surrogates.
        """
        return bool(self._moved(np.array([key_hash(key, self._kind)], np.uint64))[0])

    def affected(self, keys: Keys, *, threads: int = 1, null: str | None = None) -> NDArray[np.bool_]:
        """Tell of each key of a batch whether its owner changes.

        Takes and raises what `HashRing.lookup_many` does; a node named `null` has to be in both rings, so that a null
        never moves.
        """
        threads = _checks.thread_count(threads)
        for ring in (self.before, self.after):
            batches.position(tuple(ring), null)
        hashes, nulls = batches.hashed(keys, self._kind, threads, null)
        moved = batches.in_threads(self._moved, hashes, np.empty(len(hashes), np.bool_), threads)
        if nulls is not None:
            moved[nulls] = False
        return moved

    def _moved(self, hashes: Words) -> NDArray[np.bool_]:
        if not len(self._ends):
            return np.zeros(len(hashes), np.bool_)
        arc = np.searchsorted(self._ends, hashes)
        arc[arc == len(self._ends)] = 0  # after the last end only the arc that passes 2**64 is left
        start, end, one = self._starts[arc], self._ends[arc], np.uint64(1)
        inside: NDArray[np.bool_] = hashes - start - one <= end - start - one  # modulo 2**64
        return inside

    def __len__(self) -> int:
        return len(self._ends)

    def __repr__(self) -> str:
        return f"<Migration of {self.fraction:.2%} of the keys in {len(self)} arcs>"


def _owners_at(hashes: Words, ring: Points, names: list[str]) -> NDArray[np.int64]:
    if not ring.nodes:
        return np.full(len(hashes), len(names))
    position = {name: index for index, name in enumerate(names)}
    renamed: NDArray[Any] = np.array([position[name] for name in ring.nodes])
    owners: NDArray[np.int64] = renamed[ring.search(hashes)]
    return owners


def _last_of_runs(source: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the positions whose neighbour on the circle has another source or target; any one if none has."""
    differs = (source != np.roll(source, -1)) | (target != np.roll(target, -1))
    last = np.flatnonzero(differs)
    return last if len(last) else np.array([len(source) - 1])
