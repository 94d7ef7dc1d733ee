"""The coordinator: a name, the epoch of its start, and the transactions it runs. What the managers drive."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ringfence.errors import Aborted, InvalidValue
from ringfence.protocol import Call, Effects
from ringfence.transactions import recovery, two_phase
from ringfence.transactions.gid import Gid, check_name
from ringfence.transactions.outcome import Outcome
from ringfence.transactions.recovery import Recovery
from ringfence.transactions.two_phase import Enlisted

_REMEMBERED = 10_000
"""How many outcomes of its own a coordinator keeps in memory."""


class Coordinator:
    """Gives out gids and runs the protocols, as generators of effects.

    Args:
        name: one for each process at work; one that takes over from a dead process takes its name.
        decisions: the decision store, or what stands for it in the driver at hand.
        participants: the participants by name, likewise.

    Attributes:
        epoch: that of this start, 0 until `start` was driven.
        running: the gids of its transactions that are not over.
    """

    def __init__(self, name: str, decisions: Any, participants: Mapping[str, Any]) -> None:
        self.name = check_name(name)
        self.decisions = decisions
        self.participants = participants
        self.epoch = 0
        self.running: set[str] = set()
        self._outcomes: dict[str, Outcome] = {}
        self._counter = itertools.count(1)
        self._process = os.getpid()

    def start(self) -> Effects[int]:
        """Take an epoch if there is none yet: older starts of the same name can commit no more. One at a time."""
        self.check_process()
        if not self.epoch:
            self.epoch = yield Call(self.decisions, "begin_epoch", (self.name,))
        return self.epoch

    def begin(self) -> str:
        """The gid of a new transaction; this coordinator has been started."""
        self.check_process()
        gid = str(Gid(self.name, self.epoch, next(self._counter)))
        self.running.add(gid)
        return gid

    def commit(self, gid: str, branches: Sequence[Enlisted]) -> Effects[None]:
        """Commit on all branches, or on none; see `two_phase.commit`."""
        try:
            yield from two_phase.commit(gid, branches, self.decisions)
            self._remember(gid, Outcome.COMMITTED)
        except Aborted:
            self._remember(gid, Outcome.ABORTED)
            raise
        finally:
            self.end(gid)

    def roll_back(self, gid: str, branches: Sequence[Enlisted]) -> Effects[None]:
        """Give up all branches."""
        try:
            self._remember(gid, Outcome.ABORTED)
            yield from two_phase.roll_back(gid, branches)
        finally:
            self.end(gid)

    def end(self, gid: str) -> None:
        """Nobody here works on that transaction any more; whatever it left is for recovery."""
        self.running.discard(gid)

    def recover(self, name: str | None = None) -> Effects[Recovery]:
        """Resolve what earlier starts of `name`, or of this coordinator, left prepared."""
        self.check_process()
        if name is None or name == self.name:
            name, epoch = self.name, (yield from self.start())
        else:
            epoch = yield Call(self.decisions, "begin_epoch", (check_name(name),))
        return (yield from recovery.recover(name, epoch, self.participants, self.decisions, self.running))

    def outcome(self, gid: str) -> Effects[Outcome]:
        """What became of `gid`; see `recovery.outcome`."""
        parsed = Gid.parse(gid)
        self.check_process()
        if gid in self.running:
            return Outcome.IN_DOUBT
        if gid in self._outcomes:
            return self._outcomes[gid]
        over = (parsed.name, parsed.epoch) == (self.name, self.epoch)
        return (yield from recovery.outcome(gid, self.participants, self.decisions, over))

    def check_process(self) -> None:
        """Refuse to go on in a forked child, where the parent's gids would be given out again.

        Raises:
            InvalidValue: this is one.
        """
        if self._process != os.getpid():
            raise InvalidValue(
                f"coordinator {self.name!r} was started in process {self._process}; "
                f"open the manager or cluster anew in this process, with a name of its own"
            )

    def _remember(self, gid: str, outcome: Outcome) -> None:
        self._outcomes[gid] = outcome
        if len(self._outcomes) > _REMEMBERED:
            self._outcomes.pop(next(iter(self._outcomes)), None)
