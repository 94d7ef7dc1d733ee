"""What the guards of SQL servers have in common: the mark is a row, locked by the transaction that writes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

from ringfence.errors import InvalidValue
from ringfence.locks.guards.base import BaseGuard

_LOCK = "SELECT fence FROM ringfence_guard WHERE resource = %s FOR UPDATE"
_READ = "SELECT fence FROM ringfence_guard WHERE resource = %s"
_RAISE = "UPDATE ringfence_guard SET fence = %s WHERE resource = %s"


class RowGuard(BaseGuard[Any]):
    """A guard whose mark is a row of the table `ringfence_guard`.

    Args:
        url: of the database; None for a connection of the caller's.
        connection: of the caller's; None for a URL.
        resource: what is guarded.
        timeout: seconds to wait for a connection, and for another writer.
    """

    _INSERT: str
    """Makes the row if it is not there."""

    def __init__(self, url: str | None, connection: Any, resource: str, timeout: float) -> None:
        super().__init__(resource)
        self._url = url
        self._given = connection
        self._timeout = timeout
        self._has_table = False

    def mark(self) -> int:
        """Return the highest fence that has written; 0 if none has."""
        with self._connection() as connection, self._transaction(connection), self._translating():
            if not self._finds_table(connection):
                return 0
            return self._fence(connection, _READ) or 0

    @contextmanager
    def _writing(self, fence: int, check: Callable[[], None]) -> Iterator[Any]:
        with self._connection() as connection:
            self._prepare(connection)
            with self._transaction(connection):
                with self._translating():
                    self._raise_mark(connection, fence)
                check()
                yield connection

    def _prepare(self, connection: Any) -> None:
        """Make the table if it is not there: in a transaction of its own, for the guarded one may fail."""
        if not self._has_table:
            with self._transaction(connection), self._translating():
                self._has_table = self._finds_table(connection)
            if not self._has_table:
                self._make_table(connection)
                self._has_table = True

    def _raise_mark(self, connection: Any, fence: int) -> None:
        if self._given is None:
            self._limit_waiting(connection)
        mark = self._fence(connection, _LOCK)
        if mark is None:
            self._execute(connection, self._INSERT, (self.resource,))
            mark = self._fence(connection, _LOCK) or 0
        self._admit(fence, mark)
        if fence != mark:
            self._execute(connection, _RAISE, (fence, self.resource))

    def _fence(self, connection: Any, select: str) -> int | None:
        rows = self._execute(connection, select, (self.resource,))
        return int(rows[0][0]) if rows else None

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        if self._url is not None:
            with closing(self._open(self._url)) as connection:
                yield connection
            return
        if not self._is_idle(self._given):
            raise InvalidValue("the connection is in a transaction already; commit it before a guarded write")
        yield self._given

    @abstractmethod
    def _open(self, url: str) -> Any:
        """Return a new connection."""

    @abstractmethod
    def _is_idle(self, connection: Any) -> bool:
        """Say whether a connection is in no transaction."""

    @abstractmethod
    def _transaction(self, connection: Any) -> AbstractContextManager[None]:
        """Run a transaction."""

    @abstractmethod
    def _translating(self) -> AbstractContextManager[None]:
        """Translate the driver's errors."""

    @abstractmethod
    def _finds_table(self, connection: Any) -> bool:
        """Say whether the table is there."""

    @abstractmethod
    def _make_table(self, connection: Any) -> None:
        """Make the table, whoever else does the same."""

    @abstractmethod
    def _limit_waiting(self, connection: Any) -> None:
        """Have a transaction that waits for another one end after the timeout."""

    @abstractmethod
    def _execute(self, connection: Any, statement: str, values: tuple[Any, ...] = ()) -> Any:
        """Return the rows that a statement finds, as tuples."""
