"""A guard of a MariaDB or MySQL database: compares a fence and writes in one transaction."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any

from ringfence import _mysql
from ringfence.errors import InvalidType
from ringfence.locks.guards.row import RowGuard


class MySqlGuard(RowGuard):
    """Lets the holder of the newest fence write to a MariaDB or MySQL database, and nobody older.

    ::

        guard = MySqlGuard("mariadb://app@db/app", "report")
        with manager.lock("report") as lease, guard.write(lease) as connection, connection.cursor() as cursor:
            cursor.execute("UPDATE report SET body = %s", (body,))

    The block runs in one transaction, which has locked the row of the resource in the table `ringfence_guard`: keep it
    short, for other writers of the resource wait for it. What is written is to be in InnoDB tables. A statement that
    defines a table ends the transaction, so it has no place in the block, and is told when it does. The table of marks
    is made when it is missing. Needs PyMySQL (extra `mysql`).

    Args:
        database: a `mariadb://` or `mysql://` URL, each write then has a connection of its own; or an open
            `pymysql.Connection` of the caller's, which stays the caller's.
        resource: what is guarded, of several things in one database; usually the name of the lock.
        timeout: seconds to wait for a connection and, in whole seconds, for another writer; for a connection of the
            caller's, its own.

    Raises:
        InvalidType: an argument has the wrong type.
        InvalidValue: the URL is none of MariaDB, or the resource is no name.
        BackendUnavailable: PyMySQL is not installed.
    """

    _INSERT = "INSERT IGNORE INTO ringfence_guard (resource, fence) VALUES (%s, 0)"

    def __init__(self, database: Any, resource: str, *, timeout: float = 5.0) -> None:
        if isinstance(database, str):
            _mysql.parse(database)
            super().__init__(database, None, resource, timeout)
        elif _mysql.is_connection(database):
            super().__init__(None, database, resource, timeout)
        else:
            raise InvalidType(f"a guarded database is a URL or a pymysql.Connection, not {database!r}")

    def _open(self, url: str) -> Any:
        return _mysql.connect(url, timeout=self._timeout)

    def _is_idle(self, connection: Any) -> bool:
        return _mysql.is_idle(connection)

    def _transaction(self, connection: Any) -> AbstractContextManager[None]:
        return _mysql.transaction(connection)

    def _translating(self) -> AbstractContextManager[None]:
        return _mysql.translating()

    def _finds_table(self, connection: Any) -> bool:
        return bool(self._execute(connection, "SHOW TABLES LIKE 'ringfence_guard'"))

    def _make_table(self, connection: Any) -> None:
        with self._translating():
            self._execute(connection, _mysql.GUARD_TABLE)

    def _limit_waiting(self, connection: Any) -> None:
        self._execute(connection, "SET innodb_lock_wait_timeout = %s", (max(1, math.ceil(self._timeout)),))

    def _execute(self, connection: Any, statement: str, values: tuple[Any, ...] = ()) -> Any:
        with connection.cursor(_mysql.tuples()) as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall()
