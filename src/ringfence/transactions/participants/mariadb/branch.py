"""The branch of a transaction in MariaDB: SQL run on a session of its own, from `XA START` to its end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto
from itertools import islice
from typing import Any

from ringfence._mysql.frames import Request, statement
from ringfence._mysql.session import Answer, Reply
from ringfence.errors import Aborted, BackendUnavailable, InvalidValue
from ringfence.protocol import Call, Effects, arun, run
from ringfence.transactions.participants.mariadb.failures import is_conflict
from ringfence.transactions.participants.mariadb.statements import is_read
from ringfence.transactions.participants.result import Result

_AT_ONCE = 100
"""How many statements of `executemany` are sent together: their answers must fit into what the network holds."""

_HAS_IT_WRITTEN = statement("SET SESSION session_track_transaction_info = 'STATE'")
"""Nothing is changed by that; but its answer tells the state of the transaction."""


class State(Enum):
    """How far a branch has come."""

    OPEN = auto()
    FAILED = auto()
    """Its work is given up."""
    PREPARED = auto()
    UNSURE = auto()
    """It was told to prepare, and did not answer."""


class BaseBranch:
    """What branches for threads and for asyncio have in common.

    It sees its own changes, nobody else does. A statement that fails fails the transaction, even when its error is
    caught: every later statement is refused, and the branch votes against committing. (MariaDB itself rolls back the
    statement alone, and would prepare the rest.)

    Attributes:
        gid: the transaction.
        wrote: it changed something, or locked something in order to; MariaDB itself says so.
        xid: its name in MariaDB.
        session: where it runs; None before its first statement.
        state: how far it has come.
        failed: the error of a statement.
        busy: a statement is under way.
        fences: the fences of leases that must not be stale when it commits, by resource.
    """

    def __init__(self, gid: str, sessions: Any, name: Callable[[str], Effects[str]]) -> None:
        self.gid = gid
        self.wrote = False
        self.process = os.getpid()
        self.xid = ""
        self.session: Any = None
        self.state = State.OPEN
        self.failed: BaseException | None = None
        self.busy = False
        self.fences: dict[str, int] = {}
        self._sessions = sessions
        self._started = False
        self._name = name

    def refuse_failed(self) -> None:
        """Vote against a branch in which a statement failed.

        Raises:
            Aborted: one did, whether or not the application caught the error.
        """
        if self.failed is not None:
            retryable = isinstance(self.failed, Aborted) and self.failed.retryable
            raise Aborted(self.gid, f"a statement failed: {self.failed}", retryable) from self.failed

    def refuse_busy(self) -> None:
        """Refuse a second thread or task.

        Raises:
            InvalidValue: a statement is under way; its answer could be taken for another's.
        """
        if self.busy:
            raise InvalidValue(
                f"two threads or tasks use the branch of {self.gid} at once; let one wait for the other"
            )

    def connect(self) -> Effects[None]:
        """Take a session, if there is none yet."""
        if self.session is None:
            self.xid = yield from self._name(self.gid)
            self.session = yield Call(self._sessions, "session")

    def ask(self, requests: Sequence[Request], patience: float | None = None) -> Effects[list[Reply]]:
        """Send requests, together with `XA START` if they are the first ones."""
        yield from self.connect()
        first = [] if self._started else [statement(f"XA START {self.xid}")]
        self._started = True
        replies: list[Reply] = yield Call(self.session, "ask", ([*first, *requests], patience))
        if first and not (isinstance(replies[0], Answer) or self.session.closed):
            self.session.close()  # so that the others, which ran in no branch, have done nothing
            raise Aborted(self.gid, f"MariaDB did not begin its branch: {replies[0]}") from replies[0]
        return replies[len(first) :]

    def one(self, sql: str, parameters: Any) -> Effects[Result]:
        """Run one statement."""
        return (yield from self._failing(self._one(sql, parameters)))

    def many(self, sql: str, rows: Iterable[Any]) -> Effects[Result]:
        """Run one statement for each of `rows`."""
        return (yield from self._failing(self._many(sql, rows)))

    def _failing(self, steps: Effects[Result]) -> Effects[Result]:
        self.refuse_busy()
        self._refuse_over()
        self.refuse_failed()
        self.busy = True
        try:
            return (yield from steps)
        except BaseException as error:
            self.failed = error
            raise
        finally:
            self.busy = False

    def _one(self, sql: str, parameters: Any) -> Effects[Result]:
        reads = is_read(sql)
        yield from self.connect()
        asked = Request(self.session.text(sql, parameters))
        if self.wrote or not reads:
            self.wrote = True
            [answer] = yield from self._asked([asked])
            return _result(answer)
        answer, state = yield from self._asked([asked, _HAS_IT_WRITTEN])
        self.wrote = state.wrote
        return _result(answer)

    def _many(self, sql: str, rows: Iterable[Any]) -> Effects[Result]:
        is_read(sql)
        left = iter(rows)
        changed, last = 0, None
        while chunk := list(islice(left, _AT_ONCE)):
            self.wrote = True
            yield from self.connect()
            answers = yield from self._asked([Request(self.session.text(sql, row)) for row in chunk])
            changed += sum(answer.changed for answer in answers)
            last = answers[-1].number
        return Result([], changed, last)

    def _asked(self, requests: Sequence[Request]) -> Effects[list[Answer]]:
        replies = yield from self.ask(requests)
        for reply in replies:
            if not isinstance(reply, Answer):
                self._raise(reply)
        return [reply for reply in replies if isinstance(reply, Answer)]

    def _raise(self, error: Exception) -> None:
        if self.session.closed:
            raise BackendUnavailable(
                f"the connection to MariaDB broke ({error}); nothing of the branch happened"
            ) from error
        if is_conflict(error):
            raise Aborted(self.gid, f"another transaction stood in the way: {error}", True) from error
        raise error

    def _refuse_over(self) -> None:
        if self.process != os.getpid():
            raise Aborted(self.gid, "its process was forked; only the parent can go on with it")
        if self.state is not State.OPEN:
            raise Aborted(self.gid, "it is over")


def _result(answer: Answer) -> Result:
    return Result(answer.rows, answer.changed, answer.number or None)


class MariaBranch(BaseBranch):
    """A transaction's work in one database of MariaDB; for one thread at a time.

    It sees its own changes, nobody else does. A statement that fails fails the transaction, even when its error is
    caught: every later statement is refused, and the branch votes against committing.
    """

    def execute(self, sql: str, parameters: Any = ()) -> Result:
        """Run one statement, with `%s` or `%(name)s` for parameters as in PyMySQL, and return all its rows.

        Raises:
            pymysql.Error: the statement is wrong, or breaks a constraint.
            InvalidValue: it would end the transaction (COMMIT …), or outlive it (CREATE, SET …).
            Aborted: an earlier statement failed; or another transaction stood in the way, and it may be run again.
            BackendUnavailable: the server cannot be reached; nothing of the branch happened.
        """
        return run(self.one(sql, parameters))

    def executemany(self, sql: str, rows: Iterable[Any]) -> Result:
        """Run one INSERT, UPDATE or DELETE for each of `rows`, many of them in one round trip.

        Raises:
            Exception: as `execute` does.
        """
        return run(self.many(sql, rows))


class AsyncMariaBranch(BaseBranch):
    """A transaction's work in one database of MariaDB, for one task at a time; see `MariaBranch`."""

    async def execute(self, sql: str, parameters: Any = ()) -> Result:
        """Run one statement and return all its rows; see `MariaBranch.execute`."""
        return await arun(self.one(sql, parameters))

    async def executemany(self, sql: str, rows: Iterable[Any]) -> Result:
        """Run one statement for each of `rows`; see `MariaBranch.executemany`."""
        return await arun(self.many(sql, rows))
