"""Who commits the transactions of a cluster: a name, the epoch of its start, and a count."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from itertools import count

from ringfence.errors import InvalidValue
from ringfence.protocol import Call, Effects
from ringfence.transactions.decisions import DecisionStore
from ringfence.transactions.gid import Gid, check_name
from ringfence.transactions.outcome import Outcome
from ringfence.transactions.participants import Participant
from ringfence.transactions.recovery import Recovery, outcome, recover


class Coordinator:
    """Gives out gids, and knows which of its transactions are still at work.

    It starts an epoch with its first transaction; from then on older ones of its name can no longer commit.

    Args:
        name: one for each process at work; a process that takes over from a dead one takes its name.
        decisions: the arbiter.
    """

    def __init__(self, name: str, decisions: DecisionStore) -> None:
        self.name = check_name(name)
        self.decisions = decisions
        self.running: set[str] = set()
        self._process = os.getpid()
        self._epoch = 0
        self._starting = threading.Lock()
        self._sequence = count(1)

    def begin(self) -> Effects[str]:
        """The gid of a new transaction, at work until `end`."""
        self._check_process()
        epoch = yield Call(self, "start")
        gid = str(Gid(self.name, epoch, next(self._sequence)))
        self.running.add(gid)
        return gid

    def end(self, gid: str) -> None:
        """Nobody here works on that transaction any more; whatever it left is for recovery."""
        self.running.discard(gid)

    def start(self) -> int:
        """Start an epoch, unless this coordinator has; return it."""
        with self._starting:
            if not self._epoch:
                self._epoch = self.decisions.begin_epoch(self.name)
            return self._epoch

    def recover(self, participants: Mapping[str, Participant]) -> Effects[Recovery]:
        """Resolve what transactions of this name left behind."""
        epoch = yield Call(self, "start")
        return (yield from recover(self.name, epoch, participants, self.decisions, self.running))

    def outcome(self, gid: str, participants: Mapping[str, Participant]) -> Effects[Outcome]:
        """What became of a transaction of this or another coordinator."""
        if gid in self.running:
            return Outcome.IN_DOUBT
        parsed = Gid.parse(gid)
        over = (parsed.name, parsed.epoch) == (self.name, self._epoch)
        return (yield from outcome(gid, participants, self.decisions, over))

    def _check_process(self) -> None:
        if self._process != os.getpid():
            raise InvalidValue(
                f"cluster {self.name!r} was opened before a fork; open one with a name of its own in the child"
            )
