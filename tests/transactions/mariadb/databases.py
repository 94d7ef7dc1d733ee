"""Databases in a MariaDB, each with the table `item` in which the tests write, and what a bystander sees in them."""

from __future__ import annotations

import itertools
from contextlib import closing
from typing import Any

import pymysql

from ringfence.testing.servers import MariaDB

_numbers = itertools.count()
ITEMS = "CREATE TABLE item (id INT PRIMARY KEY, value INT NOT NULL) ENGINE = InnoDB"


class Databases:
    """Gives out empty databases, and looks into them.

    Args:
        server: where they are.
        emptied: names of those that are no longer used; to make one takes long.
    """

    def __init__(self, server: MariaDB, emptied: list[str]) -> None:
        self.server = server
        self._emptied = emptied
        self._used: list[str] = []

    def new(self, port: int | None = None) -> str:
        """The URL of an empty database, through another port if need be."""
        name = self._emptied.pop() if self._emptied else self._made()
        self._used.append(name)
        return f"mariadb://root@127.0.0.1:{port or self.server.port}/{name}"

    def give_back(self) -> None:
        """Empty all that were given out, unless something is left prepared in them."""
        self.server.resume()
        self.server.start()
        if not self.prepared():
            for name in self._used:
                tables = [
                    row[0] for row in self.ask(name, "SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'")
                ]
                self.ask(name, *(f"DELETE FROM {table}" for table in tables))
            self._emptied += self._used

    def _made(self) -> str:
        name = f"d{next(_numbers)}"
        self.ask("", f"CREATE DATABASE {name} CHARACTER SET utf8mb4", f"USE {name}", ITEMS)
        return name

    def ask(self, database: str, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements as somebody who knows nothing of ringfence; the rows of the last one."""
        with closing(self.connect(database)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def value(self, url: str, number: int = 1) -> int | None:
        """What is committed under a number."""
        rows = self.ask(name_of(url), f"SELECT value FROM item WHERE id = {number}")
        return int(rows[0][0]) if rows else None

    def prepared(self) -> list[tuple[Any, ...]]:
        """All prepared branches of the server."""
        return self.ask("", "XA RECOVER")

    def connect(self, database: str = "") -> Any:
        """A connection of PyMySQL."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.server.port,
            user="root",
            database=database or None,
            autocommit=True,
            read_timeout=60,
        )


def name_of(url: str) -> str:
    """The database that a URL names."""
    return url.rpartition("/")[2]


def put(branch: Any, value: int, number: int = 1) -> None:
    """Write a value in a branch."""
    branch.execute("REPLACE INTO item VALUES (%s, %s)", (number, value))


def got(branch: Any, number: int = 1) -> int | None:
    """Read a value in a branch."""
    rows = branch.execute("SELECT value FROM item WHERE id = %s", (number,))
    return int(rows[0][0]) if rows else None
