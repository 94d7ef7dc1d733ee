"""Where the accounts are: files or databases, as seen by programs that know nothing of ringfence."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pymysql

from ringfence.testing.servers import MariaDB, PostgreSQL

PATIENCE = 60.0

Rows = Sequence[tuple[Any, ...]]


class Stores(Protocol):
    """Databases by name.

    Attributes:
        timeout: seconds that a process waits for others which may stand still.
        exclusive: a process that stands still may keep all others out.
    """

    timeout: float
    exclusive: bool

    def url(self, name: str) -> str:
        """The URL of a database."""

    def run(self, name: str, sql: str) -> Rows:
        """Run a statement, and commit it."""

    def left_alone(self) -> None:
        """Return when no process that has ended is at work there any more."""


class SqliteStores:
    """Files in a folder."""

    timeout = 0.2
    exclusive = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def url(self, name: str) -> str:
        return f"sqlite:///{self._folder}/{name}.db"

    def run(self, name: str, sql: str) -> Rows:
        with (
            closing(sqlite3.connect(self._folder / f"{name}.db", timeout=PATIENCE)) as connection,
            connection,
        ):
            return connection.execute(sql).fetchall()

    def left_alone(self) -> None:
        """The system has done that."""


class PostgresStores:
    """Databases of one PostgreSQL.

    Args:
        server: the server.
        port: where processes reach it, if not directly.
    """

    timeout = 1.0
    exclusive = False

    def __init__(self, server: PostgreSQL, port: int | None = None) -> None:
        self._server = server
        self._port = server.port if port is None else port

    def url(self, name: str) -> str:
        if not self._ask("postgres", f"SELECT 1 FROM pg_database WHERE datname = 'fault_{name}'"):
            self._ask("postgres", f"CREATE DATABASE fault_{name}")
        return self._url(f"fault_{name}").replace(f":{self._server.port}/", f":{self._port}/")

    def run(self, name: str, sql: str) -> Rows:
        return self._ask(f"fault_{name}", sql)

    def left_alone(self) -> None:
        others = (
            "SELECT pid FROM pg_stat_activity WHERE datname LIKE 'fault_%'"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        await_none(lambda: self._ask("postgres", others))

    def by_hand(self, coordinator: str, what: str) -> None:
        """End one prepared branch as somebody does who is tired of it: `what` is COMMIT or ROLLBACK."""
        ours = f"SELECT gid, database FROM pg_prepared_xacts WHERE gid LIKE '%{coordinator}.%'"
        gid, database = self._ask("postgres", ours)[0]
        self._ask(database, f"{what} PREPARED '{gid}'")

    def _url(self, database: str) -> str:
        return self._server.url.removesuffix("postgres") + database

    def _ask(self, database: str, sql: str) -> Rows:
        with closing(psycopg.connect(self._url(database), autocommit=True)) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []


class MariaStores:
    """Databases of one MariaDB."""

    timeout = 1.0
    exclusive = False

    def __init__(self, server: MariaDB) -> None:
        self._server = server

    def url(self, name: str) -> str:
        self._ask(f"CREATE DATABASE IF NOT EXISTS fault_{name}")
        return f"{self._server.url.rpartition('/')[0]}/fault_{name}"

    def run(self, name: str, sql: str) -> Rows:
        return self._ask(sql, f"fault_{name}")

    def left_alone(self) -> None:
        others = (
            "SELECT id FROM information_schema.processlist WHERE db LIKE 'fault_%' AND id <> connection_id()"
        )
        await_none(lambda: self._ask(others))

    def by_hand(self, coordinator: str, what: str) -> None:
        """End one prepared branch as somebody does who is tired of it: `what` is COMMIT or ROLLBACK."""
        name = f"{coordinator}.".encode().hex()
        ours = [row[-1] for row in self._ask("XA RECOVER FORMAT='SQL'") if name in row[-1].lower()]
        self._ask(f"XA {what} {ours[0]}")

    def _ask(self, sql: str, database: str | None = None) -> Rows:
        server = self._server
        connection = pymysql.connect(
            host=server.host, port=server.port, user="root", database=database, autocommit=True
        )
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(sql)
            rows: Rows = cursor.fetchall()
            return rows


def await_none(look: Any) -> None:
    """Wait until nothing is found any more."""
    deadline = time.monotonic() + PATIENCE
    while found := look():
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
