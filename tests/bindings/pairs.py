"""Two databases, `east` and `west`, with an account of 1000 cents each."""

from __future__ import annotations

import itertools
import os
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg

from ringfence import _mysql
from ringfence.testing.servers import Server

NAMES = ("east", "west")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Pair:
    """The URLs of two databases, by name."""

    east: str
    west: str

    @classmethod
    def on(cls, server: Server, prefix: str = "bound") -> Pair:
        """Make the databases on a server."""
        base = server.url.rpartition("/")[0]
        for name in NAMES:
            _run(server.url, f"DROP DATABASE IF EXISTS {prefix}_{name}")
            _run(server.url, f"CREATE DATABASE {prefix}_{name}")
            url = f"{base}/{prefix}_{name}"
            _run(url, "CREATE TABLE account (id INT PRIMARY KEY, cents INT NOT NULL)")
            _run(url, "INSERT INTO account VALUES (1, 1000)")
        return cls(*(f"{base}/{prefix}_{name}" for name in NAMES))

    @property
    def urls(self) -> dict[str, str]:
        return {"east": self.east, "west": self.west}

    @property
    def engines(self) -> dict[str, str]:
        """The same as URLs of SQLAlchemy."""
        return {name: sqlalchemy_url(url) for name, url in self.urls.items()}

    def reset(self) -> None:
        """Have 1000 cents on both sides."""
        for url in self.urls.values():
            _run(url, "UPDATE account SET cents = 1000")

    def cents(self) -> list[int]:
        """What is committed, in the east and in the west."""
        return [int(_run(url, "SELECT cents FROM account WHERE id = 1")[0][0]) for url in self.urls.values()]

    def moved(self) -> int:
        """How many cents went from east to west; fails unless that happened on both sides or on none."""
        east, west = self.cents()
        assert east + west == 2000, f"half a transaction: {east} and {west}"
        return 1000 - east

    def prepared(self) -> int:
        """How much is prepared on the server."""
        if self.east.startswith("mariadb"):
            return len(_run(self.east, "XA RECOVER"))
        return int(_run(self.east, "SELECT count(*) FROM pg_prepared_xacts")[0][0])


def new_name() -> str:
    """A coordinator's name that no other test has."""
    return f"bound-{os.getpid()}-{next(_numbers)}"


def sqlalchemy_url(url: str) -> str:
    return url.replace("postgresql:", "postgresql+psycopg:").replace("mariadb:", "mariadb+pymysql:")


def connect(url: str) -> Any:
    """Open a connection that waits for locks, but not for ever."""
    if url.startswith("mariadb"):
        return _mysql.connect(url, timeout=30)
    return psycopg.connect(url, autocommit=True, options="-c lock_timeout=30s")


def _run(url: str, sql: str) -> list[Any]:
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []
