"""Which keys move between two placements of any kind."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringfence._core.arrow import Keys, is_column
from ringfence.errors import InvalidType
from ringfence.placement.plan import Plan
from ringfence.placement.protocol import Placement
from ringfence.placement.shares import Shares, counted, positions

SAMPLE = 1 << 16
"""How many keys the estimate of `KeyDiff.fraction` looks at."""


class KeyDiff:
    """The keys that change their owner from one placement to another, asked one by one or in batches.

    Only a ring has arcs that can be listed; here both placements are asked for each key. So any two can be
    compared, of one algorithm or of two: `KeyDiff(ring, maglev)` tells what a change of the algorithm moves.

    Args:
        old: the placement before.
        new: the placement after.

    Raises:
        InvalidType: one of them is no `Placement`.
    """

    def __init__(self, old: Placement, new: Placement) -> None:
        for placement in (old, new):
            if not isinstance(placement, Placement):
                raise InvalidType(
                    f"a Placement is compared with a Placement, not {type(placement).__name__}: {placement!r}"
                )
        self._old, self._new = old, new

    @cached_property
    def fraction(self) -> float:
        """The part of all keys that moves, 0.0 to 1.0, estimated.

        It is the part of the 65,536 keys 0, 1, 2, …, so its standard error is at most 0.2 percentage points; the same
        two placements always give the same number.
        """
        return self._sampled.fraction

    def plan(self, sizes: Mapping[str, int] | None = None, keys: Keys | None = None) -> Plan:
        """Return a dry run, to be shown as a table or as a picture.

        Args:
            sizes: the bytes on each node of the old placement, where bytes are to be estimated too.
            keys: what is counted, a batch as `lookup_many` takes it; the keys that `fraction` looks at when it is None.

        Raises:
            InvalidType: a key or a size of a wrong type.
            InvalidValue: a size is below 0 or missing, or there are no keys.
            UnknownNode: a size is given for a node that the old placement does not have.
        """
        return Plan(self._sampled if keys is None else self._counted(keys), sizes)

    @cached_property
    def _sampled(self) -> Shares:
        return self._counted(np.arange(SAMPLE, dtype=np.uint64))

    def _counted(self, keys: Keys) -> Shares:
        batch = _readable_twice(keys)
        before, after = (_owners(placement, batch, {}) for placement in (self._old, self._new))
        return counted(self._old.nodes, before, self._new.nodes, after)

    def moves_key(self, key: str | bytes | int) -> bool:
        """Tell whether the owner of `key` changes.

        Raises:
            InvalidType: the key is neither str, bytes nor int.
            InvalidValue: an int out of range or a str with lone surrogates.
        """
        return bool(self.affected([key])[0])

    def affected(self, keys: Keys, **options: Any) -> NDArray[np.bool_]:
        """Tell of each key of a batch whether its owner changes.

        Takes and raises what `lookup_many` of both placements does: `threads=` and `null=` too, where they have them.
        """
        batch = _readable_twice(keys)
        names = sorted({*self._old.nodes, *self._new.nodes})
        before, after = (
            positions(names, placement.nodes, _owners(placement, batch, options))
            for placement in (self._old, self._new)
        )
        moved: NDArray[np.bool_] = before != after
        return moved

    def __repr__(self) -> str:
        return f"<KeyDiff of about {self.fraction:.2%} of the keys>"


def _owners(placement: Placement, keys: Any, options: dict[str, Any]) -> NDArray[Any]:
    return placement.lookup_many(keys, **options) if placement.nodes else np.zeros(len(keys), np.uint32)


def _readable_twice(keys: Any) -> Any:
    return keys if isinstance(keys, np.ndarray | str | bytes) or is_column(keys) else list(keys)
