"""The steps of a Redis participant as protocols, which threads and tasks run alike."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from ringfence.errors import (
    Aborted,
    FenceRejected,
    HeuristicOutcome,
    InDoubt,
    InvalidValue,
    RingfenceError,
    StoreError,
    StoreTimeout,
)
from ringfence.protocol import Call, Effects, Now, Sleep
from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome, Vote
from ringfence.transactions.participants.redis import scripts
from ringfence.transactions.participants.redis.keys import bit
from ringfence.transactions.participants.redis.server import of_cluster
from ringfence.transactions.participants.redis.work import Site, Work, lost, pauses

KNOWN_MS = 86_400_000
"""How long it is known that a prepared branch was committed or rolled back."""

_VOTES = {b"yes": Vote.YES, b"read only": Vote.READ_ONLY}

_REUSED = (
    "other work of this gid was {} in this Redis before; see that no two names of participants are one Redis with one "
    "tag, and that no decision store was lost or begun anew"
)

_OVER = {
    "aborted": "it was settled as aborted before",
    "committed": _REUSED.format("committed"),
    "prepared": _REUSED.format("prepared"),
}
"""What stands of a transaction -> why work of that gid is refused; each request is sent once, so it is other work."""


class Steps:
    """What `RedisParticipant` and its twin for asyncio do.

    Args:
        site: where, and how long to wait.

    Attributes:
        open: the branches that were begun here and not ended, by gid.
        promised: the gids that are known to have been prepared, and not to have ended.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.open: dict[str, Work] = {}
        self.promised: set[str] = set()
        self._fits = site.keys.clustered

    def begin(self, gid: str) -> Effects[Work]:
        """Start a branch; alone in the server where one is open at a time."""
        Gid.parse(gid)
        if gid in self.open:
            raise InvalidValue(f"the branch of {gid} on {self.site.server.place} is open already")
        if not self._fits:
            yield from self._refuse_cluster()
        if self.site.lease:
            yield from self._take_turn(gid)
        work = self.open[gid] = Work(gid, self.site)
        return work

    def guard(self, gid: str, resource: str, fence: int) -> None:
        """Remember a fence, to be compared when the branch is prepared."""
        self.site.keys.mark(resource)
        if gid not in self.open:
            raise _not_open(gid)
        marks = self.open[gid].marks
        marks[resource] = max(fence, marks.get(resource, 0))

    def prepare(self, gid: str) -> Effects[Vote]:
        """Stage the branch, if all that it has read is still so."""
        work = self._end(gid)
        if work is None:
            return (yield from self._prepared_before(gid))
        return self._voted(work, (yield self._check(scripts.PREPARE, work)))

    def one_phase(self, gid: str) -> Effects[None]:
        """Carry the branch out at once, if all that it has read is still so."""
        work = self._end(gid)
        if work is not None:
            _vote(work, (yield self._check(scripts.ONE_PHASE, work)))
        elif (yield from self.settled(gid)) is not Outcome.COMMITTED:
            raise _not_open(gid)

    def commit(self, gid: str) -> Effects[None]:
        """Carry out what is staged."""
        self.told(gid, (yield self.ending(gid, Outcome.COMMITTED)))

    def rollback(self, gid: str) -> Effects[None]:
        """Drop the branch, staged or not; a prepare that is still under way is refused later."""
        work = self._end(gid)
        if work is None:
            self.told(gid, (yield self.ending(gid, Outcome.ABORTED)))
        elif self.site.lease:
            yield self.site.run(scripts.RELEASE, gid)

    def ending(self, gid: str, outcome: Outcome) -> Call:
        """Return the request that ends a prepared branch."""
        script = scripts.COMMIT if outcome is Outcome.COMMITTED else scripts.ROLLBACK
        return self.site.run(script, gid, KNOWN_MS, int(gid in self.promised))

    def resolve_many(self, gids: Sequence[str], outcome: Outcome) -> Effects[list[Exception | None]]:
        """End prepared branches, many requests under way at once; what went wrong with each.

        Raises:
            OutcomeUnknown: no answer; ask again.
        """
        requests = [self.ending(gid, outcome).args for gid in gids]
        answers = yield Call(self.site.server, "evaluate_many", (requests,))
        return [_error(partial(self.told, gid), answer) for gid, answer in zip(gids, answers, strict=True)]

    def request(self, operation: str, gid: str) -> tuple[Call, Callable[[Any], Any]] | None:
        """What is to be asked of the server for an operation, and what makes its result of the answer; None if more."""
        if operation == "commit":
            return self.ending(gid, Outcome.COMMITTED), partial(self.told, gid)
        work = self._end(gid) if operation == "prepare" else None
        return None if work is None else (self._check(scripts.PREPARE, work), partial(self._voted, work))

    def recover(self, prefix: str) -> Effects[list[str]]:
        """The gids of prepared branches that begin with a prefix."""
        first, last = (f"[{prefix}", f"[{prefix}\xff") if prefix else ("-", "+")
        found = yield Call(
            self.site.server, "ask", ("ZRANGEBYLEX", self.site.keys.own("prepared"), first, last)
        )
        gids = [gid.decode() for gid in found]
        self.promised.update(gids)
        return gids

    def settled(self, gid: str) -> Effects[Outcome | None]:
        """Whether a transaction was committed here in one phase, or never will be."""
        [outcome] = yield self.site.run(scripts.SETTLED, gid, bit(gid))
        return None if outcome == b"open" else Outcome(outcome.decode())

    def settle(self, gid: str) -> Effects[Outcome]:
        """Likewise; one that still could be no longer can."""
        [outcome] = yield self.site.run(scripts.SETTLE, gid, bit(gid))
        return Outcome(outcome.decode())

    def close(self) -> Effects[None]:
        """Give up the branches that this process has begun."""
        for gid, work in list(self.open.items()):
            if work.process == os.getpid():
                with suppress(StoreError):  # it ends by itself
                    yield from self.rollback(gid)

    def _check(self, script: scripts.Script, work: Work) -> Call:
        work.refuse_failed()
        marks = [self.site.keys.mark(resource) for resource in work.marks]
        return self.site.run(script, work.gid, *work.words(), bit(work.gid), marks=marks)

    def _refuse_cluster(self) -> Effects[None]:
        """Refuse a node of a Redis Cluster that is taken for a server of its own: it has only some of the keys.

        Raises:
            InvalidValue: it is one.
        """
        told = yield Call(self.site.server, "ask", ("INFO", "cluster"))
        if isinstance(told, dict) and told.get("cluster_enabled"):
            raise of_cluster(self.site.server.place)
        self._fits = True

    def _take_turn(self, gid: str) -> Effects[None]:
        until = (yield Now()) + self.site.timeout
        for pause in pauses():
            kind, *who = yield self.site.run(scripts.BEGIN, gid, self.site.lease)
            if kind == b"begun":
                return
            if (yield Now()) >= until:
                raise self._in_the_way(kind, who[0].decode())
            yield Sleep(pause)

    def _in_the_way(self, kind: bytes, other: str) -> Exception:
        if kind == b"prepared":
            return InDoubt(
                other, f"its prepared work stands in {self.site.server.place}, and others must wait"
            )
        return StoreTimeout(f"transaction {other} did not end in {self.site.server.place} in time; try again")

    def _end(self, gid: str) -> Work | None:
        """The open branch of a transaction, which takes no more commands from now on."""
        work = self.open.pop(gid, None)
        if work is None or work.process != os.getpid():
            return None
        work.over = True
        return work

    def _prepared_before(self, gid: str) -> Effects[Vote]:
        if gid in (yield from self.recover(gid)):
            return Vote.YES
        raise _not_open(gid)

    def told(self, gid: str, answer: Sequence[Any] | RingfenceError) -> None:
        """Look at the answer to `ending`.

        Raises:
            HeuristicOutcome: the branch ended otherwise, or cannot end so.
            RingfenceError: it stands for the answer.
        """
        if isinstance(answer, RingfenceError):
            raise answer
        if answer[0] == b"otherwise":
            raise HeuristicOutcome(gid, self.site.server.place, answer[1].decode(errors="replace"))
        self.promised.discard(gid)

    def _voted(self, work: Work, answer: Sequence[Any]) -> Vote:
        vote = _vote(work, answer)
        if vote is Vote.YES:
            self.promised.add(work.gid)
        return vote


def _error(look: Callable[[Any], None], answer: Any) -> Exception | None:
    try:
        look(answer)
    except Exception as error:
        return error
    return None


def _vote(work: Work, answer: Sequence[Any]) -> Vote:
    kind = answer[0]
    if kind in _VOTES:
        return _VOTES[kind]
    raise _against(work, kind, [_text(detail) for detail in answer[1:]])


def _against(work: Work, kind: bytes, details: list[str]) -> Exception:
    gid = work.gid
    match kind:
        case b"held":
            key, holder = details
            return Aborted(gid, f"prepared work of {holder} holds the key {key!r}", retryable=True)
        case b"changed":
            return Aborted(gid, f"the key {details[0]!r} was changed since it was read", retryable=True)
        case b"guarded":
            resource, holder = list(work.marks)[int(details[0])], details[1]
            return Aborted(gid, f"prepared work of {holder} holds the mark of {resource!r}", retryable=True)
        case b"lost":
            return lost(gid)
        case b"stale":
            resource, fence = list(work.marks.items())[int(details[0])]
            return FenceRejected(resource, fence, int(details[1]))
        case b"over":
            return Aborted(gid, _OVER[details[0]])
    return Aborted(gid, details[0])


def _text(detail: Any) -> str:
    return detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)


def _not_open(gid: str) -> Aborted:
    return Aborted(gid, "its branch is not open here; its work was lost or given up")
