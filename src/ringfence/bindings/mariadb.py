"""A MariaDB database as a participant on PyMySQL or asyncmy connections of the application."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from ringfence import _mysql
from ringfence._mysql.frames import Request, statement
from ringfence._mysql.session import Answer, Reply, Session
from ringfence.bindings.cursor import Cursor
from ringfence.bindings.lent import Lent, Pool, Returned, Shelf, refuse_unfit
from ringfence.bindings.notes import Notes
from ringfence.errors import BackendUnavailable
from ringfence.protocol import Effects, arun, run
from ringfence.transactions.participants.mariadb.aio import AsyncMariaParticipant
from ringfence.transactions.participants.mariadb.asking import PATIENCE
from ringfence.transactions.participants.mariadb.base import BaseParticipant
from ringfence.transactions.participants.mariadb.branch import BaseBranch, State
from ringfence.transactions.participants.mariadb.failures import code
from ringfence.transactions.participants.mariadb.participant import MariaParticipant
from ringfence.transactions.participants.mariadb.pool import new_token

_OUTSIDE = 1400
"""XA START on a connection that is in a transaction."""

_CHANGED = statement(
    "SHOW SESSION STATUS WHERE Variable_name IN ('Handler_delete', 'Handler_update', 'Handler_write')"
)
"""How many rows the session has changed so far, whatever did it: a procedure, a view that calls a function."""


class LentSession(Lent, Session):
    """A `pymysql.Connection` of the application."""

    def __init__(self, connection: Any, returned: Returned) -> None:
        super().__init__(connection)
        self.token = _tokens.setdefault(connection, new_token())
        self._returned = returned
        self._timeouts = connection._read_timeout, connection._write_timeout

    def receive(self) -> list[Reply]:
        """Return the answers to what was sent, and leave the connection's own timeouts as they were."""
        try:
            return super().receive()
        finally:
            self._opened._read_timeout, self._opened._write_timeout = self._timeouts

    def close(self) -> None:
        """Close it, and tell its owner."""
        super().close()
        self.give_back()


class AsyncLentSession(Lent):
    """An `asyncmy.Connection` of the application.

    Attributes:
        closed: it cannot be used any more.
        token: the lock by which the server's other sessions can tell which one this is.
    """

    def __init__(self, connection: Any, returned: Returned) -> None:
        self.closed = False
        self.token = _tokens.setdefault(connection, new_token())
        self._opened = connection
        self._returned = returned

    async def ask(self, requests: Sequence[Request], patience: float | None = None) -> list[Reply]:
        """Carry out requests one after the other, and return what each came to: an answer, or the driver's error."""
        try:
            async with asyncio.timeout(patience):
                return [await self._reply(request) for request in requests]
        except BaseException as error:
            self.close()
            if not isinstance(error, TimeoutError):
                raise
            return [_lost(error)] * len(requests)

    async def _reply(self, request: Request) -> Reply:
        """A script ends with the first of its statements that fails."""
        reply: Reply = Answer()
        for sql in request.sql.split(b"; ") if request.several else [request.sql]:
            reply = await self._answer(sql.decode())
            if not isinstance(reply, Answer):
                break
        return reply

    async def _answer(self, sql: str) -> Reply:
        from asyncmy import errors
        from asyncmy.cursors import Cursor as TupleCursor

        try:
            async with self._opened.cursor(TupleCursor) as cursor:
                await cursor.execute(sql)
                rows = [tuple(row) for row in await cursor.fetchall()] if cursor.description else []
                return Answer(rows, cursor.rowcount, cursor.lastrowid or 0)
        except errors.Error as error:
            if self._opened.connected and not isinstance(error, errors.InterfaceError):
                return error
            self.close()
            return _lost(error)

    def close(self) -> None:
        """Close it, and tell its owner."""
        self.closed = True
        self._opened.close()
        self.give_back()


class LentBranch(BaseBranch):
    """A branch whose statements the application runs itself.

    Attributes:
        notes: what is noted of its statements.
        writes: one of them surely tried to change something.
        may_write: one of them may have changed something.
    """

    writes = may_write = False
    _changed: Any = None
    _only_read = False

    def __init__(self, gid: str, lent: Any, name: Callable[[str], Effects[str]], connection: Any) -> None:
        super().__init__(gid, _One(lent), name)
        self.notes = Notes(self)
        self._connection = connection

    @property
    def wrote(self) -> bool:
        """Did it change something? As long as nobody has looked: may it have?"""
        return self._wrote or self.may_write or not self._only_read

    @wrote.setter
    def wrote(self, wrote: bool) -> None:
        self._wrote = wrote

    @property
    def over(self) -> bool:
        """Was it committed, rolled back or prepared?"""
        return self.state is not State.OPEN

    def cursor(self, *arguments: Any, **options: Any) -> Cursor:
        """A cursor of the connection, as the driver makes it.

        Raises:
            Aborted: an earlier statement failed, or the transaction is over.
        """
        self.refuse_failed()
        return Cursor(self._connection.cursor(*arguments, **options), self.notes)

    def start(self) -> Effects[None]:
        """Send `XA START`, and take the lock by which others can tell whose session this is."""
        yield from self.connect()
        lock = statement(f"SELECT GET_LOCK('{self.session.token}', 0)")
        [reply, changed] = yield from self.ask([lock, _CHANGED])
        self._changed = getattr(changed, "rows", None)
        if not isinstance(reply, Answer):
            self.session.close()
            refuse_unfit(self.gid, idle=code(reply) != _OUTSIDE, autocommit=False)
            raise BackendUnavailable(
                f"MariaDB did not begin the branch ({reply}); nothing was changed"
            ) from reply

    def look(self) -> Effects[None]:
        """Ask whether rows were changed, also by what no note could be taken of."""
        if self._wrote or self.may_write or self.over or self.failed or self.session.closed:
            return
        [reply] = yield from self.ask([_CHANGED], PATIENCE)
        self._only_read = isinstance(reply, Answer) and reply.rows == self._changed


class SyncLentBranch(LentBranch):
    """The same for threads, where the connection can be asked at once."""

    @property
    def wrote(self) -> bool:
        """Did it change something, or may it have?"""
        run(self.look())
        return super().wrote

    @wrote.setter
    def wrote(self, wrote: bool) -> None:
        self._wrote = wrote


class _One:
    """Gives the one session that there is."""

    def __init__(self, lent: Any) -> None:
        self._lent = lent

    def session(self) -> Any:
        """It."""
        return self._lent


class _Lending(BaseParticipant[Any]):
    """What participants on connections of the application have in common.

    Attributes:
        owner: whose connections these are.
    """

    owner: Any = None
    _shelf: Shelf
    _session: Callable[[Any, Returned], Any]
    _lent_branch: type[LentBranch]

    def lend(self, gid: str, connection: Any, returned: Returned) -> None:
        """Give the connection on which `begin` starts the branch of `gid`; it is in no transaction."""
        self._shelf.put(gid, connection, returned)

    def is_open(self, connection: Any) -> bool:
        """Can the connection still be used?"""
        return bool(connection.connected if hasattr(connection, "connected") else connection.open)

    def take_back(self, gid: str) -> None:
        """Nobody waits for the branch of `gid` any more: a connection that is still in it is closed."""
        branch = self._branches.get(gid)
        if branch is not None:
            branch.session.close()
            self._forget(gid)

    def _starting(self, gid: str) -> Effects[LentBranch]:
        """Start the branch of `gid`: an XA transaction is one from its beginning."""
        connection, returned = self._shelf.take(gid)
        lent = self._session(connection, returned)
        branch = self._lent_branch(gid, lent, self._xid, connection)
        try:
            yield from branch.start()
        except BaseException:
            lent.give_back()
            raise
        self._branches[gid] = branch
        return branch


class MariaOnLent(_Lending, MariaParticipant):
    """A participant on connections of PyMySQL that the application lends.

    Args:
        url: of the database, for connections of its own.
        timeout: seconds that those wait.
        shelf: where the connections come from.
    """

    _session = LentSession
    _lent_branch = SyncLentBranch

    def __init__(self, url: str, timeout: float, shelf: Shelf) -> None:
        super().__init__(url, timeout=timeout)
        self._shelf = shelf
        self._sessions: Any = Pool(self._sessions)

    def begin(self, gid: str) -> LentBranch:  # type: ignore[override]
        """Start the branch of `gid` on the connection that was lent."""
        return run(self._starting(gid))

    def look(self, gid: str) -> None:
        """Find out whether the branch of `gid` has written: it does so by itself."""


class AsyncMariaOnLent(_Lending, AsyncMariaParticipant):
    """The same for asyncio, on connections of asyncmy."""

    _session = AsyncLentSession
    _lent_branch = LentBranch

    def __init__(self, url: str, timeout: float, shelf: Shelf) -> None:
        super().__init__(url, timeout=timeout)
        self._shelf = shelf
        self._sessions: Any = Pool(self._sessions)

    async def begin(self, gid: str) -> LentBranch:  # type: ignore[override]
        """Start the branch of `gid` on the connection that was lent."""
        return await arun(self._starting(gid))

    async def look(self, gid: str) -> None:
        """Find out whether the branch of `gid` has written."""
        branch = self._branches.get(gid)
        if isinstance(branch, LentBranch):
            await arun(branch.look())


def _lost(error: object) -> Exception:
    lost: Exception = _mysql.lost(2013, f"no answer from MariaDB: {error}")
    return lost


_tokens: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
