"""Which drivers' connections can be branches, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ringfence._url import sqlite_path
from ringfence.bindings.lent import Shelf
from ringfence.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class Kind:
    """A driver.

    Attributes:
        scheme: of the URL of a database that it is for.
        open: makes the participant, of that URL, a timeout and a shelf.
    """

    scheme: str
    open: Callable[[str, float, Shelf], Any]


def of(driver: str, asynchronous: bool = False) -> Kind:
    """How connections of a driver become branches; what the library needs for it is imported now.

    Raises:
        InvalidValue: they cannot.
    """
    match driver.removesuffix("_async"), asynchronous:
        case "psycopg", False:
            from ringfence.bindings.postgresql import PostgresOnLent

            return Kind("postgresql", PostgresOnLent)
        case "psycopg", True:
            from ringfence.bindings.postgresql import AsyncPostgresOnLent

            return Kind("postgresql", AsyncPostgresOnLent)
        case "pymysql", False:
            from ringfence.bindings.mariadb import MariaOnLent

            return Kind("mariadb", MariaOnLent)
        case "asyncmy", True:
            from ringfence.bindings.mariadb import AsyncMariaOnLent

            return Kind("mariadb", AsyncMariaOnLent)
        case "pysqlite", False:
            from ringfence.bindings.sqlite import SqliteOnLent

            return Kind("sqlite", lambda url, timeout, shelf: SqliteOnLent(sqlite_path(url), timeout, shelf))
    raise InvalidValue(
        f"connections of {driver!r} cannot be branches; use psycopg, pymysql, asyncmy or sqlite3"
    )
