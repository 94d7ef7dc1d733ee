"""What participants on connections of the application have in common, whatever the database.

Such a participant is the ordinary one, with connections of its own for recovery and for branches whose connection
broke. Only where the statements of a branch run is another matter: on a connection that the application lends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ringfence.errors import InvalidValue
from ringfence.transactions.participants import Participant

Returned = Callable[[bool], None]
"""Called once a connection is in use no more, with whether it can be used again."""


class LentParticipant(Participant, Protocol):
    """A participant whose branches run on connections of the application; for asyncio its methods are coroutines.

    Attributes:
        owner: whose connections these are, as the binding wants it.
    """

    owner: Any

    def lend(self, gid: str, connection: Any, returned: Returned) -> None:
        """Give the connection on which `begin` starts the branch of `gid`; it is in no transaction."""

    def look(self, gid: str) -> Any:
        """Find out whether the branch of `gid` has written, where only the server can say."""

    def take_back(self, gid: str) -> None:
        """Nobody waits for the branch of `gid` any more: a connection that is still in it is closed."""


class Shelf:
    """The connections that were lent and in which no branch was begun yet.

    Args:
        borrow: gets a connection of the application where none was lent, and how it goes back.
    """

    def __init__(self, borrow: Callable[[], tuple[Any, Returned]] | None = None) -> None:
        self._lent: dict[str, tuple[Any, Returned]] = {}
        self._borrow = borrow

    def put(self, gid: str, connection: Any, returned: Returned) -> None:
        """Keep one for the branch of `gid`."""
        self._lent[gid] = connection, returned

    def take(self, gid: str) -> tuple[Any, Returned]:
        """The one for the branch of `gid`.

        Raises:
            InvalidValue: there is none.
        """
        if gid in self._lent:
            return self._lent.pop(gid)
        if self._borrow is None:
            raise InvalidValue(
                "the branches of this participant are begun by the session that owns its connections"
            )
        return self._borrow()


class Pool:
    """A pool that gives what was lent back to its owner instead of keeping it.

    Args:
        pool: where the other connections come from and go to.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def give(self, connection: Any) -> None:
        """Take back one of the pool's own; what was lent goes to its owner."""
        if isinstance(connection, Lent):
            connection.give_back()
        else:
            self._pool.give(connection)


def refuse_unfit(gid: str, idle: bool, autocommit: bool) -> None:
    """Refuse a connection on which a branch cannot begin, or would end by itself.

    Raises:
        InvalidValue: it is in a transaction, or in autocommit mode.
    """
    if autocommit:
        raise InvalidValue(f"the connection is in autocommit mode; turn that off for transaction {gid}")
    if not idle:
        raise InvalidValue(f"the connection is in a transaction; transaction {gid} needs one that is not")


class Lent:
    """A connection of the application; beside a class that knows how to ask it, which has `closed`."""

    closed: bool
    _returned: Returned | None = None

    def forked(self) -> None:
        """In a forked child: let go of it, unless it is the application's again."""
        if self._returned is not None:
            super().forked()  # type: ignore[misc]

    def abandon(self) -> None:
        """The same."""
        if self._returned is not None:
            super().abandon()  # type: ignore[misc]

    def give_back(self) -> None:
        """It goes back to the application, once."""
        returned, self._returned = self._returned, None
        if returned is not None:
            returned(not self.closed)
