"""What is asked of a PostgreSQL database about branches by their gids alone: by coordinators and by recovery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ringfence import _postgresql
from ringfence._forks import tell_of_forks
from ringfence._postgresql.line import BaseLine, Steps, failure
from ringfence._postgresql.pool import BasePool
from ringfence._postgresql.session import find_tables, refuse_failed, settings
from ringfence._postgresql.statement import Statement
from ringfence.errors import BackendUnavailable, HeuristicOutcome, StoreError, StoreTimeout
from ringfence.protocol import Call, Effects, Now, Parallel
from ringfence.transactions.decisions.postgresql.store import refuse
from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome
from ringfence.transactions.participants.postgresql.branch import BaseBranch
from ringfence.transactions.participants.postgresql.errors import BUSY, MISSING
from ringfence.transactions.participants.postgresql.statements import (
    COMMITTED,
    PREPARED,
    SOON,
    TABLES,
    WHERE,
    BranchSql,
)

_VERBS = {Outcome.COMMITTED: "COMMIT", Outcome.ABORTED: "ROLLBACK"}

_SLACK = 5.0
"""Seconds that the server has for an answer, beside those that it waits for locks."""

_EACH = 0.1
"""Seconds for each branch of many that are resolved in one request."""

_LINES = 8
"""On so many connections at once are many branches resolved: their syncs are shared."""

URGENT = (True,)
"""What ends a branch waits for no other branch's connection."""


class PreparedWork:
    """The branches that are prepared in a database, and those that are over; as generators of effects.

    Args:
        url: of the database.
        timeout: seconds to wait for a connection and for others' locks.

    Attributes:
        url: of the database.
        place: what errors call the database.
    """

    _pool: BasePool
    _sql: BranchSql

    def __init__(self, url: str, timeout: float) -> None:
        self.place = _postgresql.shown(url)
        self.url = url
        self._timeout = timeout
        self._patience = timeout + _SLACK
        self._branches: dict[str, BaseBranch] = {}
        self._known: set[str] = set()  # prepared, by this process or as it has seen
        self._unsure: set[str] = set()  # told to prepare, and not answered
        tell_of_forks(self)

    def forked(self) -> None:
        """Start afresh in a forked child: the branches are the parent's."""
        self._branches = {}
        self._known = set()
        self._unsure = set()

    def _recover(self, prefix: str) -> Effects[list[str]]:
        line = yield Call(self._pool, "take", URGENT)
        try:
            rows = yield from self._rows(line, self._sql.recover(prefix))
        finally:
            self._pool.give(line)
        found = [gid for (name,) in rows if (gid := self._sql.gid_of(name))]
        self._known.update(found)
        self._unsure.difference_update(found)
        return found

    def _settled(self, gid: str) -> Effects[Outcome | None]:
        state = yield from self._state(gid)
        return None if state is None else Outcome.COMMITTED if state == COMMITTED else Outcome.ABORTED

    def _settle(self, gid: str) -> Effects[Outcome]:
        Gid.parse(gid)
        line = yield Call(self._pool, "take", URGENT)
        try:
            [(state,)] = yield from self._rows(line, self._sql.settle(gid))
        finally:
            self._pool.give(line)
        return Outcome.COMMITTED if state == COMMITTED else Outcome.ABORTED

    def _rule_out(self, gid: str) -> Effects[None]:
        """Roll back a branch that was told to prepare and did not answer; its row fails a PREPARE that comes later.

        Raises:
            StoreTimeout: PREPARE is still under way; ask again.
        """
        until = (yield Now()) + self._timeout
        while True:
            yield from self._finish(gid, Outcome.ABORTED)
            try:
                yield from self._put_soon(gid)
            except StoreTimeout:
                if (yield Now()) > until:
                    raise
            else:
                self._unsure.discard(gid)
                return

    def _put_soon(self, gid: str) -> Effects[None]:
        """Put the row "aborted", without waiting long for a PREPARE that has put its own."""
        line = yield Call(self._pool, "take", URGENT)
        try:
            refuse(failure((yield Call(line, "ask", ([SOON, self._sql.settle(gid)], self._patience)))))
        finally:
            self._pool.give(line)

    def _resolve_many(self, gids: Sequence[str], outcome: Outcome) -> Effects[list[Exception | None]]:
        """Commit or roll back prepared branches; what came in the way of each."""
        for gid in gids:
            if (own := self._own(gid)) is not None:
                self._pool.give(own)
        parts = [part for start in range(_LINES) if (part := list(gids[start::_LINES]))]
        lines: list[BaseLine] = []
        try:
            for _ in parts:
                lines.append((yield Call(self._pool, "take", URGENT)))  # noqa: PERF401
            answers = yield Parallel(tuple(map(self._resolving, lines, parts, [outcome] * len(parts))))
            errors: dict[str, Exception | None] = {}
            for line, part, results in zip(lines, parts, answers, strict=True):
                errors |= yield from self._resolved(line, part, results, outcome)
        finally:
            for line in lines:
                self._pool.give(line)
        return [errors[gid] for gid in gids]

    def _resolving(self, line: BaseLine, gids: list[str], outcome: Outcome) -> Call:
        """All in one request, each of them whatever becomes of the others."""
        return Call(line, "ask", (self._finishing(gids, outcome), self._patience + _EACH * len(gids), True))

    def _resolved(
        self, line: BaseLine, gids: list[str], results: Any, outcome: Outcome
    ) -> Effects[dict[str, Exception | None]]:
        if isinstance(results, Exception):
            return dict.fromkeys(gids, results)
        return dict(zip(gids, (yield from self._meanings(line, gids, results, outcome)), strict=True))

    def _finish(self, gid: str, outcome: Outcome) -> Effects[None]:
        """Commit or roll back one prepared branch."""
        line = self._own(gid) or (yield Call(self._pool, "take", URGENT))
        try:
            results = yield Call(line, "ask", (self._finishing([gid], outcome), self._patience))
            [error] = yield from self._meanings(line, [gid], results, outcome)
        finally:
            self._pool.give(line)
        if error is not None:
            raise error

    def _own(self, gid: str) -> BaseLine | None:
        """Take the connection on which a branch was prepared, if it can still be used."""
        branch = self._branches.get(gid)
        if branch is None or not branch.prepared:
            return None
        self._branches.pop(gid, None)
        if branch.line.is_sound():
            return branch.line
        branch.line.close()
        self._pool.give(branch.line)
        return None

    def _finishing(self, gids: list[str], outcome: Outcome) -> list[Statement]:
        return [self._sql.finish(_VERBS[outcome], str(Gid.parse(gid))) for gid in gids]

    def _meanings(
        self, line: BaseLine, gids: list[str], results: list[Any], outcome: Outcome
    ) -> Effects[list[Exception | None]]:
        """What the answers to COMMIT PREPARED or ROLLBACK PREPARED mean; None for those that it is well with."""
        errors = {gid: failure([result]) for gid, result in zip(gids, results, strict=True)}
        missing = [gid for gid, error in errors.items() if error is not None and error.sqlstate == MISSING]
        states = dict((yield from self._rows(line, self._sql.states(missing)))) if missing else {}
        return [
            self._meaning(gid, error, outcome, states.get(gid) == PREPARED) for gid, error in errors.items()
        ]

    def _meaning(self, gid: str, error: Any, outcome: Outcome, committed: bool) -> Exception | None:
        """What one answer means.

        One that is not there any more was ended by a request whose answer got lost, by another coordinator or
        recovery, or by hand; its row says which way. Without a row it was rolled back, or was never here.
        """
        if error is not None and error.sqlstate != MISSING:
            return _not_now(error)
        known = gid in self._known
        self._known.discard(gid)
        if error is None or committed == (outcome is Outcome.COMMITTED):
            return None
        if committed:
            return HeuristicOutcome(gid, self.place, "it was committed by hand")
        return HeuristicOutcome(gid, self.place, "it was rolled back by hand") if known else None

    def _state(self, gid: str) -> Effects[str | None]:
        line = yield Call(self._pool, "take", URGENT)
        try:
            rows = yield from self._rows(line, self._sql.states([str(Gid.parse(gid))]))
        finally:
            self._pool.give(line)
        return str(rows[0][1]) if rows else None

    def _rows(self, line: BaseLine, statement: Statement) -> Effects[list[tuple[Any, ...]]]:
        """Carry out one statement outside of transactions, and return its rows."""
        [result] = yield Call(line, "ask", ([statement], self._patience))
        refuse(failure([result]))
        return line.rows(result)

    def _make_ready(self, line: BaseLine) -> Steps[None]:
        """Make a new connection ready."""
        results = yield [settings(self._timeout), WHERE]
        refuse_failed(results)
        [(database, most)] = line.rows(results[1])
        if not most:
            raise BackendUnavailable(
                f"{self.place} cannot prepare transactions; set max_prepared_transactions above 0, at least to "
                "max_connections, in postgresql.conf, and start the server again"
            )
        self._sql = BranchSql.over((yield from find_tables(line, TABLES)), database)


def _not_now(error: Any) -> StoreError:
    if error.sqlstate in BUSY:
        return StoreTimeout(f"another session is at work on it ({error}); it stays prepared, try again")
    return StoreError(f"PostgreSQL refused ({error}); it stays prepared")
