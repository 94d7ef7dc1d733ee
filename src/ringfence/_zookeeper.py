"""ZooKeeper at the edge: kazoo keeps sessions, and its errors are translated here."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ringfence.errors import BackendUnavailable, OutcomeUnknown, StoreError

TIMEOUT = 5.0
"""Seconds to wait for a connection and for each answer; requests of kazoo would wait for ever."""


def connect(hosts: Sequence[str], session: float) -> Any:
    """Return a `kazoo.client.KazooClient` with a session.

    Args:
        hosts: `host:port` of the servers.
        session: seconds after which the servers end the session of a silent client; they have bounds of their own.

    Raises:
        BackendUnavailable: kazoo is not installed, or no server can be reached.
    """
    driver = _driver()
    retry = {"max_tries": -1, "delay": 0.05, "max_delay": 1.0}
    client = driver.client.KazooClient(",".join(hosts), timeout=session, connection_retry=retry)
    try:
        client.start(TIMEOUT)
    except BaseException as error:
        client.close()
        if not isinstance(error, driver.handlers.threading.KazooTimeoutError):
            raise
        raise BackendUnavailable(f"{', '.join(hosts)} cannot be reached within {TIMEOUT:g} s") from error
    return client


def answer(place: str, asked: Any) -> Any:
    """Return the result of an asynchronous request of kazoo, or None if there is no such path.

    Args:
        place: named in errors.
        asked: what kazoo's method returned.

    Raises:
        OutcomeUnknown: there was no answer.
        StoreError: it was refused.
    """
    driver = _driver()
    errors = driver.exceptions
    lost = (errors.ConnectionLoss, errors.OperationTimeoutError, errors.SessionExpiredError)
    try:
        return asked.get(timeout=TIMEOUT)
    except errors.NoNodeError:
        return None
    except (driver.handlers.threading.KazooTimeoutError, *lost) as error:
        raise OutcomeUnknown(f"{place} did not answer ({error!r}); ask again") from error
    except errors.KazooException as error:
        raise StoreError(f"{place} refused ({error!r})") from error


def is_failure(result: Any) -> bool:
    """Say whether an operation of a transaction is the one at which it failed."""
    errors = _driver().exceptions
    aside = (errors.RolledBackError, errors.RuntimeInconsistency)  # those before it, and those behind it
    return isinstance(result, Exception) and not isinstance(result, aside)


def end(client: Any) -> None:
    """End a session, at once if the servers can be reached, and close its client."""
    with suppress(_driver().exceptions.WriterNotClosedException):
        client.stop()
    client.close()


def _driver() -> Any:
    try:
        import kazoo.client
        import kazoo.exceptions
        import kazoo.handlers.threading
    except ImportError as error:
        raise BackendUnavailable("ZooKeeper needs kazoo; install ringfence[zookeeper]") from error
    return kazoo
