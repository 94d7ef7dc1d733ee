"""A PostgreSQL database as a participant on psycopg connections of the application."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ringfence._postgresql.line import AsyncLine, BaseLine, Line
from ringfence._postgresql.statement import Statement
from ringfence.bindings.cursor import Cursor
from ringfence.bindings.lent import Lent, Pool, Returned, Shelf, refuse_unfit
from ringfence.bindings.notes import Notes
from ringfence.errors import RingfenceError
from ringfence.protocol import Call, Effects, arun, run
from ringfence.transactions.participants.postgresql import AsyncPostgresParticipant, PostgresParticipant
from ringfence.transactions.participants.postgresql.branch import BaseBranch
from ringfence.transactions.participants.postgresql.phases import Phases
from ringfence.transactions.participants.postgresql.statements import HAS_WRITTEN


class _LentLine(Lent, BaseLine):
    """A connection of the application, on which statements of the library leave nothing parsed behind."""

    def __init__(self, connection: Any, returned: Returned) -> None:
        super().__init__(connection)
        self._returned = returned

    def close(self) -> None:
        """Close it, and tell its owner."""
        super().close()
        self.give_back()

    def is_sound(self) -> bool:
        """Say whether it can be used; the application may have closed it."""
        if self._connection.closed:
            self.close()
        return super().is_sound()

    def _post_one(self, number: int, statement: Statement) -> None:
        super()._post_one(number, statement._replace(lasting=False))


class LentLine(_LentLine, Line):
    """A `psycopg.Connection` of the application."""


class AsyncLentLine(_LentLine, AsyncLine):
    """A `psycopg.AsyncConnection` of the application."""


class LentBranch(BaseBranch):
    """A branch whose statements the application runs itself; the server is asked what they did.

    Attributes:
        notes: what is noted of its statements.
        writes: one of them surely tried to change something.
        may_write: one of them may have changed something.
    """

    writes = may_write = _wrote = _looked = False

    def __init__(self, gid: str, line: BaseLine, sql: Any, connection: Any) -> None:
        super().__init__(gid, line, sql)
        self.notes = Notes(self)
        self._connection = connection

    @property
    def begun(self) -> bool:
        """Has the driver begun the transaction?"""
        return not self.line.idle

    @begun.setter
    def begun(self, _: bool) -> None:
        """The connection knows."""

    @property
    def wrote(self) -> bool:
        """Did it change something? As long as nobody has looked: may it have?"""
        return self._wrote or (self.begun and not self._looked)

    @wrote.setter
    def wrote(self, wrote: bool) -> None:
        self._wrote = wrote

    def cursor(self, *arguments: Any, **options: Any) -> Cursor:
        """A cursor of the connection, as the driver makes it.

        Raises:
            Aborted: an earlier statement failed, or the transaction is over.
        """
        self.refuse_failed()
        return Cursor(self._connection.cursor(*arguments, **options), self.notes)

    def look(self) -> Effects[None]:
        """Ask whether it wrote: PostgreSQL numbers a transaction when it first changes something, or locks a row."""
        known = self._wrote or self._looked or self.writes
        if not known and self.line.working:
            [result] = yield Call(self.line, "ask", ([HAS_WRITTEN],))
            self._wrote = self._wrote or result.get_value(0, 0) is not None
            self._looked = True


class SyncLentBranch(LentBranch):
    """The same for threads, where the connection can be asked at once."""

    @property
    def wrote(self) -> bool:
        """Did it change something, or may it have?"""
        with suppress(RingfenceError):  # preparing it will tell
            run(self.look())
        return super().wrote

    @wrote.setter
    def wrote(self, wrote: bool) -> None:
        self._wrote = wrote


class _Lending(Phases):
    """The phases of branches on connections of the application.

    Attributes:
        owner: whose connections these are.
    """

    owner: Any = None
    _shelf: Shelf
    _line: type[_LentLine]
    _lent_branch: type[LentBranch]

    def lend(self, gid: str, connection: Any, returned: Returned) -> None:
        """Give the connection on which `begin` starts the branch of `gid`; it is in no transaction."""
        self._shelf.put(gid, connection, returned)

    def is_open(self, connection: Any) -> bool:
        """Can the connection still be used?"""
        return not connection.closed

    def take_back(self, gid: str) -> None:
        """Nobody waits for the branch of `gid` any more: a connection that is still in it is closed."""
        branch = self._branches.pop(gid, None)
        if branch is not None:
            branch.over = True
            branch.line.close()

    def _begin(self, gid: str) -> Effects[BaseBranch]:
        connection, returned = self._shelf.take(gid)
        line = self._line(connection, returned)
        try:
            refuse_unfit(gid, line.idle, connection.autocommit)
            if not hasattr(
                self, "_sql"
            ):  # a connection of its own makes the tables, and shows that it can prepare
                self._pool.give((yield Call(self._pool, "take")))
        except BaseException:
            line.give_back()
            raise
        branch = self._branches[gid] = self._lent_branch(gid, line, self._sql, connection)
        return branch


class PostgresOnLent(_Lending, PostgresParticipant):
    """A participant on connections of psycopg that the application lends.

    Args:
        url: of the database, for connections of its own.
        timeout: seconds that those wait.
        shelf: where the connections come from.
    """

    _line = LentLine
    _lent_branch = SyncLentBranch

    def __init__(self, url: str, timeout: float, shelf: Shelf) -> None:
        super().__init__(url, timeout=timeout)
        self._shelf = shelf
        self._pool: Any = Pool(self._pool)

    def look(self, gid: str) -> None:
        """Find out whether the branch of `gid` has written: it does so by itself."""


class AsyncPostgresOnLent(_Lending, AsyncPostgresParticipant):
    """The same for asyncio."""

    _line = AsyncLentLine
    _lent_branch = LentBranch

    def __init__(self, url: str, timeout: float, shelf: Shelf) -> None:
        super().__init__(url, timeout=timeout)
        self._shelf = shelf
        self._pool: Any = Pool(self._pool)

    async def look(self, gid: str) -> None:
        """Find out whether the branch of `gid` has written."""
        branch = self._branches.get(gid)
        if isinstance(branch, LentBranch):
            with suppress(RingfenceError):  # preparing it will tell
                await arun(branch.look())
