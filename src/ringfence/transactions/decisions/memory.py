"""Decisions in this process's memory, for tests, the simulator and `memory://`."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence

from ringfence.transactions.decisions import Heuristic, check_outcome, recorded
from ringfence.transactions.gid import Gid, check_name
from ringfence.transactions.outcome import Outcome


class MemoryDecisions:
    """A `DecisionStore` that lasts as long as the object."""

    def __init__(self) -> None:
        self._outcomes: dict[str, Outcome] = {}
        self._epochs: Counter[str] = Counter()
        self._heuristics: dict[tuple[str, str], str] = {}
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

    def put_many(self, rows: Sequence[tuple[str, Outcome]]) -> list[Outcome]:
        """`put_if_absent` for each of `rows`."""
        return [self.put_if_absent(gid, outcome) for gid, outcome in rows]

    def get(self, gid: str) -> Outcome | None:
        """The outcome that stands, or None."""
        return self._outcomes.get(gid)

    def decisions(self, prefix: str = "") -> Iterator[tuple[str, Outcome]]:
        """All decisions on gids that begin with `prefix`."""
        with self._guard:
            return iter(sorted(row for row in self._outcomes.items() if row[0].startswith(prefix)))

    def carried_by(self, participant: object) -> bool:
        """Is this the store of a participant that carries it?"""
        return getattr(participant, "decisions", None) is self

    def report(self, gid: str, branch: str, found: str) -> None:
        """Record that a branch did not end as was decided."""
        with self._guard:
            self._heuristics[gid, branch] = found

    def heuristics(self) -> list[Heuristic]:
        """What was reported and not forgotten yet."""
        with self._guard:
            return [
                Heuristic(gid, branch, found) for (gid, branch), found in sorted(self._heuristics.items())
            ]

    def forget(self, gid: str) -> bool:
        """Drop what was reported of `gid`; was there anything?"""
        with self._guard:
            dealt_with = [key for key in self._heuristics if key[0] == gid]
            for key in dealt_with:
                del self._heuristics[key]
            return bool(dealt_with)

    def close(self) -> None:
        """Nothing to give up; what was decided stays."""


_shared: dict[str, MemoryDecisions] = {}


def shared(name: str) -> MemoryDecisions:
    """The one store called `name` in this process."""
    return _shared.setdefault(name, MemoryDecisions())
