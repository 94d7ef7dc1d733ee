"""The branch of a transaction on a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from ringfence._postgresql.line import BaseLine, failure
from ringfence._postgresql.statement import Statement
from ringfence.errors import Aborted, InvalidValue, OutcomeUnknown
from ringfence.protocol import Call, Effects, arun, run
from ringfence.transactions.participants.postgresql.errors import conflict, parsed_anew
from ringfence.transactions.participants.postgresql.sql import may_only_read
from ringfence.transactions.participants.postgresql.statements import BEGIN, HAS_WRITTEN, ROLLBACK, BranchSql
from ringfence.transactions.participants.result import Result

Parameters: TypeAlias = Sequence[Any] | dict[str, Any]

_TOGETHER = 500
"""How many rows of `executemany` go out at once."""


class BaseBranch:
    """A transaction's work on one PostgreSQL database; for one thread or task at a time.

    It sees its own changes, nobody else does. A statement that fails fails the transaction, even when its error is
    caught: every later statement is refused, and the branch votes against committing.

    Attributes:
        gid: the transaction.
        wrote: it changed something, or ran a statement that can.
        prepared: its work is prepared.
        busy: a statement is under way.
    """

    def __init__(self, gid: str, line: BaseLine, sql: BranchSql) -> None:
        self.gid = gid
        self.wrote = False
        self.prepared = False
        self.line = line
        self.sql = sql
        self.guards: dict[str, int] = {}
        self.failed: BaseException | None = None
        self.begun = False
        self.over = False
        self.busy = False
        self._later: list[Statement] = []

    def execute_later(self, sql: str, parameters: Parameters = ()) -> None:
        """Run a statement whose result is not needed, together with the next one or with the end of the transaction.

        It saves a round trip: a branch whose statements all come later is sent in one message with PREPARE or COMMIT.
        Its error is the transaction's: it is raised by what it is sent with.

        Raises:
            InvalidType: the SQL or the parameters have the wrong type.
            InvalidValue: the SQL cannot be part of a branch, or the parameters do not fit it.
            Aborted: an earlier statement failed.
        """
        self.refuse_failed()
        try:
            may_only_read(sql)
            self._later.append(self.line.statement(sql, parameters))
            self.wrote = True
        except BaseException as error:
            self.failed = error
            raise

    def refuse_failed(self) -> None:
        """Vote against a branch in which a statement failed, or that is over.

        Raises:
            Aborted: one did, whether or not the application caught the error.
        """
        if isinstance(self.failed, Aborted):
            raise self.failed
        if self.failed is not None:
            raise Aborted(self.gid, f"a statement failed: {self.failed}") from self.failed
        if self.over or self.line.closed:
            raise Aborted(self.gid, "its branch is over, or of the process that this one was forked from")

    def refuse_busy(self) -> None:
        """Refuse a second thread or task.

        Raises:
            InvalidValue: a statement is under way; its answer could be taken for another's.
        """
        if self.busy:
            raise InvalidValue(
                f"two threads or tasks use the branch of {self.gid} at once; let one wait for the other"
            )

    def ending(self, *statements: Statement) -> list[Statement]:
        """What ends the transaction, behind all that is to be sent before it."""
        return [*self._before(), *(self.sql.raise_mark(*guard) for guard in self.guards.items()), *statements]

    def give_up(self, seconds: float) -> Effects[None]:
        """Roll back what is open on the connection; when that cannot be, the connection is closed."""
        self.over = True
        if not self.line.closed and not self.line.idle:
            try:
                yield Call(self.line, "ask", ([ROLLBACK], seconds))
            except OutcomeUnknown:  # it is closed, and so rolled back
                return

    def _before(self) -> list[Statement]:
        """What goes before the next statement: the beginning, and what was to come later."""
        later, self._later = self._later, []
        return later if self.begun else [BEGIN, *later]

    def _execute(self, sql: str, parameters: Parameters) -> Effects[Result]:
        return self._run(sql, lambda: [self.line.statement(sql, parameters)])

    def _executemany(self, sql: str, rows: Iterable[Parameters]) -> Effects[Result]:
        return self._run(sql, lambda: [self.line.statement(sql, row) for row in rows])

    def _run(self, sql: str, make: Any) -> Effects[Result]:
        self.refuse_busy()
        self.refuse_failed()
        self.busy = True
        try:
            reads = may_only_read(sql)
            statements = make()
            found = Result([], 0)
            for start in range(0, len(statements), _TOGETHER):
                found = yield from self._ask(statements[start : start + _TOGETHER], reads, found)
        except BaseException as error:
            self.failed = error
            raise
        finally:
            self.busy = False
        return found

    def _ask(self, statements: list[Statement], reads: bool, found: Result) -> Effects[Result]:
        asks = reads and not self.wrote
        before = self._before()
        request = [*before, *statements, HAS_WRITTEN] if asks else [*before, *statements]
        self.begun = True
        self.wrote = self.wrote or not reads
        try:
            results = yield Call(self.line, "ask", (request,))
        except OutcomeUnknown as error:
            raise Aborted(self.gid, f"the connection to PostgreSQL broke: {error}", retryable=True) from error
        self._refuse(failure(results))
        if asks:
            self.wrote = results.pop().get_value(0, 0) is not None
        for result in results[len(before) :]:
            found = Result([*found, *self.line.rows(result)], found.rowcount + _count(result))
        return found

    def _refuse(self, error: Any) -> None:
        """Raise an error of a statement: the driver's own, unless the transaction only came in another's way."""
        if error is None:
            if not self.line.working:
                raise Aborted(self.gid, "a statement ended its transaction")
            return
        if parsed_anew(error):
            self.line.forget_parsed()
            raise Aborted(self.gid, f"a table has changed meanwhile ({error})", retryable=True) from error
        raise conflict(self.gid, error) or error from error


class PostgresBranch(BaseBranch):
    """The branch as threads use it; see `BaseBranch`."""

    def execute(self, sql: str, parameters: Parameters = ()) -> Result:
        """Run one statement, with `%s` or `%(name)s` for its parameters as in psycopg, and return all its rows.

        Raises:
            psycopg.Error: the statement is wrong, or breaks a constraint.
            InvalidType: the SQL or the parameters have the wrong type.
            InvalidValue: it would end the transaction (COMMIT …) or outlast it (SET, PREPARE, LISTEN …).
            Aborted: an earlier statement failed; or, to be tried again, a deadlock, a serialization failure, a lock
                that was not to be had in time, or a connection that broke.
        """
        return run(self._execute(sql, parameters))

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> Result:
        """Run one statement for each of `rows`, in few round trips; the result holds the rows of all.

        Raises:
            Exception: as `execute` does.
        """
        return run(self._executemany(sql, rows))


class AsyncPostgresBranch(BaseBranch):
    """The branch as tasks use it; see `BaseBranch` and `PostgresBranch`."""

    async def execute(self, sql: str, parameters: Parameters = ()) -> Result:
        """Run one statement, and return all its rows."""
        return await arun(self._execute(sql, parameters))

    async def executemany(self, sql: str, rows: Iterable[Parameters]) -> Result:
        """Run one statement for each of `rows`."""
        return await arun(self._executemany(sql, rows))


def _count(result: Any) -> int:
    """How many rows a statement changed or found."""
    return -1 if result.command_tuples is None else int(result.command_tuples)
