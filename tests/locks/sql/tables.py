"""Direct access to the tables of the lock stores."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg

from ringfence import _mysql
from ringfence.testing.proxy import Proxy
from ringfence.testing.servers.single import SingleServer

TABLES = ("ringfence_lock", "ringfence_session")


def connect(url: str) -> Any:
    """Return a connection of the driver."""
    if url.startswith("postgresql"):
        return psycopg.connect(url, autocommit=True)
    return _mysql.connect(url, timeout=30)


def ask(url: str, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Carry out a statement on a connection of its own, and return what it found."""
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall()) if cursor.description else []


def empty(url: str) -> None:
    """Remove the tables, for the next test."""
    for table in TABLES:
        ask(url, f"DROP TABLE IF EXISTS {table}")


def through(proxy: Proxy, server: SingleServer, options: str = "") -> str:
    """Return the URL of a server that leads through a proxy."""
    return server.url.replace(f":{server.port}/", f":{proxy.port}/") + options
