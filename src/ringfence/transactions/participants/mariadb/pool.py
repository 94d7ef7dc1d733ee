"""Sessions that are kept for the next branch, and how they are set up."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Callable
from typing import Any, TypeAlias

from ringfence._mysql.session import AioSession, Session, open_aio_session, open_session

_KEPT = 32
"""How many idle sessions are kept open at most."""

_IDLE = 600
"""Seconds after which the server ends a session that stands still in a transaction: its process, or the network to
it, is gone without a word. (MariaDB only; MySQL has no such limit.)"""


Setup: TypeAlias = Callable[[str], tuple[str, ...]]
"""The statements that set a session up, which is to be known by a token."""


def for_branches(timeout: float) -> Setup:
    """What sessions of branches are set to.

    Without autocommit a statement that reaches no branch, because `XA START` failed, changes nothing. The lock that is
    called like the token says which of the server's sessions it is, as long as that one lives.
    """
    return lambda token: (
        f"SET SESSION autocommit = 0, {_limits(timeout)}, SESSION session_track_transaction_info = 'STATE', "
        f"@ringfence = GET_LOCK('{token}', 0) /*M!100303 , SESSION idle_transaction_timeout = {_IDLE} */",
    )


def for_requests(timeout: float) -> Setup:
    """What sessions are set to that ask for one thing at a time, and see what others have committed."""
    return lambda _: (
        f"SET SESSION autocommit = 1, {_limits(timeout)}",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    )


def _limits(timeout: float) -> str:
    seconds = max(1, math.ceil(timeout))
    return f"SESSION innodb_lock_wait_timeout = {seconds}, SESSION lock_wait_timeout = {seconds}"


class Idle:
    """Idle sessions; those of the process it was forked from are not among them."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._sessions: list[Any] = []
        self._closed = False

    def take(self) -> Any | None:
        """One that can be used, if any."""
        if self._process != os.getpid():
            self._process, self._sessions = os.getpid(), []
        while self._sessions:
            session = self._sessions.pop()
            if session.is_sound():
                return session
            session.close()
        return None

    def give(self, session: Session) -> None:
        """Keep one for the next, if it is in no transaction."""
        if session.is_idle() and not self._closed and len(self._sessions) < _KEPT:
            self._sessions.append(session)
        else:
            session.close()

    def close(self) -> None:
        """Close all, and those that are given back later."""
        self._closed = True
        while self._sessions:
            self._sessions.pop().close()


class Pool(Idle):
    """Sessions for threads."""

    def __init__(self, url: str, patience: float, setup: Setup) -> None:
        super().__init__()
        self._how = (url, patience)
        self._setup = setup

    def session(self) -> Session:
        """One that is idle, or a new one.

        Raises:
            BackendUnavailable: the server cannot be reached.
        """
        session: Session | None = self.take()
        if session is None:
            token = new_token()
            session = open_session(*self._how, self._setup(token))
            session.token = token
        return session


class AioPool(Idle):
    """Sessions for tasks."""

    def __init__(self, url: str, patience: float, setup: Setup) -> None:
        super().__init__()
        self._how = (url, patience)
        self._setup = setup

    async def session(self) -> AioSession:
        """One that is idle, or a new one; see `Pool.session`."""
        session: AioSession | None = self.take()
        if session is None:
            token = new_token()
            session = await open_aio_session(*self._how, self._setup(token))
            session.token = token
        return session


def new_token() -> str:
    """A name that no other session has."""
    return f"ringfence.{secrets.token_hex(16)}"
