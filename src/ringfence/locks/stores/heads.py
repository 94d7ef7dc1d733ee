"""Whose turn it is where the order of a queue alone says who holds: those at its head, as many as fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ringfence.locks import rules


class Asking(Protocol):
    """A place in a queue."""

    @property
    def asked(self) -> int:
        """How many shares it takes; 1 of 1 for a plain lock."""

    @property
    def of(self) -> int:
        """How many there are, by its reckoning."""


def holding(queue: Sequence[Asking]) -> int:
    """Return how many from the head of a queue hold the lock; the first that does not fit holds up all behind it.

    So grants are made in the order in which the places were, whoever withdraws.
    """
    taken = 0
    for count, place in enumerate(queue):
        if not rules.fits(taken, place.asked, place.of):
            return count
        taken += place.asked
    return len(queue)
