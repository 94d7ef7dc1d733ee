"""Direct access to the tables of the lock stores."""

from __future__ import annotations

from contextlib import closing, suppress
from typing import Any

import psycopg
import pymysql

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


def end_all_others(server: SingleServer) -> None:
    """End all connections of clients but the one that asks for it."""
    if server.needed.kind == "postgresql":
        ask(
            server.url,
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
        )
        return
    here = "SELECT id FROM information_schema.processlist WHERE id <> connection_id() AND user = 'root'"
    for (number,) in ask(server.url, here):
        with suppress(pymysql.OperationalError):  # it has ended by itself
            ask(server.url, f"KILL {number}")


def in_transaction(server: SingleServer) -> int:
    """Return how many connections are in a transaction and do nothing."""
    if server.needed.kind == "postgresql":
        where = "pg_stat_activity WHERE state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()"
    else:
        where = "information_schema.innodb_trx WHERE trx_query IS NULL"
    return int(ask(server.url, f"SELECT count(*) FROM {where}")[0][0])
