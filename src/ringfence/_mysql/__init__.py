"""MariaDB and MySQL at the edge: PyMySQL opens connections, and its errors are translated here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ringfence._url import split
from ringfence.errors import BackendUnavailable, InvalidValue, OutcomeUnknown, StoreError, StoreTimeout

SCHEMES = ("mariadb", "mysql")

GUARD_TABLE = """CREATE TABLE IF NOT EXISTS ringfence_guard
    (resource VARBINARY(255) PRIMARY KEY, fence BIGINT NOT NULL) ENGINE = InnoDB"""
"""The marks of guards: the highest fence that has written, of each resource."""

_OTHERS = (1020, 1205, 1213)  # record has changed, lock wait timeout, deadlock
_NO_SAVEPOINT = 1305
_IN_TRANSACTION = 1  # SERVER_STATUS_IN_TRANS


def connect(url: str, *, timeout: float, answer: float | None = None, flags: int = 0) -> Any:
    """Return a `pymysql.Connection` in autocommit mode.

    Args:
        url: `mariadb://user:password@host:port/database` or `mysql://…`; `?unix_socket=/path` names a socket.
        timeout: seconds to wait for it.
        answer: seconds to wait for each answer; None waits for ever.
        flags: more of the client's flags.

    Raises:
        BackendUnavailable: PyMySQL is not installed, or the server cannot be reached.
        InvalidType: `url` is not a string.
        InvalidValue: it is no URL of MariaDB.
    """
    parameters = parse(url)
    driver = _driver()
    try:
        return driver.connect(
            **parameters,
            autocommit=True,
            charset="utf8mb4",
            connect_timeout=timeout,
            read_timeout=answer,
            write_timeout=answer,
            client_flag=flags,
        )
    except driver.OperationalError as error:
        raise BackendUnavailable(
            f"MariaDB cannot be reached ({error}); see that a server runs there and that the URL fits it"
        ) from error


def parse(url: str) -> dict[str, Any]:
    """Return what a URL says, as arguments of `pymysql.connect`.

    Raises:
        InvalidType: `url` is not a string.
        InvalidValue: it is no URL of MariaDB, or has unknown options.
    """
    split(url, SCHEMES)
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    socket = options.pop("unix_socket", None)
    if options:
        raise InvalidValue(f"a URL of MariaDB has the option unix_socket only, not {', '.join(options)}")
    found = {
        "host": parts.hostname,
        "port": parts.port,
        "user": parts.username and unquote(parts.username),
        "password": parts.password and unquote(parts.password),
        "database": unquote(parts.path.removeprefix("/")),
        "unix_socket": socket,
    }
    return {name: value for name, value in found.items() if value}


def is_connection(thing: object) -> bool:
    """Return whether something is a connection of PyMySQL."""
    return isinstance(thing, _driver().connections.Connection)


def is_idle(connection: Any) -> bool:
    """Return whether a connection is in no transaction."""
    return not connection.server_status & _IN_TRANSACTION


def errors() -> Any:
    """Return the class of the driver's errors."""
    return _driver().Error


def lost(code: int, text: str) -> Any:
    """Return the driver's error for a connection that broke."""
    return _driver().OperationalError(code, text)


def tuples() -> Any:
    """Return the kind of cursor that gives rows as tuples, whatever that of its connection is."""
    return _driver().cursors.Cursor


@contextmanager
def transaction(connection: Any) -> Iterator[None]:
    """Run a transaction of its own; an exception rolls back.

    Raises:
        BackendUnavailable: the connection broke while it began.
        OutcomeUnknown: it broke while committing.
        StoreTimeout: it was in conflict with another one; nothing was changed.
        StoreError: the block has committed or rolled back itself, as statements that define tables do.
    """
    with translating(), connection.cursor() as cursor:
        connection.begin()
        cursor.execute("SAVEPOINT ringfence")  # goes with the transaction, so both end here
    try:
        yield
        with translating(committing=True), connection.cursor() as cursor:
            cursor.execute("RELEASE SAVEPOINT ringfence")
            connection.commit()
    except BaseException:
        with _broken_ignored():
            connection.rollback()
        raise


@contextmanager
def translating(*, committing: bool = False) -> Iterator[None]:
    """Raise errors of the server, the connection and the transaction as our own; those of the SQL pass unchanged."""
    driver = _driver()
    try:
        yield
    except driver.Error as error:
        raise _translated(error, committing) or error from error


def _translated(error: Any, committing: bool) -> StoreError | None:
    code = error.args[0] if error.args else 0
    if code in _OTHERS:
        return StoreTimeout(f"another transaction stood in the way ({error}); nothing was changed, try again")
    if code == _NO_SAVEPOINT:
        return StoreError(
            f"the transaction did not end with its block ({error}); leave commit and rollback to the block"
        )
    if not isinstance(error, _driver().OperationalError | _driver().InterfaceError):
        return None
    if committing:
        return OutcomeUnknown(f"MariaDB did not answer the commit ({error}); it may or may not have happened")
    return BackendUnavailable(f"the connection to MariaDB broke ({error}); nothing was changed")


@contextmanager
def _broken_ignored() -> Iterator[None]:
    """A connection that is broken has rolled back by itself, and its error is under way."""
    try:
        yield
    except _driver().Error:
        pass


def _driver() -> Any:
    try:
        import pymysql
    except ImportError as error:
        raise BackendUnavailable("MariaDB needs PyMySQL; install ringfence[mysql]") from error
    return pymysql
