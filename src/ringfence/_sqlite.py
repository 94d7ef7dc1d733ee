"""SQLite at the edge: open a file safely, run a transaction on it, and translate its errors in one place.

Files are opened in WAL mode with `synchronous=FULL`: a commit that returned has reached the disk.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal

from ringfence.errors import (
    BackendUnavailable,
    InvalidValue,
    OutcomeUnknown,
    RingfenceError,
    StoreDamaged,
    StoreError,
    StoreTimeout,
)


class Connection(sqlite3.Connection):
    """A connection that knows its file.

    Attributes:
        path: the file, as it was given to `connect`.
        companion: what its owner keeps beside it.
        file: its device and inode.
    """

    path: str = ""
    companion: Any = None
    file: tuple[int, int] | None = None

    def close(self) -> None:
        """Close the connection; a transaction that is open is rolled back."""
        super().close()
        _open.discard(self)


CONNECTION: type[Connection] = Connection
"""The class `connect` makes; fault-injecting tests put a subclass here."""


def connect(path: str | os.PathLike[str], *, timeout: float) -> Connection:
    """Open `path`, made when missing, for explicit transactions (`BEGIN` is never implied).

    Args:
        path: a file in a folder that exists.
        timeout: seconds to wait for a lock held by another connection.

    Raises:
        BackendUnavailable: the file cannot be opened, its folder does not exist, or this process was forked while
            the file was open.
        StoreDamaged: the file is not an SQLite database.
        StoreTimeout: another process kept it locked for longer than `timeout`.
    """
    name = absolute(path)
    _refuse_inherited(name)
    with translating(name):
        connection = sqlite3.connect(
            name,
            timeout=timeout,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            factory=CONNECTION,
        )
        connection.path = name
        try:
            _write_ahead(connection, time.monotonic() + timeout)
            connection.execute("PRAGMA synchronous=FULL")
            connection.file = _identity(name)
            _open.add(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def absolute(path: str | os.PathLike[str]) -> str:
    """Return `path` so that it names the same file after the process has changed its folder.

    Raises:
        InvalidValue: it names no file.
    """
    name = os.fspath(path)
    if name in ("", ":memory:"):
        raise InvalidValue(f"{name!r} names no file; give the path of one")
    return os.path.abspath(name)


def _write_ahead(connection: Connection, deadline: float) -> None:
    """Switch to WAL; SQLite does not wait here when two processes open a new file at once, so this does."""
    while True:
        try:
            [(mode,)] = connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(0.002)
        else:
            if mode != "wal":
                raise BackendUnavailable(
                    f"{connection.path!r} cannot use write-ahead logging; move it to a local disk"
                )
            return


class translating:  # noqa: N801  (reads as a statement: `with translating(path):`)
    """Raise SQLite's errors about the file `path` as our own; those of the SQL itself pass unchanged."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.Error):
            translated = translate(self._path, error)
            if translated is not None:
                raise translated from error


class immediate:  # noqa: N801
    """`with immediate(connection):` is one write transaction: the write lock, then commit or roll back.

    Raises:
        StoreTimeout: the write lock was not to be had in time; nothing happened.
        OutcomeUnknown: the disk failed while committing; the transaction may or may not be there.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        begin(self._connection)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        if error is None:
            commit(self._connection)
        else:
            rollback(self._connection)
        return False


def begin(connection: Connection) -> None:
    """Take the file's write lock, waiting up to the connection's timeout."""
    with translating(connection.path):
        connection.execute("BEGIN IMMEDIATE")


def commit(connection: Connection) -> None:
    """End the transaction durably.

    Raises:
        OutcomeUnknown: the disk failed meanwhile; the transaction may or may not be there.
    """
    try:
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        rollback(connection)
        translated = translate(connection.path, error, committing=True)
        raise translated or error from error


def rollback(connection: Connection) -> None:
    """Drop the transaction, if one is still open: several errors make SQLite drop it by itself."""
    if connection.in_transaction:
        with translating(connection.path):
            connection.execute("ROLLBACK")


def translate(path: str, error: sqlite3.Error, *, committing: bool = False) -> RingfenceError | None:
    """Return our error for one about the file, None for one about the SQL that was run."""
    match _code(error):
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreTimeout(f"{path!r} stayed locked by another connection ({error}); try again")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return StoreDamaged(f"{path!r} is not a sound SQLite file ({error}); restore it from a copy")
        case sqlite3.SQLITE_CANTOPEN:
            return BackendUnavailable(f"cannot open {path!r} ({error}); {_why_not_opened(path)}")
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR if committing:
            return OutcomeUnknown(
                f"{path!r} failed while committing ({error}); the change may or may not be there"
            )
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return StoreError(f"{path!r} cannot be written or read ({error}); nothing was changed")
    return None


def _code(error: sqlite3.Error) -> int:
    """The primary result code, 0 for errors that Python raises by itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _why_not_opened(path: str) -> str:
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        return f"create the folder {folder!r} first"
    return "it must be a file that this user may read and write"


class Pool:
    """Idle connections to one file, opened when needed; a forked child never uses those of its parent.

    Args:
        path: the file.
        timeout: seconds to wait for its locks.
        prepare: run once on every new connection (tables, functions).
    """

    def __init__(
        self, path: str, *, timeout: float, prepare: Callable[[Connection], None] | None = None
    ) -> None:
        self.path = absolute(path)
        self._timeout = timeout
        self._prepare = prepare
        self._idle: list[Connection] = []
        self._process = os.getpid()
        self._closed = False
        self._guard = threading.Lock()

    def take(self) -> Connection:
        """Return an idle connection, or a new one; give it back with `give`, or close it.

        Raises:
            StoreError: the pool was closed; and all that `connect` raises.
        """
        with self._guard:
            self._leave_to_parent()
            if self._closed:
                raise StoreError(f"the store on {self.path!r} was closed")
            if self._idle:
                return self._idle.pop()
        return self._open()

    def borrow(self) -> _Borrowed:
        """`with pool.borrow() as connection:` uses a connection once, translates errors, drops one that failed."""
        return _Borrowed(self)

    def give(self, connection: Connection) -> None:
        """Take back a connection; one that an interrupt left in a transaction is closed."""
        with self._guard:
            if not self._closed and self._process == os.getpid() and not connection.in_transaction:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close the idle connections now, the others when they are given back. Closing twice is harmless."""
        with self._guard:
            self._leave_to_parent()
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _open(self) -> Connection:
        connection = connect(self.path, timeout=self._timeout)
        if self._prepare is not None:
            try:
                with translating(self.path):
                    self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    def _leave_to_parent(self) -> None:
        if self._process != os.getpid():
            self._idle = []
            self._process = os.getpid()


class _Borrowed:
    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __enter__(self) -> Connection:
        self._connection = self._pool.take()
        return self._connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._pool.give(self._connection)
            return
        self._connection.close()
        translating(self._pool.path).__exit__(kind, error, trace)


def has_table(connection: Connection, table: str) -> bool:
    """Is there a table of that name?"""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return found.fetchone() is not None


# SQLite keeps what it knows of a process's locks in memory that a fork copies, and the locks stay behind. A child that
# opens such a file again believes in locks that it has not: when the parent closes, the write-ahead log is removed
# under the child, and commits that were acknowledged are lost ("How to corrupt an SQLite database file", 2.6).
_open: weakref.WeakSet[Connection] = weakref.WeakSet()
_inherited: list[Connection] = []
_inherited_files: set[tuple[int, int] | None] = set()


def _leave_to_parent() -> None:
    """In a forked child: neither use nor close what the parent has open."""
    _inherited.extend(_open)
    _inherited_files.update(connection.file for connection in _open)
    _open.clear()


os.register_at_fork(after_in_child=_leave_to_parent)


def _refuse_inherited(path: str) -> None:
    if _inherited_files and _identity(path) in _inherited_files:
        raise BackendUnavailable(
            f"{path!r} was open when this process was forked, and SQLite would lose commits; "
            f"close it before forking, or start processes with the spawn method"
        )


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
