"""Decisions in this process's memory, for tests, the simulator and `memory://`."""

from __future__ import annotations

import threading
from collections import Counter

from ringfence.transactions.decisions import check_outcome, recorded
from ringfence.transactions.gid import Gid, check_name
from ringfence.transactions.outcome import Outcome


class MemoryDecisions:
    """A `DecisionStore` that lasts as long as the object."""

    def __init__(self) -> None:
        self._outcomes: dict[str, Outcome] = {}
        self._epochs: Counter[str] = Counter()
        self._guard = threading.Lock()

    def begin_epoch(self, name: str) -> int:
        """Add one to the epoch of `name` and return it."""
        with self._guard:
            self._epochs[check_name(name)] += 1
            return self._epochs[name]

    def epoch(self, name: str) -> int:
        """The newest epoch of `name`, 0 if it never started."""
        return self._epochs[name]

    def put_if_absent(self, gid: str, outcome: Outcome) -> Outcome:
        """Record `outcome` unless one stands; return the one that stands."""
        check_outcome(outcome)
        with self._guard:
            newest = self._epochs[Gid.parse(gid).name]
            return self._outcomes.setdefault(gid, recorded(gid, outcome, newest))

    def get(self, gid: str) -> Outcome | None:
        """The outcome that stands, or None."""
        return self._outcomes.get(gid)

    def close(self) -> None:
        """Nothing to give up; what was decided stays."""


_shared: dict[str, MemoryDecisions] = {}


def shared(name: str) -> MemoryDecisions:
    """The one store called `name` in this process."""
    return _shared.setdefault(name, MemoryDecisions())
