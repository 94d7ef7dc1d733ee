"""What a PostgreSQL database does as a participant, step by step; threads and tasks share all of it.

::

    begin       a connection, no request
    statements  BEGIN goes out with the first one
    prepare     fences, INSERT the branch's row, PREPARE TRANSACTION: one round trip
    commit      COMMIT PREPARED
    rollback    ROLLBACK; or, prepared, ROLLBACK PREPARED
    one_phase   fences, INSERT the branch's row as committed, COMMIT: one round trip
    decide      fences, INSERT the decision, COMMIT: one round trip

PREPARE of a failed transaction answers ROLLBACK and no error; so the answer's tag is compared. A branch has a
connection of its own until it is over, and others work beside it on theirs.
"""

from __future__ import annotations

from typing import Any

from ringfence._postgresql.line import failure
from ringfence._postgresql.statement import Statement
from ringfence.errors import (
    Aborted,
    FenceRejected,
    HeuristicOutcome,
    InvalidValue,
)
from ringfence.protocol import Call, Effects
from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome, Vote
from ringfence.transactions.participants import Capabilities
from ringfence.transactions.participants.postgresql.branch import BaseBranch
from ringfence.transactions.participants.postgresql.errors import refused, violates
from ringfence.transactions.participants.postgresql.prepared import URGENT, PreparedWork
from ringfence.transactions.participants.postgresql.statements import (
    COMMIT,
    COMMITTED,
    DURABLY,
    PREPARED,
)

_NULL, _DUPLICATE = "23502", "23505"


class Phases(PreparedWork):
    """The phases of every branch on one database, as generators of effects.

    Args:
        url: of the database.
        timeout: seconds to wait for a connection, for others' locks, and for the answers that end a branch.
    """

    capabilities = Capabilities(concurrent=True, marker=True)

    def guard(self, gid: str, resource: str, fence: int) -> None:
        """Have the end of the branch of `gid` compare `fence` with the mark of `resource`, and raise the mark.

        Raises:
            Aborted: the branch is not open here.
        """
        branch = self._open(gid)
        branch.guards[resource] = max(fence, branch.guards.get(resource, fence))
        branch.wrote = True

    def _branch(self, gid: str, line: Any) -> BaseBranch:
        """Make a branch of the kind that threads or tasks use."""
        raise NotImplementedError

    def _begin(self, gid: str) -> Effects[Any]:
        Gid.parse(gid)
        if gid in self._branches:
            raise InvalidValue(f"the branch of {gid} is open already")
        line = yield Call(self._pool, "take")
        branch = self._branches[gid] = self._branch(gid, line)
        return branch

    def _prepare(self, gid: str) -> Effects[Vote]:
        branch = self._branches.get(gid)
        if branch is None:
            return (yield from self._prepared_before(gid))
        if branch.prepared:
            return Vote.YES
        if not branch.wrote:
            yield from self._commit_reads(branch)
            return Vote.READ_ONLY
        if not branch.line.closed:
            self._unsure.add(gid)
        try:
            yield from self._end(
                branch, [self._sql.insert(gid, PREPARED), self._sql.prepare(gid)], "PREPARE TRANSACTION"
            )
        finally:
            if not branch.line.closed:
                self._unsure.discard(gid)
        self._known.add(gid)
        branch.prepared = branch.over = True
        return Vote.YES

    def _one_phase(self, gid: str) -> Effects[None]:
        branch = self._branches.get(gid)
        if branch is None:
            if (yield from self._settled(gid)) is not Outcome.COMMITTED:
                raise self._not_open(gid)
            return
        yield from self._end(branch, [self._sql.insert(gid, COMMITTED), DURABLY, COMMIT], "COMMIT")
        self._forget(branch)

    def _decide(self, gid: str) -> Effects[Outcome]:
        branch = self._branches.get(gid)
        if branch is not None:
            try:
                mark = self._sql.decisions.mark(Gid.parse(gid))
                yield from self._end(branch, [mark, DURABLY, COMMIT], "COMMIT")
            except _Overruled:
                pass
            else:
                self._forget(branch)
                return Outcome.COMMITTED
        return (yield from self._decided_before(gid, branch))

    def _commit(self, gid: str) -> Effects[None]:
        yield from self._finish(gid, Outcome.COMMITTED)

    def _rollback(self, gid: str) -> Effects[None]:
        branch = self._branches.get(gid)
        if branch is not None and not branch.prepared:
            yield from self._give_up(branch)
        elif gid not in self._unsure:
            yield from self._finish(gid, Outcome.ABORTED)
        if gid in self._unsure:
            yield from self._rule_out(gid)

    def _end(self, branch: BaseBranch, statements: list[Statement], tag: str) -> Effects[None]:
        """Send what ends a branch; where the server does not answer with `tag`, give the branch up and say why."""
        branch.refuse_busy()
        try:
            branch.refuse_failed()
            results = yield Call(branch.line, "ask", (branch.ending(*statements), self._patience))
            refusal = yield from self._refusal(branch, results, tag)
        except GeneratorExit:  # nobody waits for the answer any more
            branch.line.close()
            yield from self._give_up(branch)
            raise
        except BaseException:
            yield from self._give_up(branch)
            raise
        if refusal is not None:
            yield from self._give_up(branch)
            raise refusal

    def _refusal(self, branch: BaseBranch, results: list[Any], tag: str) -> Effects[Exception | None]:
        error = failure(results)
        if error is not None:
            return (yield from self._against(branch, error))
        if results[-1].command_status != tag.encode():
            return Aborted(
                branch.gid, f"PostgreSQL answered {results[-1].command_status!r} in place of {tag}"
            )
        return None

    def _against(self, branch: BaseBranch, error: Any) -> Effects[Exception]:
        """What an error at the end of a branch means."""
        if violates(error, "ringfence_guard", _NULL):
            return (yield from self._stale_fence(branch))
        if violates(error, "ringfence_branch", _DUPLICATE):
            return Aborted(
                branch.gid,
                "its gid was used before, or it was settled as aborted before it committed; share one decision "
                "store, or take other names",
            )
        if violates(error, "ringfence_decision", _NULL):
            return _Overruled()
        return refused(branch.gid, error)

    def _stale_fence(self, branch: BaseBranch) -> Effects[Exception]:
        """Look which of the fences is the stale one."""
        yield from branch.give_up(self._patience)
        for resource, fence in branch.guards.items():
            rows = yield from self._rows(branch.line, self._sql.mark_of(resource))
            if rows and rows[0][0] > fence:
                return FenceRejected(resource, fence, rows[0][0])
        return Aborted(branch.gid, "a fence was refused", retryable=True)

    def _commit_reads(self, branch: BaseBranch) -> Effects[None]:
        """End a branch that wrote nothing; one that is to be serializable may fail even so."""
        if branch.begun or branch.failed is not None:
            yield from self._end(branch, [COMMIT], "COMMIT")
        self._forget(branch)

    def _give_up(self, branch: BaseBranch) -> Effects[None]:
        self._branches.pop(branch.gid, None)
        try:
            yield from branch.give_up(self._patience)
        finally:
            self._pool.give(branch.line)

    def _leave(self, branch: BaseBranch) -> Effects[None]:
        """End a branch when the participant is closed: what is prepared stays so."""
        if branch.prepared:
            self._forget(branch)
        else:
            yield from self._give_up(branch)

    def _forget(self, branch: BaseBranch) -> None:
        branch.over = True
        self._branches.pop(branch.gid, None)
        self._pool.give(branch.line)

    def _prepared_before(self, gid: str) -> Effects[Vote]:
        if gid in (yield from self._recover(gid)):
            return Vote.YES
        raise self._not_open(gid)

    def _decided_before(self, gid: str, branch: BaseBranch | None) -> Effects[Outcome]:
        """What stands when a branch cannot carry its decision, or is asked for it once more."""
        line = yield Call(self._pool, "take", URGENT)
        try:
            rows = yield from self._rows(line, self._sql.decisions.read(gid))
        finally:
            self._pool.give(line)
        if branch is None:
            if not rows:
                raise self._not_open(gid)
            return Outcome(rows[0][0])
        if rows and rows[0][0] == Outcome.COMMITTED:
            raise HeuristicOutcome(
                gid, self.place, "somebody decided by hand that it commits, and its work is lost"
            )
        return Outcome.ABORTED

    def _open(self, gid: str) -> BaseBranch:
        branch = self._branches.get(gid)
        if branch is None or branch.prepared:
            raise self._not_open(gid)
        return branch

    def _not_open(self, gid: str) -> Aborted:
        return Aborted(gid, "its branch is not open here; its work was lost or given up")


class _Overruled(Exception):
    """Another decision stands, or the epoch is stale."""
