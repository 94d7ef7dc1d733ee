"""A MariaDB database as a participant on PyMySQL connections of the application."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from ringfence import _mysql
from ringfence._mysql.frames import statement
from ringfence._mysql.session import Answer, Reply, Session
from ringfence.bindings.cursor import Cursor
from ringfence.bindings.lent import Lent, Pool, Returned, Shelf, refuse_unfit
from ringfence.bindings.notes import Notes
from ringfence.errors import BackendUnavailable
from ringfence.protocol import Effects, run
from ringfence.transactions.participants.mariadb.branch import MariaBranch, State
from ringfence.transactions.participants.mariadb.participant import MariaParticipant
from ringfence.transactions.participants.mariadb.pool import new_token


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


class LentBranch(MariaBranch):
    """A branch whose statements the application runs itself.

    Attributes:
        notes: what is noted of its statements.
        writes: one of them surely tried to change something.
        may_write: one of them may have changed something.
    """

    writes = may_write = False

    def __init__(
        self, gid: str, lent: LentSession, name: Callable[[str], Effects[str]], connection: Any
    ) -> None:
        super().__init__(gid, _One(lent), name)
        self.notes = Notes(self)
        self._connection = connection

    @property
    def wrote(self) -> bool:
        """Did it change something, or may it have? MariaDB tells that only to those who ask when they connect."""
        return self._wrote or self.may_write

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
        [reply] = yield from self.ask([statement(f"SELECT GET_LOCK('{self.session.token}', 0)")])
        if not isinstance(reply, Answer):
            self.session.close()
            raise BackendUnavailable(
                f"MariaDB did not begin the branch ({reply}); nothing was changed"
            ) from reply


class _One:
    """Gives the one session that there is."""

    def __init__(self, lent: LentSession) -> None:
        self._lent = lent

    def session(self) -> LentSession:
        """It."""
        return self._lent


class MariaOnLent(MariaParticipant):
    """A participant on connections of PyMySQL that the application lends.

    Args:
        url: of the database, for connections of its own.
        timeout: seconds that those wait.
        shelf: where the connections come from.

    Attributes:
        owner: whose connections these are.
    """

    owner: Any = None

    def __init__(self, url: str, timeout: float, shelf: Shelf) -> None:
        super().__init__(url, timeout=timeout)
        self._shelf = shelf
        self._sessions = Pool(self._sessions)

    def lend(self, gid: str, connection: Any, returned: Returned) -> None:
        """Give the connection on which `begin` starts the branch of `gid`; it is in no transaction."""
        self._shelf.put(gid, connection, returned)

    def begin(self, gid: str) -> LentBranch:
        """Start the branch of `gid`: an XA transaction is one from its beginning."""
        connection, returned = self._shelf.take(gid)
        lent = LentSession(connection, returned)
        branch = LentBranch(gid, lent, self._xid, connection)
        try:
            refuse_unfit(gid, _mysql.is_idle(connection), autocommit=False)
            run(branch.start())
        except BaseException:
            lent.give_back()
            raise
        self._branches[gid] = branch
        return branch

    def look(self, gid: str) -> None:
        """Find out whether the branch of `gid` has written: its statements say so."""

    def is_open(self, connection: Any) -> bool:
        """Can the connection still be used?"""
        return bool(connection.open)

    def take_back(self, gid: str) -> None:
        """Nobody waits for the branch of `gid` any more: a connection that is still in it is closed."""
        branch = self._branches.get(gid)
        if branch is not None:
            branch.session.close()
            self._forget(gid)


_tokens: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
