"""A guard of an SQLite database: compares a fence and writes in one transaction."""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from ringfence import _sqlite_marks
from ringfence._sqlite import Pool, translate, translating
from ringfence._url import sqlite_path
from ringfence.errors import InvalidType, InvalidValue, StoreError
from ringfence.locks.guards.base import BaseGuard


class Guard(BaseGuard[sqlite3.Connection]):
    """Lets the holder of the newest fence write to a database, and nobody older.

    ::

        guard = Guard("sqlite:///app.db", "report")
        with manager.lock("report") as lease, guard.write(lease) as connection:
            connection.execute("UPDATE report SET body = ?", (body,))

    A reader whose later write depends on what it read should read in a guarded transaction too: from then on older
    holders are refused. The mark stands in the table `ringfence_guard` and is never lowered.

    Args:
        database: a `sqlite:///` URL, a path, or an open connection of the caller's, which stays the caller's.
        resource: what is guarded, of several things in one database; usually the name of the lock.
        timeout: seconds to wait for another connection's transaction; for a connection of the caller's, its own.

    Raises:
        InvalidType: an argument has the wrong type.
        InvalidValue: the URL names no file, or the resource is no name.
    """

    def __init__(
        self, database: str | os.PathLike[str] | sqlite3.Connection, resource: str, *, timeout: float = 5.0
    ) -> None:
        super().__init__(resource)
        self._pool: Pool | None = None
        if isinstance(database, sqlite3.Connection):
            self._given = database
            self.path = _path_of(database)
        else:
            self.path = _path(database)
            self._pool = Pool(self.path, timeout=timeout)
            weakref.finalize(self, self._pool.close)

    @contextmanager
    def _writing(self, fence: int, check: Callable[[], None]) -> Iterator[sqlite3.Connection]:
        with self._connection() as connection, self._transaction(connection):
            with translating(self.path):
                self._raise_mark(connection, fence)
            check()
            yield connection

    def mark(self) -> int:
        """Return the highest fence that has written; 0 if none has."""
        with self._connection() as connection, translating(self.path):
            return _sqlite_marks.read(connection, self.resource)

    def close(self) -> None:
        """Close the guard's own connections. Closing twice is harmless."""
        if self._pool is not None:
            self._pool.close()

    def _raise_mark(self, connection: sqlite3.Connection, fence: int) -> None:
        mark = _sqlite_marks.read(connection, self.resource)
        self._admit(fence, mark)
        if fence != mark:
            _sqlite_marks.put(connection, self.resource, fence)

    @contextmanager
    def _transaction(self, connection: sqlite3.Connection) -> Iterator[None]:
        self._begin(connection)
        try:
            yield
            self._commit(connection)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _begin(self, connection: sqlite3.Connection) -> None:
        if connection.in_transaction:
            raise InvalidValue("the connection is in a transaction already; commit it before a guarded write")
        with translating(self.path):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("SAVEPOINT ringfence_guarded")

    def _commit(self, connection: sqlite3.Connection) -> None:
        try:  # the savepoint goes with its transaction; a connection may have begun another one by itself
            connection.execute("RELEASE ringfence_guarded")
        except sqlite3.OperationalError as error:
            raise translate(self.path, error) or StoreError(
                "a guarded write was committed or rolled back inside its block; leave that to the block"
            ) from error
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise translate(self.path, error, committing=True) or error from error

    def _connection(self) -> AbstractContextManager[sqlite3.Connection]:
        return nullcontext(self._given) if self._pool is None else _taken(self._pool)


@contextmanager
def _taken(pool: Pool) -> Iterator[sqlite3.Connection]:
    connection = pool.take()
    try:
        yield connection
    finally:
        if connection.in_transaction:
            connection.close()
        else:
            pool.give(connection)


def _path(database: object) -> str:
    if not isinstance(database, (str, os.PathLike)):
        raise InvalidType(f"a guarded database is a URL, a path or an sqlite3.Connection, not {database!r}")
    path = os.fspath(database)
    if not isinstance(path, str):
        raise InvalidType(f"the path of a guarded database is text, not {path!r}")
    return sqlite_path(path) if "://" in path else path


def _cursor(connection: sqlite3.Connection) -> sqlite3.Cursor:
    """A cursor whose rows are tuples, whatever those of the caller's connection are."""
    cursor = connection.cursor()
    cursor.row_factory = None
    return cursor


def _path_of(connection: sqlite3.Connection) -> str:
    for _, name, path in _cursor(connection).execute("PRAGMA database_list").fetchall():
        if name == "main":
            return str(path) or ":memory:"
    return ":memory:"
