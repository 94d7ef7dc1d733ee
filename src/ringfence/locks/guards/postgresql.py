"""A guard of a PostgreSQL database: compares a fence and writes in one transaction."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from ringfence import _postgresql
from ringfence._postgresql.session import ALONE, GUARD_TABLE
from ringfence._url import split
from ringfence.errors import InvalidType
from ringfence.locks.guards.row import RowGuard


class PostgresGuard(RowGuard):
    """Lets the holder of the newest fence write to a PostgreSQL database, and nobody older.

    ::

        guard = PostgresGuard("postgresql://app@db/app", "report")
        with manager.lock("report") as lease, guard.write(lease) as connection:
            connection.execute("UPDATE report SET body = %s", (body,))

    The block runs in one transaction, which has locked the row of the resource in the table `ringfence_guard`: keep it
    short, for other writers of the resource wait for it. The table is made when it is missing. Needs psycopg 3 (extra
    `postgresql`).

    Args:
        database: a `postgresql://` URL, each write then has a connection of its own; or an open `psycopg.Connection`
            of the caller's, which stays the caller's.
        resource: what is guarded, of several things in one database; usually the name of the lock.
        timeout: seconds to wait for a connection and for another writer; for a connection of the caller's, its own.

    Raises:
        InvalidType: an argument has the wrong type.
        InvalidValue: the URL is none of PostgreSQL, or the resource is no name.
        BackendUnavailable: psycopg is not installed.
    """

    _INSERT = "INSERT INTO ringfence_guard (resource, fence) VALUES (%s, 0) ON CONFLICT DO NOTHING"

    def __init__(self, database: Any, resource: str, *, timeout: float = 5.0) -> None:
        if isinstance(database, str):
            split(database, _postgresql.SCHEMES)
            super().__init__(database, None, resource, timeout)
        elif _postgresql.is_connection(database):
            super().__init__(None, database, resource, timeout)
        else:
            raise InvalidType(f"a guarded database is a URL or a psycopg.Connection, not {database!r}")

    def _open(self, url: str) -> Any:
        return _postgresql.connect(url, timeout=self._timeout)

    def _is_idle(self, connection: Any) -> bool:
        return _postgresql.is_idle(connection)

    def _transaction(self, connection: Any) -> AbstractContextManager[None]:
        return _postgresql.transaction(connection)

    def _translating(self) -> AbstractContextManager[None]:
        return _postgresql.translating()

    def _finds_table(self, connection: Any) -> bool:
        return bool(self._execute(connection, "SELECT to_regclass('ringfence_guard')") != [(None,)])

    def _make_table(self, connection: Any) -> None:
        with self._transaction(connection), self._translating():
            self._execute(connection, ALONE)
            self._execute(connection, GUARD_TABLE)

    def _limit_waiting(self, connection: Any) -> None:
        self._execute(
            connection, "SELECT set_config('lock_timeout', %s, true)", (f"{self._timeout * 1000:.0f}",)
        )

    def _execute(self, connection: Any, statement: str, values: tuple[Any, ...] = ()) -> Any:
        with connection.cursor(row_factory=_postgresql.tuples()) as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []
