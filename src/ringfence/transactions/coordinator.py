"""The coordinator: a name, the epoch of its start, and the transactions it runs. What the managers drive."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ringfence.errors import Aborted, InvalidValue, StoreError
from ringfence.protocol import Call, Effects, Parallel, Sleep
from ringfence.transactions import recovery, two_phase
from ringfence.transactions.gid import Gid, check_name
from ringfence.transactions.outcome import Outcome
from ringfence.transactions.recovery import Recovery
from ringfence.transactions.timeouts import DEFAULT, Timeouts, pauses
from ringfence.transactions.two_phase import Ending, Enlisted

_REMEMBERED = 10_000
"""How many outcomes of its own a coordinator keeps in memory."""


class Coordinator:
    """Gives out gids and runs the protocols, as generators of effects.

    Args:
        name: one for each process at work; one that takes over from a dead process takes its name.
        decisions: the decision store, or what stands for it in the driver at hand.
        participants: the participants by name, likewise.
        timeouts: how long the phases may take.

    Attributes:
        epoch: that of this start, 0 until `start` was driven.
        running: the gids of its transactions that are not over.
        ending: how its transactions end: the decision store, the marker, the timeouts.
        defer: takes a transaction that is decided, to have it finished later; None to finish each at once.
    """

    def __init__(
        self, name: str, decisions: Any, participants: Mapping[str, Any], timeouts: Timeouts = DEFAULT
    ) -> None:
        self.name = check_name(name)
        self.participants = participants
        self.epoch = 0
        self.running: set[str] = set()
        self.defer: Callable[[str, list[Enlisted]], None] | None = None
        self.ending = Ending(decisions, None, timeouts)
        self._outcomes: OrderedDict[str, Outcome] = OrderedDict()
        self._given = 0
        self._giving = threading.Lock()
        self._process = os.getpid()

    @property
    def decisions(self) -> Any:
        """The decision store."""
        return self.ending.decisions

    def start(self) -> Effects[int]:
        """Take an epoch if there is none yet: older starts of the same name can commit no more. One at a time."""
        self.check_process()
        if not self.epoch:
            self.ending.marker = yield from self._marker()
            self.epoch = yield Call(self.decisions, "begin_epoch", (self.name,))
        return self.epoch

    def _marker(self) -> Effects[str | None]:
        """The name of the participant in whose database the decisions stand, if it can carry them."""
        for name, participant in self.participants.items():
            if participant.capabilities.marker and (yield Call(self.decisions, "carried_by", (participant,))):
                return name
        return None

    def begin(self) -> str:
        """The gid of a new transaction; this coordinator has been started."""
        self.check_process()
        with self._giving:
            self._given += 1
            gid = f"{self.name}.{self.epoch}.{self._given}"
            self.running.add(gid)
        return gid

    def commit(
        self, gid: str, branches: Sequence[Enlisted], fences: Sequence[tuple[str, int]] = ()
    ) -> Effects[None]:
        """Commit on all branches, or on none, if no newer fence stands against it.

        It returns once every branch has followed, or did not answer for a while; with `defer`, once it is decided.

        Raises:
            Aborted: on none; it may be run again.
            InDoubt: not known here and now.
            HeuristicOutcome: a branch did not follow what was decided.
        """
        deferred = False
        try:
            followers = yield from self._agree(gid, branches, fences)
            if followers and self.defer is not None:
                self.defer(gid, followers)
                deferred = True
            elif followers:
                yield from two_phase.finish(gid, followers, self.ending)
        finally:
            if not deferred:
                self.end(gid)

    def _agree(
        self, gid: str, branches: Sequence[Enlisted], fences: Sequence[tuple[str, int]]
    ) -> Effects[list[Enlisted]]:
        try:
            if fences:
                yield from two_phase.compare_fences(gid, branches, fences, self.ending)
            followers = yield from two_phase.agree(gid, branches, self.ending)
        except Aborted:
            self._remember(gid, Outcome.ABORTED)
            raise
        self._remember(gid, Outcome.COMMITTED)
        return followers

    def finish(self, decided: Sequence[tuple[str, Sequence[Enlisted]]]) -> Effects[Recovery]:
        """Tell the branches of transactions that were deferred that they are committed, all at once.

        Those that do not answer are told again for a while, and then left to recovery.
        """
        told = [(gid, branch) for gid, followers in decided for branch in followers]
        done = Recovery()
        try:
            answers = yield from self._tell(told)
            for (gid, branch), answer in zip(told, answers, strict=True):
                yield from recovery.note(gid, branch.name, Outcome.COMMITTED, answer, self.decisions, done)
        finally:
            for gid, _ in decided:
                self.end(gid)
        return done

    def _tell(self, told: Sequence[tuple[str, Enlisted]]) -> Effects[list[Any]]:
        """What came of telling branches of several transactions that they are committed."""
        commits = [Call(branch.participant, "commit", (gid,)) for gid, branch in told]
        answers: list[Any] = yield Parallel(tuple(commits))
        for pause in pauses(self.ending.timeouts.commit):
            left = [number for number, answer in enumerate(answers) if isinstance(answer, StoreError)]
            if not left:
                break
            yield Sleep(pause)
            more = yield Parallel(tuple(commits[number] for number in left))
            for number, answer in zip(left, more, strict=True):
                answers[number] = answer
        return answers

    def roll_back(self, gid: str, branches: Sequence[Enlisted]) -> Effects[None]:
        """Give up all branches."""
        try:
            self._remember(gid, Outcome.ABORTED)
            yield from two_phase.roll_back(gid, branches, self.ending)
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
        """What became of `gid`; see `recovery.outcome`.

        Raises:
            InvalidValue: this coordinator has not given it out yet.
        """
        parsed = Gid.parse(gid)
        self.check_process()
        if gid in self._outcomes:
            return self._outcomes[gid]
        if gid in self.running:
            return Outcome.IN_DOUBT
        over = (parsed.name, parsed.epoch) == (self.name, self.epoch)
        if over and parsed.seq > self._given:  # to look would abort it before it has begun
            raise InvalidValue(f"'{gid}' was not given out yet; {self.name!r} is at {self._given}")
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
            with suppress(KeyError):  # another thread took away the last one too many
                self._outcomes.popitem(last=False)
