"""What participants in MariaDB for threads and for asyncio have in common: all of it but the waiting.

::

    begin      nothing is sent yet
    execute    XA START, sent together with the first statement
    prepare    the row of the branch; XA END; XA PREPARE: one message. Read only: XA END; XA ROLLBACK
    commit     XA COMMIT
    rollback   XA ROLLBACK
    one_phase  the row "committed" in ringfence_settled; XA END; XA COMMIT … ONE PHASE: one message
    decide     the row "committed" in ringfence_decision; XA END; XA COMMIT … ONE PHASE: one message

A message is a script of which the server runs nothing after a statement that failed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ringfence._mysql.frames import script, statement
from ringfence._mysql.session import Answer, Reply
from ringfence.errors import Aborted, FenceRejected, InvalidValue, RingfenceError
from ringfence.protocol import Effects
from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome, Vote
from ringfence.transactions.participants import Capabilities
from ringfence.transactions.participants.mariadb import tables
from ringfence.transactions.participants.mariadb.asking import PATIENCE, Database, decision
from ringfence.transactions.participants.mariadb.branch import BaseBranch, State
from ringfence.transactions.participants.mariadb.failures import (
    STALE,
    STANDS,
    answered,
    code,
    is_conflict,
    known,
    no_answer,
    refusal,
)
from ringfence.transactions.participants.mariadb.pool import for_branches, for_requests
from ringfence.transactions.participants.mariadb.resolving import Resolving
from ringfence.transactions.participants.mariadb.xid import xid

if TYPE_CHECKING:
    from ringfence.transactions.decisions import DecisionStore

B = TypeVar("B", bound=BaseBranch)


class BaseParticipant(Generic[B]):
    """A participant over one database, as generators of effects.

    Args:
        url: `mariadb://user:password@host:port/database`, or `mysql://…`.
        timeout: seconds that a statement waits for other transactions.
        pool: the class of its pools.
        branch: the class of its branches.
    """

    capabilities = Capabilities(concurrent=True, marker=True)

    def __init__(self, url: str, timeout: float, pool: Any, branch: type[B]) -> None:
        patience = timeout + PATIENCE
        self._url = url
        self._timeout = timeout
        self._asking = pool(url, patience, for_requests(timeout))
        self._sessions = pool(url, patience, for_branches(timeout))
        self._branch = branch
        self._branches: dict[str, B] = {}
        self.database = Database(url, self._asking, timeout)
        self.resolving = Resolving(self.database)

    @property
    def place(self) -> tuple[object, ...]:
        """Which database this is: two participants must not be the same one."""
        return ("mariadb", *self.database.place)

    def begin_branch(self, gid: str) -> B:
        """A branch of `gid`; nothing is sent before its first statement.

        Raises:
            InvalidValue: it is open already.
        """
        Gid.parse(gid)
        if gid in self._branches:
            raise InvalidValue(f"the branch of {gid} in {self.database} is open already")
        branch = self._branches[gid] = self._branch(gid, self._sessions, self._xid)
        return branch

    def guard(self, gid: str, resource: str, fence: int) -> None:
        """Have the branch of `gid` commit only if nobody with a higher fence has written to `resource`.

        It is compared when the branch ends; the guards of locks keep the same marks (`ringfence.locks.guards`).
        """
        branch = self._mine(gid)
        if branch is None:
            raise _not_open(gid)
        branch.fences[resource] = fence
        branch.wrote = True

    def decision_store(self) -> DecisionStore:
        """Open the decision store in the same database, whose rows `decide` puts."""
        from ringfence.transactions.decisions.mariadb import MariaDecisions

        return MariaDecisions(self._url, timeout=self._timeout)

    def preparing(self, gid: str) -> Effects[Vote]:
        """Prepare the branch."""
        branch = self._mine(gid)
        if branch is None:
            return (yield from self._prepared_before(gid))
        if branch.state is State.PREPARED:
            return Vote.YES
        self._refuse(branch)
        if not branch.wrote:
            yield from self._leave(branch)
            return Vote.READ_ONLY
        yield from branch.connect()
        row = f"INSERT INTO ringfence_branch (gid, session) VALUES ('{gid}', '{branch.session.token}')"
        reply = yield from self._last(branch, row, f"XA PREPARE {branch.xid}")
        if code(reply) == STANDS:
            raise self._give_up(
                branch, "its gid was used before; share one decision store, or take other names"
            )
        if not isinstance(reply, Answer):
            raise self._failed(branch, reply)
        branch.state = State.PREPARED
        return Vote.YES

    def committing(self, gid: str) -> Effects[None]:
        """Commit the branch, if it is prepared."""
        branch = self._mine(gid)
        if branch is not None and branch.state in (State.OPEN, State.FAILED):
            return
        if branch is None or not (yield from self._ends(branch, "COMMIT")):
            prepared = branch is not None and branch.state is State.PREPARED
            yield from self.resolving.end(gid, Outcome.COMMITTED, prepared=prepared)
        self._forget(gid)

    def rolling_back(self, gid: str) -> Effects[None]:
        """Give the branch up, prepared or not."""
        branch = self._mine(gid)
        if branch is not None and branch.state in (State.OPEN, State.FAILED):
            yield from self._leave(branch)
            return
        if branch is None or not (yield from self._ends(branch, "ROLLBACK")):
            token = branch.session.token if branch is not None else ""
            yield from self.resolving.end(gid, Outcome.ABORTED, prepared=False, token=token)
        self._forget(gid)

    def committing_at_once(self, gid: str) -> Effects[None]:
        """Commit a branch that was not prepared, marked in the same transaction."""
        branch = self._mine(gid)
        if branch is None:
            return (yield from self._committed_before(gid))
        self._refuse(branch)
        row = f"INSERT INTO ringfence_settled VALUES ('{gid}', 'committed')"
        reply = yield from self._last(branch, row, f"XA COMMIT {branch.xid} ONE PHASE")
        if code(reply) == STANDS:
            raise self._give_up(branch, "it was settled as aborted before it committed")
        if not isinstance(reply, Answer):
            raise self._failed(branch, reply)
        return self._over(branch)

    def deciding(self, gid: str) -> Effects[Outcome]:
        """Commit a branch that was not prepared, with the decision row in the same transaction."""
        branch = self._mine(gid)
        if branch is None:
            return (yield from self._decided_before(gid))
        self._refuse(branch)
        row = tables.decided(Gid.parse(gid))
        reply = yield from self._last(branch, row, f"XA COMMIT {branch.xid} ONE PHASE")
        if code(reply) in (STANDS, STALE):
            self._give_up(branch, "another decision stands, or its coordinator was started again")
            return Outcome.ABORTED
        if not isinstance(reply, Answer):
            raise self._failed(branch, reply)
        self._over(branch)
        return Outcome.COMMITTED

    def recovering(self, prefix: str) -> Effects[list[str]]:
        """The gids of prepared branches here that begin with `prefix`."""
        return (yield from self.resolving.recover(prefix))

    def resolving_many(self, gids: Sequence[str], outcome: Outcome) -> Effects[list[RingfenceError | None]]:
        """End many prepared branches."""
        others = [gid for gid in gids if self._mine(gid) is None]
        ended = dict(zip(others, (yield from self.resolving.end_many(others, outcome)), strict=True))
        for gid in gids:
            if gid not in ended:
                ended[gid] = yield from self._resolve(gid, outcome)
        return [ended[gid] for gid in gids]

    def asking_settled(self, gid: str) -> Effects[Outcome | None]:
        """Whether `gid` was committed here in one phase, or never can be."""
        yield from self.database.name()
        select = f"SELECT outcome FROM ringfence_settled WHERE gid = '{Gid.parse(gid)}'"
        found = yield from self.database.one(select)
        return known(found.rows[0][0]) if found.rows else None

    def settling(self, gid: str) -> Effects[Outcome]:
        """Like `asking_settled`; a branch that could still commit in one phase no longer can."""
        yield from self.database.name()
        reply = yield from self.database.reply(
            f"INSERT INTO ringfence_settled VALUES ('{Gid.parse(gid)}', 'aborted')"
        )
        if code(reply) == STANDS:
            return (yield from self.asking_settled(gid)) or Outcome.ABORTED
        answered(reply)
        return Outcome.ABORTED

    def close_all(self) -> None:
        """End all sessions: the server rolls back what was not prepared, and keeps the rest for recovery."""
        for branch in self._branches.values():
            if branch.session is not None and branch.process == os.getpid():
                branch.session.close()
        self._branches.clear()
        self._sessions.close()
        self._asking.close()

    def _xid(self, gid: str) -> Effects[str]:
        return xid(gid, (yield from self.database.name()))

    def _mine(self, gid: str) -> B | None:
        branch = self._branches.get(gid)
        return branch if branch is not None and branch.process == os.getpid() else None

    def _refuse(self, branch: B) -> None:
        branch.refuse_busy()
        branch.refuse_failed()
        if branch.state is not State.OPEN:
            raise Aborted(branch.gid, "its work was given up")

    def _last(self, branch: B, row: str, end: str) -> Effects[Reply]:
        """Send the last statements of a branch, up to the first that fails."""
        marks = yield from self._marks(branch)
        branch.state = State.UNSURE
        yield from branch.connect()
        last = script(*marks, row, f"XA END {branch.xid}", end)
        [reply] = yield from branch.ask([last], self.database.patience)
        return reply

    def _marks(self, branch: B) -> Effects[list[str]]:
        """What raises the marks of the resources that the branch is guarded by, once none is above its fence."""
        fences = branch.fences
        if not fences:
            return []
        marks = yield from self._read_marks(branch, sorted(fences))
        for resource, fence in fences.items():
            if marks[resource] > fence:
                raise FenceRejected(resource, fence, marks[resource])
        return [
            f"UPDATE ringfence_guard SET fence = {fence:d} WHERE resource = {tables.literal(resource)}"
            for resource, fence in fences.items()
            if marks[resource] != fence
        ]

    def _read_marks(self, branch: B, resources: Sequence[str]) -> Effects[dict[str, int]]:
        """Lock the rows of resources in the branch, and make those that are missing."""
        names = ", ".join(map(tables.literal, resources))
        select = f"SELECT resource, fence FROM ringfence_guard WHERE resource IN ({names}) FOR UPDATE"
        found = yield from self._asked(branch, select)
        marks = {resource.decode(): int(fence) for resource, fence in found.rows}
        for resource in resources:
            if resource not in marks:
                row = f"INSERT INTO ringfence_guard (resource, fence) VALUES ({tables.literal(resource)}, 0)"
                yield from self._asked(branch, row)
        return dict.fromkeys(resources, 0) | marks

    def _asked(self, branch: B, sql: str) -> Effects[Answer]:
        [reply] = yield from branch.ask([statement(sql)], self.database.patience)
        if not isinstance(reply, Answer):
            raise Aborted(
                branch.gid,
                f"its fences could not be checked: {reply}",
                is_conflict(reply) or code(reply) == STANDS,
            ) from reply
        return reply

    def _failed(self, branch: B, reply: Reply) -> Exception:
        """What to raise when the last statements of a branch failed."""
        if branch.session.closed:
            return no_answer(reply)
        if is_conflict(reply):
            return self._give_up(branch, f"another transaction stood in the way: {reply}", retryable=True)
        return self._give_up(branch, str(reply))

    def _give_up(self, branch: B, reason: str, *, retryable: bool = False) -> Aborted:
        branch.state = State.FAILED
        branch.session.close()
        return Aborted(branch.gid, reason, retryable)

    def _ends(self, branch: B, verb: str) -> Effects[bool]:
        """End a prepared branch on its own session; whether that could be done."""
        if branch.state is not State.PREPARED or branch.session.closed:
            branch.session.close()
            return False
        request = statement(f"XA {verb} {branch.xid}")
        [reply] = yield from branch.ask([request], self.database.patience)
        if isinstance(reply, Answer):
            self._sessions.give(branch.session)
            return True
        if is_conflict(reply):
            raise refusal(reply) from reply
        branch.session.close()
        return False

    def _leave(self, branch: B) -> Effects[None]:
        """Give up a branch that was not prepared."""
        session = branch.session
        if session is not None and not session.closed:
            ends = [statement(f"XA END {branch.xid}"), statement(f"XA ROLLBACK {branch.xid}")]
            yield from branch.ask(ends, self.database.patience)
        self._over(branch)

    def _over(self, branch: B) -> None:
        branch.state = State.FAILED
        if branch.session is not None:
            self._sessions.give(branch.session)
        self._forget(branch.gid)

    def _forget(self, gid: str) -> None:
        self._branches.pop(gid, None)

    def _resolve(self, gid: str, outcome: Outcome) -> Effects[RingfenceError | None]:
        try:
            yield from self.committing(gid) if outcome is Outcome.COMMITTED else self.rolling_back(gid)
        except RingfenceError as error:
            return error
        return None

    def _prepared_before(self, gid: str) -> Effects[Vote]:
        if gid in (yield from self.resolving.listed(gid)):
            return Vote.YES
        raise _not_open(gid)

    def _committed_before(self, gid: str) -> Effects[None]:
        if (yield from self.asking_settled(gid)) is not Outcome.COMMITTED:
            raise _not_open(gid)

    def _decided_before(self, gid: str) -> Effects[Outcome]:
        yield from self.database.name()
        standing = yield from decision(self.database, Gid.parse(gid))
        if standing is None:
            raise _not_open(gid)
        return standing


def _not_open(gid: str) -> Aborted:
    return Aborted(gid, "its branch is not open here; its work was lost or given up")
