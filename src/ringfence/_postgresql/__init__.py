"""PostgreSQL at the edge: psycopg opens connections, and its errors are translated here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ringfence._url import split
from ringfence.errors import BackendUnavailable, InvalidValue, OutcomeUnknown, StoreError, StoreTimeout

SCHEMES = ("postgresql", "postgres")

_OTHERS = ("40001", "40P01", "55P03")  # serialization failure, deadlock, lock timeout
_NOT_OURS = ("25P01", "25P02", "3B001")  # no transaction, a failed one, no such savepoint


def connect(url: str, *, timeout: float) -> Any:
    """Return a `psycopg.Connection` in autocommit mode.

    Args:
        url: `postgresql://user:password@host:port/database`, with the options of libpq.
        timeout: seconds to wait for it; 2 at least.

    Raises:
        BackendUnavailable: psycopg is not installed, or the server cannot be reached.
        InvalidType: `url` is not a string.
        InvalidValue: it is no URL of PostgreSQL.
    """
    with opening(url):
        return driver().connect(url, autocommit=True, connect_timeout=patience(timeout))


def patience(timeout: float) -> int:
    """Return how long libpq waits for a connection: whole seconds, 2 at least."""
    return max(2, math.ceil(timeout))


@contextmanager
def opening(url: str) -> Iterator[None]:
    """Translate the errors of connecting to a URL.

    Raises:
        BackendUnavailable: psycopg is not installed, or the server cannot be reached.
        InvalidType: `url` is not a string.
        InvalidValue: it is no URL of PostgreSQL.
    """
    split(url, SCHEMES)
    psycopg = driver()
    try:
        yield
    except psycopg.OperationalError as error:
        raise BackendUnavailable(
            f"PostgreSQL cannot be reached ({error}); see that a server runs there and that the URL fits it"
        ) from error
    except psycopg.ProgrammingError as error:
        raise InvalidValue(f"libpq does not understand the URL ({error})") from error


def shown(url: str) -> str:
    """Return what to call the database of a URL, without its secrets; raises what `parse` does."""
    told = parse(url)
    return f"PostgreSQL {told.get('host', 'localhost')}:{told.get('port', 5432)}/{told.get('dbname', '')}"


def parse(url: str) -> dict[str, Any]:
    """Return what libpq understands of a URL.

    Raises:
        BackendUnavailable: psycopg is not installed.
        InvalidType: `url` is not a string.
        InvalidValue: it is no URL of PostgreSQL.
    """
    split(url, SCHEMES)
    psycopg = driver()
    try:
        return dict(psycopg.conninfo.conninfo_to_dict(url))
    except psycopg.ProgrammingError as error:
        raise InvalidValue(f"libpq does not understand the URL ({error})") from error


def is_connection(thing: object) -> bool:
    """Return whether something is a connection of psycopg."""
    return isinstance(thing, driver().Connection)


def is_idle(connection: Any) -> bool:
    """Return whether a connection is in no transaction."""
    return bool(connection.info.transaction_status == driver().pq.TransactionStatus.IDLE)


def tuples() -> Any:
    """Return what makes a cursor give rows as tuples, whatever those of its connection are."""
    return driver().rows.tuple_row


@contextmanager
def transaction(connection: Any) -> Iterator[None]:
    """Run a transaction of its own; an exception rolls back.

    Raises:
        BackendUnavailable: the connection broke while it began.
        OutcomeUnknown: it broke while committing.
        StoreTimeout: it was in conflict with another one; nothing was changed.
        StoreError: the block has committed or rolled back itself, or went on after a statement that failed.
    """
    with ExitStack() as stack:
        with translating():
            stack.enter_context(connection.transaction())
            stack.enter_context(
                connection.transaction("ringfence")
            )  # goes with the first one, so both end here
        yield
        with translating(committing=True):
            stack.close()


@contextmanager
def translating(*, committing: bool = False) -> Iterator[None]:
    """Raise errors of the server, the connection and the transaction as our own; those of the SQL pass unchanged."""
    psycopg = driver()
    try:
        yield
    except psycopg.Error as error:
        raise _translated(error, committing) or error from error


def _translated(error: Any, committing: bool) -> StoreError | None:
    if error.sqlstate in _OTHERS:
        return StoreTimeout(f"another transaction stood in the way ({error}); nothing was changed, try again")
    if error.sqlstate in _NOT_OURS:
        return StoreError(
            f"the transaction did not end with its block ({error}); leave commit and rollback to the block"
        )
    if not isinstance(error, driver().OperationalError):
        return None
    if committing:
        return OutcomeUnknown(
            f"PostgreSQL did not answer the commit ({error}); it may or may not have happened"
        )
    return BackendUnavailable(f"the connection to PostgreSQL broke ({error}); nothing was changed")


def driver() -> Any:
    """Return psycopg.

    Raises:
        BackendUnavailable: it is not installed.
    """
    try:
        import psycopg
    except ImportError as error:
        raise BackendUnavailable("PostgreSQL needs psycopg; install ringfence[postgresql]") from error
    return psycopg
