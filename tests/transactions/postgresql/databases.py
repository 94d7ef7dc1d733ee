"""Databases of the tests, as seen by connections that have nothing to do with ringfence."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg

from ringfence.testing.proxy import Proxy
from ringfence.testing.servers import PostgreSQL

ADMIN = "postgres"
PREPARED = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"


@dataclass
class Database:
    """One database of a server; its table `kept` has values by id."""

    server: PostgreSQL
    name: str

    @classmethod
    def emptied(cls, server: PostgreSQL, name: str) -> Database:
        """Return a database in which nothing is left of earlier tests."""
        admin, database = cls(server, ADMIN), cls(server, name)
        if not admin.ask("SELECT 1 FROM pg_database WHERE datname = %s", name):
            admin.ask(f"CREATE DATABASE {name}")
        with closing(psycopg.connect(database.url, autocommit=True)) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            for (prepared,) in connection.execute(PREPARED).fetchall():
                connection.execute(f"ROLLBACK PREPARED '{prepared}'")
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            connection.execute("CREATE TABLE kept (id INTEGER PRIMARY KEY, value INTEGER)")
        return database

    @property
    def url(self) -> str:
        """Its URL."""
        return self.server.url.removesuffix(ADMIN) + self.name

    def through(self, proxy: Proxy) -> str:
        """Its URL through a proxy."""
        return self.url.replace(f":{self.server.port}/", f":{proxy.port}/")

    def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Carry out a statement on a connection of its own."""
        with closing(psycopg.connect(self.url, autocommit=True)) as connection:
            cursor = connection.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, number: int = 1) -> int | None:
        """The committed value of an id."""
        rows = self.ask("SELECT value FROM kept WHERE id = %s", number)
        return rows[0][0] if rows else None

    def prepared(self) -> list[str]:
        """The names of the prepared transactions of this database."""
        return [name for (name,) in self.ask(PREPARED)]

    def left_open(self) -> int:
        """How many transactions of this database nobody is at work on."""
        return int(
            self.ask(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
            )[0][0]
        )

    def locked(self) -> int:
        """How many tables or transactions of this database are locked by others."""
        return int(
            self.ask(
                "SELECT count(*) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database"
                " WHERE d.datname = current_database() AND l.pid IS DISTINCT FROM pg_backend_pid()"
            )[0][0]
        )


def write(branch: Any, value: int, number: int = 1) -> Any:
    """Write a value in a branch."""
    return branch.execute(
        "INSERT INTO kept VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET value = excluded.value",
        (number, value),
    )


def read(branch: Any, number: int = 1) -> int | None:
    """Read a value in a branch."""
    for (value,) in branch.execute("SELECT value FROM kept WHERE id = %s", (number,)):
        return int(value)
    return None
