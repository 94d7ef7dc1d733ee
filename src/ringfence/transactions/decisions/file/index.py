"""What a decision log says, kept so that it is found at once: outcomes, epochs, heuristic outcomes.

Outcomes of segments that are not packed stand in memory, some 10,000 a segment; of packs only which numbers of which
coordinators they may decide on. A pack is read when it is asked for one of those, as recovery may after a long time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache

from ringfence.errors import StoreDamaged
from ringfence.transactions.decisions import Heuristic
from ringfence.transactions.decisions.file.pack import Pack
from ringfence.transactions.decisions.file.segments import Segment
from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome

_PACKS_IN_MEMORY = 8
_DECISIONS = {outcome.value: outcome for outcome in (Outcome.COMMITTED, Outcome.ABORTED)}

Outcomes = dict[str, Outcome]


class Index:
    """Outcomes by gid, epochs by name, and heuristic outcomes.

    Args:
        segments: all that is in the log.

    Attributes:
        epochs: the newest of each name.
        heuristics: what was found, by gid and branch.
    """

    def __init__(self, segments: Iterable[Segment | Pack]) -> None:
        self.epochs: dict[str, int] = {}
        self.heuristics: dict[tuple[str, str], str] = {}
        self._recent: dict[int, Outcomes] = {}
        self._packs: list[Pack] = []
        self._highest: dict[tuple[str, int], int] = {}
        self._read = lru_cache(_PACKS_IN_MEMORY)(_outcomes)
        for segment in segments:
            if isinstance(segment, Pack):
                self._put(segment)
                self.take_in(segment.number, segment.others)
            else:
                self.take_in(segment.number, segment.lines)

    def get(self, gid: str, parsed: Gid) -> Outcome | None:
        """The outcome of `gid` in the log, or None."""
        for outcomes in list(self._recent.values()):
            if gid in outcomes:
                return outcomes[gid]
        key = parsed.name, parsed.epoch
        if parsed.seq > self._highest.get(key, 0):
            return None
        for pack in self._packs:
            low, high = pack.spans.get(key, (1, 0))
            if low <= parsed.seq <= high and (outcome := self._read(pack).get(gid)):
                return outcome
        return None

    def take_in(self, number: int, records: Iterable[str]) -> None:
        """Take records in that are on the disk, in a segment of that number.

        Raises:
            StoreDamaged: one is no record.
        """
        outcomes = self._recent.setdefault(number, {})
        for record in records:
            kind, _, rest = record.partition(" ")
            if (outcome := _DECISIONS.get(kind)) is not None:
                outcomes.setdefault(rest, outcome)
            else:
                self._take_in_other(record, kind, *rest.partition(" ")[::2])

    def forget(self, gid: str) -> None:
        """Drop the heuristic outcomes of a transaction."""
        for key in [key for key in self.heuristics if key[0] == gid]:
            del self.heuristics[key]

    def reported(self) -> list[Heuristic]:
        """The heuristic outcomes, in order of gid and branch."""
        return [Heuristic(*key, found) for key, found in sorted(self.heuristics.items())]

    def packed(self, pack: Pack) -> None:
        """From now on a pack stands in the place of its segment."""
        self._put(pack)
        self._recent.pop(pack.number, None)

    def _put(self, pack: Pack) -> None:
        self._packs.append(pack)
        for key, (_, high) in pack.spans.items():
            self._highest[key] = max(high, self._highest.get(key, 0))

    def _take_in_other(self, record: str, kind: str, about: str, more: str) -> None:
        try:
            if kind == "epoch":
                self.epochs[about] = int(more)
            elif kind == "heuristic":
                branch, found = json.loads(more)
                self.heuristics[about, branch] = found
            elif kind == "forgotten":
                self.forget(about)
            else:
                raise StoreDamaged(f"the decision log holds {record!r}, which is no record")
        except ValueError as error:
            raise StoreDamaged(f"the decision log holds {record!r}, which is no record") from error


def decided(record: str) -> tuple[str, Outcome] | None:
    """The gid and outcome that a record tells of, if it is a decision."""
    kind, _, gid = record.partition(" ")
    outcome = _DECISIONS.get(kind)
    return None if outcome is None else (gid, outcome)


def decisions_in(records: Iterable[str], prefix: str) -> Iterator[tuple[str, Outcome]]:
    """The decisions among records on gids that begin with `prefix`, in order of gid, as text sorts."""
    return iter(sorted(row for row in filter(None, map(decided, records)) if row[0].startswith(prefix)))


def _outcomes(pack: Pack) -> Outcomes:
    return dict(filter(None, map(decided, pack.records())))
