"""An SQLite file as a participant on `sqlite3` connections of the application.

SQLite prepares nothing: what ringfence's own participant does in its place, to undo and record a branch, it can do on
connections of its own only. So a file whose branch wrote can be the only one that did, or the one that holds the
decisions of the manager, which are then committed together with it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ringfence import _sqlite
from ringfence.bindings.cursor import Cursor
from ringfence.bindings.lent import Lent, Returned, Shelf
from ringfence.bindings.notes import Notes
from ringfence.errors import Aborted
from ringfence.transactions.decisions.poison import deciding, poison_of
from ringfence.transactions.decisions.sqlite import put
from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome, Vote
from ringfence.transactions.participants.sqlite import SqliteParticipant, settled
from ringfence.transactions.participants.sqlite.participant import compare_fences

_FULL = 2


class LentBranch(Lent):
    """A branch whose statements the application runs itself.

    Attributes:
        gid: the transaction.
        notes: what is noted of its statements.
        writes: one of them surely tried to change something.
        may_write: one of them may have changed something.
        failed: the error of one that failed.
        fences: the fences that its end is to compare, by resource.
        over: it has ended.
        process: where it was begun; a forked child has nothing to do with it.
    """

    writes = may_write = over = closed = False
    failed: BaseException | None = None

    def __init__(self, gid: str, connection: sqlite3.Connection, returned: Returned) -> None:
        self.gid = gid
        self.connection = connection
        self.notes = Notes(self)
        self.fences: dict[str, int] = {}
        self.process = os.getpid()
        self._returned = returned

    @property
    def wrote(self) -> bool:
        """Did it change something, or may it have?"""
        return self.may_write

    def cursor(self, *arguments: Any, **options: Any) -> Cursor:
        """A cursor of the connection, as the driver makes it.

        Raises:
            Aborted: an earlier statement failed, or the transaction is over.
        """
        self.refuse_failed()
        return Cursor(self.connection.cursor(*arguments, **options), self.notes)

    def refuse_failed(self) -> None:
        """Vote against a branch in which a statement failed.

        Raises:
            Aborted: one did, whether or not the application caught the error.
        """
        if self.failed is not None:
            raise Aborted(self.gid, f"a statement failed: {self.failed}") from self.failed
        if self.over or not self.connection.in_transaction:
            raise Aborted(self.gid, "it is over, or something else ended the transaction on its connection")


class SqliteOnLent(SqliteParticipant):
    """A participant on connections of `sqlite3` that the application lends.

    Args:
        path: the file, for connections of its own.
        timeout: seconds that those wait.
        shelf: where the connections come from.

    Attributes:
        owner: whose connections these are.
    """

    owner: Any = None

    def __init__(self, path: str, timeout: float, shelf: Shelf) -> None:
        super().__init__(path, timeout=timeout)
        self._shelf = shelf
        self._lent: dict[str, LentBranch] = {}

    def lend(self, gid: str, connection: Any, returned: Returned) -> None:
        """Give the connection on which `begin` starts the branch of `gid`."""
        self._shelf.put(gid, connection, returned)

    def begin(self, gid: str) -> LentBranch:  # type: ignore[override]
        """Start the branch of `gid`: what the connection's open transaction holds, if there is one, belongs to it."""
        Gid.parse(gid)
        connection, returned = self._shelf.take(gid)
        branch = LentBranch(gid, connection, returned)
        try:
            super().settled(gid)  # on a connection of its own, which makes the tables
            if not connection.in_transaction:
                connection.execute("BEGIN")
        except BaseException:
            branch.give_back()
            raise
        self._lent[gid] = branch
        return branch

    def guard(self, gid: str, resource: str, fence: int) -> None:
        """Compare `fence` with the mark of `resource` when the branch ends."""
        branch = self._mine(gid)
        if branch is None:
            raise Aborted(gid, "its branch is not open here; its work was lost or given up")
        branch.fences[resource] = fence

    def prepare(self, gid: str) -> Vote:
        """Give up what only read; refuse what wrote, which SQLite cannot prepare."""
        branch = self._mine(gid)
        if branch is None:
            return super().prepare(gid)
        branch.refuse_failed()
        if branch.wrote:
            raise Aborted(
                gid,
                "SQLite prepares nothing on a connection of the application; let its file hold the decisions "
                f"(decisions='sqlite:///{self.path}'), or write to it through ringfence's own participant",
            )
        with _plain_rows(branch.connection) as connection:
            compare_fences(connection, branch)  # type: ignore[arg-type]
        self.rollback(gid)
        return Vote.READ_ONLY

    def one_phase(self, gid: str) -> None:
        """Commit the branch, marked in the same transaction."""
        branch = self._mine(gid)
        if branch is None:
            super().one_phase(gid)
            return
        with self._last(branch):
            if not settled.commit(branch.connection, Gid.parse(gid)):
                raise Aborted(gid, "it was settled as aborted before it committed")

    def decide(self, gid: str) -> Outcome:
        """Commit the branch, and the decision row with it."""
        branch = self._mine(gid)
        if branch is None:
            return super().decide(gid)
        _refuse_unsynced(branch)
        with deciding(poison_of(self.path)), self._last(branch):
            standing = put(branch.connection, Gid.parse(gid), Outcome.COMMITTED)  # type: ignore[arg-type]
            if standing is not Outcome.COMMITTED:
                _roll_back(branch.connection)
        return standing

    def rollback(self, gid: str) -> None:
        """Give up the branch."""
        branch = self._mine(gid)
        if branch is None:
            super().rollback(gid)
            return
        _roll_back(branch.connection)
        self._end_lent(branch)

    def close(self) -> None:
        """Roll back open branches, but none of the process this one was forked from; close its own connections."""
        for gid in list(self._lent):
            if self._mine(gid) is not None:
                self.rollback(gid)
        super().close()

    def look(self, gid: str) -> None:
        """Find out whether the branch of `gid` has written: its statements say so."""

    def is_open(self, _: Any) -> bool:
        """Can the connection still be used?"""
        return True

    def take_back(self, gid: str) -> None:
        """Nobody waits for the branch of `gid` any more: what is open is rolled back."""
        self.rollback(gid)

    def _mine(self, gid: str) -> LentBranch | None:
        branch = self._lent.get(gid)
        return branch if branch is not None and branch.process == os.getpid() else None

    @contextmanager
    def _last(self, branch: LentBranch) -> Iterator[None]:
        """Commit what the block adds to a branch; after an error nothing of it is left."""
        connection = branch.connection
        try:
            with _plain_rows(connection) as plain:
                branch.refuse_failed()
                compare_fences(plain, branch)  # type: ignore[arg-type]
                yield
                _commit(self.path, connection)
        except BaseException:
            _roll_back(connection)
            raise
        finally:
            if not connection.in_transaction:
                self._end_lent(branch)

    def _end_lent(self, branch: LentBranch) -> None:
        branch.over = True
        self._lent.pop(branch.gid, None)
        branch.give_back()


@contextmanager
def _plain_rows(connection: Any) -> Iterator[Any]:
    """The connection, whose rows are tuples for a while."""
    rows, connection.row_factory = connection.row_factory, None
    try:
        yield connection
    finally:
        connection.row_factory = rows


def _commit(path: str, connection: sqlite3.Connection) -> None:
    try:
        if connection.in_transaction:
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise _sqlite.translate(path, error, committing=True) or error from error


def _roll_back(connection: sqlite3.Connection) -> None:
    """Roll back; `Connection.rollback` does nothing in some of a connection's modes."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _refuse_unsynced(branch: LentBranch) -> None:
    """Refuse to decide on a connection whose commits may be lost in a power failure."""
    [(level,)] = branch.connection.execute("PRAGMA synchronous").fetchall()
    if level < _FULL:
        raise Aborted(branch.gid, "its connection does not sync; set PRAGMA synchronous=FULL to decide on it")
