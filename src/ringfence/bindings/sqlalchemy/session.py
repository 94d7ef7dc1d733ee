"""Sessions whose commit happens on all of their engines, or on none."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import Connection, event, orm
from sqlalchemy.ext import asyncio

from ringfence import aio
from ringfence.bindings.sqlalchemy.joined import AsyncJoined, Joined
from ringfence.errors import InvalidValue
from ringfence.transactions import TransactionManager


class Session(orm.Session):
    """A `sqlalchemy.orm.Session` that commits through a transaction manager, instead of `twophase=True`.

    What a session does otherwise stays as it is: flush, savepoints, events, the pools of its engines. Its `commit`
    may raise `Aborted`, `InDoubt` and `HeuristicOutcome`; after any of them call `rollback`, as after other errors.

    Args:
        manager: among its participants is a `participant` for each engine that the session uses.
        options: those of `sqlalchemy.orm.Session`.

    Attributes:
        gid: the global id of the transaction at work, or else of the last one; for `manager.outcome`.
    """

    joined: ClassVar[type[Joined]] = Joined

    def __init__(
        self, bind: Any = None, *, manager: TransactionManager | aio.TransactionManager, **options: Any
    ) -> None:
        if options.get("twophase"):
            raise InvalidValue("this session commits through ringfence; leave twophase=True out")
        if manager.ack != "applied":
            raise InvalidValue(
                "a session needs its connections back when it has committed; use ack='applied'"
            )
        super().__init__(bind, **options)
        self.manager = manager
        self.gid: str | None = None
        self._joined: Joined | None = None

    @property
    def tx(self) -> Any:
        """The transaction at work: `tx.guard(lease)`, and `tx[name]` for participants that are no engines.

        Raises:
            InvalidValue: none is; it begins with the first statement.
        """
        if self._joined is None:
            raise InvalidValue("no transaction is at work; it begins with the session's first statement")
        return self._joined.transaction

    def join(self, connection: Connection) -> None:
        """Make a connection that the session begins to use a branch of its transaction."""
        if self._joined is None:
            self._joined = self.joined(self.manager, connection)
            self.gid = self._joined.gid
        self._joined.add(connection)

    def leave(self) -> None:
        """The session's transaction is over."""
        self._joined = None


@event.listens_for(Session, "after_begin")
def _begun(session: Session, transaction: orm.SessionTransaction, connection: Connection) -> None:
    if not transaction.nested:
        session.join(connection)


@event.listens_for(Session, "after_transaction_end")
def _ended(session: Session, transaction: orm.SessionTransaction) -> None:
    if transaction.parent is None:
        session.leave()


class _Inner(Session):
    """The session inside of an `AsyncSession`."""

    joined = AsyncJoined


class AsyncSession(asyncio.AsyncSession):
    """A `sqlalchemy.ext.asyncio.AsyncSession` that commits through an `aio.TransactionManager`; see `Session`.

    A task that is cancelled while it commits is told so when the commit has come to its end; `manager.outcome(gid)`
    says which.

    Args:
        manager: among its participants is a `participant` for each engine that the session uses.
        options: those of `sqlalchemy.ext.asyncio.AsyncSession`.
    """

    sync_session_class = _Inner

    def __init__(self, bind: Any = None, *, manager: aio.TransactionManager, **options: Any) -> None:
        super().__init__(bind, manager=manager, **options)

    @property
    def gid(self) -> str | None:
        """The global id of the transaction at work, or else of the last one."""
        assert isinstance(self.sync_session, _Inner)
        return self.sync_session.gid

    @property
    def tx(self) -> Any:
        """The transaction at work, an `aio` one; see `Session.tx`."""
        assert isinstance(self.sync_session, _Inner)
        return self.sync_session.tx
