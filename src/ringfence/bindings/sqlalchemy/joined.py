"""The transaction that the connections of a session have joined."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

from sqlalchemy import Connection

from ringfence.bindings.sqlalchemy.engines import Watch
from ringfence.errors import InvalidValue

T = TypeVar("T")


class Joined:
    """A transaction whose branches are the connections of a session.

    Args:
        manager: the transaction manager.
        connection: the first connection.

    Attributes:
        transaction: the manager's transaction.
        gid: its global id.
    """

    def __init__(self, manager: Any, connection: Connection) -> None:
        self._manager = manager
        self._adapted: Any = connection.connection.dbapi_connection
        self.transaction = self._start()
        self.gid: str = self.transaction.gid
        self._joined: list[tuple[Any, Connection]] = []
        self._over = False

    def add(self, connection: Connection) -> None:
        """Begin a branch on a connection; one that cannot is closed, so that nothing runs beside the transaction."""
        try:
            name, participant = self._serving(connection)
            participant.lend(self.gid, connection.connection.driver_connection, _ignore)
            branch = self._begin(name)
        except BaseException:
            connection.invalidate()
            raise
        self._joined.append((participant, connection))
        participant.owner.add(connection, branch.notes, self._end)

    def _serving(self, connection: Connection) -> tuple[str, Any]:
        for name, participant in self._manager.participants.items():
            watch = getattr(participant, "owner", None)
            if isinstance(watch, Watch) and watch.serves(connection.engine):
                return name, participant
        raise InvalidValue(
            f"{connection.engine!r} is no participant of this session's manager; add participant(engine)"
        )

    def _end(self, how: str) -> None:
        """The session is about to end the transaction of its first connection: end all of them, once."""
        if self._over:
            return
        self._over = True
        drop = _invalidate
        try:
            self._finish(how)
            drop = _spend if how == "commit" else drop
        finally:
            for participant, joined in self._joined:
                participant.owner.remove(joined)
                participant.take_back(self.gid)
                if not joined.invalidated and not participant.is_open(joined.connection.driver_connection):
                    drop(joined)

    def _start(self) -> Any:
        return self._manager.transaction()

    def _begin(self, name: str) -> Any:
        return self.transaction[name]

    def _finish(self, how: str) -> None:
        getattr(self.transaction, how)()


class AsyncJoined(Joined):
    """The same in the greenlet of an `AsyncSession`, where a connection can wait for coroutines."""

    def _start(self) -> Any:
        return self._wait(self._manager.transaction().__aenter__())

    def _begin(self, name: str) -> Any:
        return self._wait(self.transaction.branch(name))

    def _finish(self, how: str) -> None:
        for participant, _ in self._joined if how == "commit" else ():
            self._wait(participant.look(self.gid))
        self._wait(getattr(self.transaction, how)())

    def _wait(self, awaitable: Awaitable[T]) -> T:
        result: T = self._adapted.run_async(lambda _: awaitable)
        return result


class _Spent:
    """Stands for a connection that broke once all was decided, where the session goes on to commit it."""

    def commit(self) -> None:
        """It is committed."""

    rollback = commit


def _spend(connection: Connection) -> None:
    """Let the session end its transaction on a connection that broke; the pool opens another one in its place."""
    pooled: Any = connection.connection
    pooled.invalidate(soft=True)
    pooled.dbapi_connection = _Spent()


def _invalidate(connection: Connection) -> None:
    connection.invalidate()


def _ignore(_: bool) -> None:
    """The session knows when its connections are in use no more."""
