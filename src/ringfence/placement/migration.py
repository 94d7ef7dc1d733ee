"""What moves between two rings, exactly."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ringfence._core.hashing import key_hash, key_hash_many
from ringfence._core.points import PAD, Points, Words

_SPACE = 1 << 64


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
    """

    def __init__(self, old: Points, new: Points) -> None:
        names = sorted({*old.nodes, *new.nodes})
        ends = _distinct_points(old, new)
        source, target = _owners_at(ends, old, names), _owners_at(ends, new, names)
        self._names: tuple[str | None, ...] = (*names, None)
        last = _last_of_runs(source, target)
        starts = np.roll(ends[last], 1)
        moved = source[last] != target[last]
        self._starts, self._ends = starts[moved], ends[last][moved]
        self._sources, self._targets = source[last][moved], target[last][moved]

    @cached_property
    def moves(self) -> tuple[Move, ...]:
        """The arcs that move, in the order of their ends."""
        names = self._names
        columns = (self._starts, self._ends, self._sources, self._targets)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return tuple(Move(start, end, names[source], names[target]) for start, end, source, target in rows)

    @property
    def fraction(self) -> float:
        """The part of the hash space that moves, 0.0 to 1.0; exact but for the rounding to a float."""
        spans = (
            self._ends - self._starts - np.uint64(1)
        )  # one less than the length: the whole circle is 2**64
        high, low = int((spans >> np.uint64(32)).sum()), int((spans & np.uint64(0xFFFF_FFFF)).sum())
        return ((high << 32) + low + len(spans)) / _SPACE

    def moves_key(self, key: str | bytes | int) -> bool:
        """Tell whether the owner of `key` changes.

        Raises:
            InvalidType: the key is neither str, bytes nor int.
            InvalidValue: an int out of range or a str with lone surrogates.
        """
        return bool(self._moved(np.array([key_hash(key)], np.uint64))[0])

    def moves_many(self, keys: Iterable[str | bytes | int]) -> NDArray[np.bool_]:
        """Tell of each key of a batch whether its owner changes; takes what `HashRing.lookup_many` takes."""
        return self._moved(key_hash_many(keys))

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


def _distinct_points(old: Points, new: Points) -> Words:
    points = np.concatenate([old.points[:-PAD], new.points[:-PAD]])
    if not len(points):
        return np.zeros(1, np.uint64)  # one arc without owner, the whole circle
    points.sort(kind="stable")  # merges the two runs
    distinct: Words = points[np.append(True, points[1:] != points[:-1])]
    return distinct


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
