"""ZooKeeper at the edge: kazoo keeps sessions, and its errors are translated here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any
from urllib.parse import quote

from ringfence.errors import BackendUnavailable, OutcomeUnknown, StoreError

TIMEOUT = 5.0
"""Seconds to wait for a connection and for each answer; requests of kazoo would wait for ever."""

EPHEMERAL, SEQUENTIAL, CONTAINER = 1, 2, 4


def connect(hosts: Sequence[str], session: float, user: str = "") -> Any:
    """Return a `kazoo.client.KazooClient` with a session.

    Args:
        hosts: `host:port` of the servers.
        session: seconds after which the servers end the session of a silent client; they have bounds of their own,
            and what they agreed to is the client's attribute `agreed`.
        user: `name:password` to tell the servers (scheme `digest`); what is made is for this user alone then.

    Raises:
        BackendUnavailable: kazoo is not installed, or no server can be reached.
    """
    driver = _driver()
    client = driver.client.KazooClient(",".join(hosts), timeout=session, **_settings(driver, user))
    _mind_handshakes(client)
    try:
        client.start(TIMEOUT)
    except BaseException as error:
        client.close()
        if not isinstance(error, driver.handlers.threading.KazooTimeoutError):
            raise
        raise BackendUnavailable(f"{', '.join(hosts)} cannot be reached within {TIMEOUT:g} s") from error
    return client


def _settings(driver: Any, user: str) -> dict[str, Any]:
    retry = {"max_tries": -1, "delay": 0.05, "max_delay": 1.0}
    if not user:
        return {"connection_retry": retry}
    mine = driver.security.make_digest_acl(*user.split(":", 1), all=True)
    return {"connection_retry": retry, "auth_data": [("digest", user)], "default_acl": [mine]}


def _mind_handshakes(client: Any) -> None:
    """Note the length of session that the servers agree to, which kazoo keeps to itself, and wait less for them.

    kazoo would wait for as long as a session lasts, and a server that is starting may never answer.
    """
    connection = client._connection
    invoke = connection._invoke

    def minding(timeout: float, request: Any, xid: int | None = None) -> Any:
        if not hasattr(request, "time_out"):
            return invoke(timeout, request, xid)
        reply = invoke(min(timeout, TIMEOUT), request, xid)
        if reply[0].time_out > 0:  # the session is not over
            client.agreed = reply[0].time_out / 1000
        return reply

    connection._invoke = minding


def create(client: Any, path: str, value: bytes, flags: int) -> Any:
    """Ask for a node. kazoo's own method knows no containers, and hands each answer to another thread once more.

    Args:
        client: a client of kazoo.
        path: absolute.
        value: what is in the node.
        flags: `EPHEMERAL | SEQUENTIAL`, or `CONTAINER`: the servers remove it some time after its last child.

    Returns:
        What `answer` takes, and makes the path and the stat of the node of.
    """
    kazoo = _driver()
    acl = client.default_acl or kazoo.security.OPEN_ACL_UNSAFE
    made = client.handler.async_result()
    client._call(_create_request(flags)(path, value, acl, flags), made)
    return made


@cache
def _create_request(flags: int) -> Any:
    create = _driver().protocol.serialization.Create2
    return type("CreateContainer", (create,), {"type": 19}) if flags == CONTAINER else create


def sync(client: Any, path: str) -> None:
    """Have the server catch up with its leader before it answers what is asked next."""
    client._call(_driver().protocol.serialization.Sync(path), client.handler.async_result())


def watch(client: Any, path: str, gone: Callable[[], object]) -> None:
    """Have `gone` called by a thread of kazoo when a node is gone, changed, or no longer watched; it must not wait."""
    request = _driver().protocol.serialization.Exists(path, lambda _: gone())
    client._call(request, _WhenMissing(gone))


class _WhenMissing:
    """Takes kazoo's answer whether a node is there in the thread that reads it, instead of waking another for it."""

    def __init__(self, gone: Callable[[], object]) -> None:
        self._gone = gone

    def set(self, stat: Any) -> None:
        if stat is None:
            self._gone()

    def set_exception(self, _: Exception) -> None:
        self._gone()


def node_name(text: str) -> str:
    """Return what a node is called after a name of ours: no slash is left, and it is neither `.` nor `..`."""
    return quote(text, safe="").replace(".", "%2E")


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
        import kazoo.protocol.serialization
        import kazoo.security
    except ImportError as error:
        raise BackendUnavailable("ZooKeeper needs kazoo; install ringfence[zookeeper]") from error
    return kazoo
