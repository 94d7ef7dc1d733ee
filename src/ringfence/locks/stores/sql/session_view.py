"""What the server tells of locks, whoever holds them, and how a session that does not let go is ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from ringfence.errors import StoreError, StoreTimeout
from ringfence.locks import rules
from ringfence.locks.stores import Holder, Status
from ringfence.locks.stores.sql.lines import Place
from ringfence.locks.stores.sql.session_dialects import GRACE, SessionDialect
from ringfence.locks.stores.sql.sessions import Sessions
from ringfence.locks.stores.sql.state import by_name
from ringfence.protocol import now

GLANCE = 0.001
"""Seconds between two looks at what is about to happen in the server."""

_SOON = 0.05


class View:
    """What the server tells of locks.

    Args:
        sessions: the connections.
        dialect: the statements.
        key: makes the key of the advisory lock from a name.
        timeout: seconds to wait for what is about to happen.
    """

    def __init__(
        self, sessions: Sessions, dialect: SessionDialect, key: Callable[[str], object], timeout: float
    ) -> None:
        self._sessions = sessions
        self._dialect = dialect
        self._key = key
        self._timeout = timeout

    def status(self, name: str) -> Status:
        """Return who holds a lock; the databases do not tell who waits."""
        until = now() + self._timeout
        while (found := self._holder(name)) is not None:
            session, noted, owner, fence, left = found
            if session == noted:
                held = (Holder(name, owner, fence, left / 1e6),) if owner and left > 0 else ()
                return Status(held, ())
            if now() > until:
                raise StoreTimeout(f"{name!r} is changing hands; ask again")
            time.sleep(GLANCE)  # who was granted it just now is about to be noted
        return Status((), ())

    def leases(self) -> list[Holder]:
        """Return all leases there are, by name."""
        rows = self._sessions.ask_main(self._dialect.leases).rows
        held = [Holder(name, owner, fence, left / 1e6) for name, owner, fence, left in rows if left > 0]
        return by_name([holder for holder in held if holder.owner])

    def watch(self, name: str) -> tuple[int | None, float]:
        """Return which session has a lock, and in how many seconds to ask again: when it must have given up.

        The session of one that has not is ended.
        """
        found = self._holder(name)
        if found is None:
            return None, _SOON
        session, noted, _, _, left = found
        if session != noted:  # it is changing hands
            return session, _SOON
        if left < -GRACE and session not in {line.number for line in self._sessions.all()}:
            with suppress(StoreError):  # it has ended, or belongs to another user
                self.end(session)
        return session, max(min((left + GRACE) / 1e6, rules.ASK_AGAIN), _SOON)

    def strike_out(self, name: str, owner: str, fence: int) -> bool:
        """Take a holder out of its row, so that it lets go at its next renewal; say whether it was the holder."""
        found = self._holder(name)
        if found is None or found[0] != found[1] or not rules.is_holder(found[2], found[3], owner, fence):
            return False
        return bool(self._sessions.ask_main(self._dialect.strike_out, name, owner, fence).changed)

    def end(self, session: int) -> None:
        """End a session, and return when it has let go of its locks."""
        until = now() + self._timeout
        self._sessions.ask_main(self._dialect.end, session)
        while self._sessions.ask_main(self._dialect.lives, session).rows and now() < until:
            time.sleep(GLANCE)

    def await_place(self, place: Place) -> None:
        """Return when the server has put who waits into the queue, or granted the lock."""
        until = now() + self._timeout
        while place.line.place is place and now() < until:
            if self._sessions.ask_main(self._dialect.waits, place.line.number).rows:
                return
            time.sleep(GLANCE)

    def _holder(self, name: str) -> tuple[int, int | None, str, int, int] | None:
        """Return the session that has a lock; and session, owner, fence and time left as they are noted."""
        rows = self._sessions.ask_main(self._dialect.holder, name, self._key(name)).rows
        return rows[0] if rows else None
