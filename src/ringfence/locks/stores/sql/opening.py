"""From a URL of a database to a lock store in it; `?mode=` says which."""

from __future__ import annotations

from functools import partial
from urllib.parse import parse_qsl, urlencode, urlsplit

from ringfence import _mysql, _postgresql
from ringfence.errors import InvalidValue
from ringfence.locks.stores import LockStore
from ringfence.locks.stores.sql import row_dialects, session_dialects
from ringfence.locks.stores.sql.mariadb import MariaConnection
from ringfence.locks.stores.sql.postgresql import PostgresConnection
from ringfence.locks.stores.sql.row_store import RowStore
from ringfence.locks.stores.sql.session_store import SessionStore

SCHEMES = (*_postgresql.SCHEMES, *_mysql.SCHEMES)
MODES = ("row", "session")


def open_sql_store(url: str) -> LockStore:
    """Return the lock store that the URL of a database names; nothing is connected yet.

    Raises:
        BackendUnavailable: the driver is not installed.
        InvalidValue: the driver does not understand the URL, or the mode is unknown.
    """
    mode, rest = without_mode(url)
    if urlsplit(url).scheme in _postgresql.SCHEMES:
        return _in_postgresql(mode, rest)
    return _in_mariadb(mode, rest)


def _in_postgresql(mode: str, url: str) -> LockStore:
    _postgresql.parse(url)
    if mode == "row":
        return RowStore(partial(PostgresConnection, url), row_dialects.POSTGRESQL)
    connect = partial(PostgresConnection, url, prepares=True)
    return SessionStore(connect, session_dialects.POSTGRESQL, session_dialects.number_key)


def _in_mariadb(mode: str, url: str) -> LockStore:
    database = _mysql.parse(url).get("database", "")
    connect = partial(MariaConnection, url)
    if mode == "row":
        return RowStore(connect, row_dialects.MARIADB)
    return SessionStore(connect, session_dialects.MARIADB, partial(session_dialects.text_key, database))


def without_mode(url: str) -> tuple[str, str]:
    """Split a URL into the mode it asks for and what the driver takes.

    Raises:
        InvalidValue: the mode is unknown.
    """
    place, _, query = url.partition("?")
    options = parse_qsl(query, keep_blank_values=True)
    modes = [value for name, value in options if name == "mode"] or ["row"]
    if modes[-1] not in MODES:
        raise InvalidValue(f"the mode of a lock store is one of {', '.join(MODES)}, not {modes[-1]!r}")
    others = urlencode([option for option in options if option[0] != "mode"])
    return modes[-1], f"{place}?{others}" if others else place
