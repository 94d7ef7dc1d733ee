"""Engines as participants, and what the events of their connections tell."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine

from ringfence.bindings import kinds
from ringfence.bindings.lent import LentParticipant, Shelf
from ringfence.bindings.notes import Notes
from ringfence.errors import InvalidValue

End = Callable[[str], None]


def participant(
    engine: Engine | AsyncEngine, *, url: str | None = None, timeout: float = 5.0
) -> LentParticipant:
    """Return an engine as a participant; of an `AsyncEngine`, for `aio.TransactionManager`.

    Args:
        engine: for PostgreSQL (psycopg), MariaDB or MySQL (pymysql, asyncmy) or SQLite.
        url: where recovery opens connections of its own; that of the engine unless it is given.
        timeout: seconds that those wait for other transactions.

    Raises:
        InvalidValue: connections of its driver cannot be branches.
    """
    inner = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    kind = kinds.of(inner.driver, inner.dialect.is_async)
    url = url or inner.url.set(drivername=kind.scheme).render_as_string(hide_password=False)
    made: LentParticipant = kind.open(url, timeout, Shelf())
    made.owner = _watch(inner)
    return made


class Watch:
    """Listens to an engine, and tells the branches on its connections what happens there.

    Args:
        engine: the engine.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = weakref.ref(engine)
        self._watched: dict[Connection, tuple[Notes, End]] = {}
        event.listen(engine, "before_cursor_execute", self._statement)
        event.listen(engine, "handle_error", self._error)
        event.listen(engine, "commit", self._commit)
        event.listen(engine, "rollback", self._rollback)

    def serves(self, engine: Engine) -> bool:
        """Is this its engine, or one with other options over the same pool?"""
        own = self._engine()
        return own is not None and engine.pool is own.pool

    def add(self, connection: Connection, notes: Notes, end: End) -> None:
        """Watch a connection.

        Args:
            connection: the connection.
            notes: of the branch on it.
            end: called with "commit" or "rollback" before the application does that.
        """
        self._watched[connection] = notes, end

    def remove(self, connection: Connection) -> None:
        """Watch it no more."""
        self._watched.pop(connection, None)

    def _statement(
        self,
        connection: Connection,
        _cursor: Any,
        statement: str,
        _parameters: Any,
        _context: Any,
        _many: bool,
    ) -> None:
        if connection in self._watched:
            self._watched[connection][0].run(statement)

    def _error(self, context: Any) -> None:
        if context.connection in self._watched and not isinstance(context.original_exception, InvalidValue):
            self._watched[context.connection][0].fail(context.original_exception)

    def _commit(self, connection: Connection) -> None:
        self._end("commit", connection)

    def _rollback(self, connection: Connection) -> None:
        self._end("rollback", connection)

    def _end(self, how: str, connection: Connection) -> None:
        if connection in self._watched:
            self._watched[connection][1](how)


def _watch(engine: Engine) -> Watch:
    """The one watch of an engine, however many participants it is."""
    if engine not in _watches:
        _watches[engine] = Watch(engine)
    return _watches[engine]


_watches: weakref.WeakKeyDictionary[Engine, Watch] = weakref.WeakKeyDictionary()
