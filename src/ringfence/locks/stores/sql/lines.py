"""The connections of a session store, and what is held or waited for on each."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from ringfence.locks.stores import Claim
from ringfence.locks.stores.sql.connection import Connection
from ringfence.locks.waiter import Waiter


@dataclass(slots=True, eq=False)
class Hold:
    """A lock that is held.

    Attributes:
        claim: by whom.
        key: the advisory lock.
        line: on which connection.
        until: when it is given up.
    """

    claim: Claim
    key: Any
    line: Line
    until: float


@dataclass(slots=True, eq=False)
class Place:
    """A lock that is waited for.

    Attributes:
        claim: by whom; the fence is not known yet.
        key: the advisory lock.
        line: on which connection.
        until: when the place ends unless it is asked for again.
        again: when to ask again.
        waiter: what to wake.
    """

    claim: Claim
    key: Any
    line: Line
    until: float
    again: float
    waiter: Waiter | None = None

    def wake(self) -> None:
        """Wake who waits."""
        if self.waiter is not None:
            self.waiter.wake()


@dataclass(slots=True, eq=False)
class Line:
    """One connection; its session has the locks, and waits for one at most, but then for nothing else.

    Attributes:
        connection: the connection.
        asking: who has it may use the connection.
        holds: what is held, by name.
        place: what is waited for.
        number: by which number the server knows the session.
        descriptor: of the socket.
    """

    connection: Connection
    asking: threading.Lock = field(default_factory=threading.Lock)
    holds: dict[str, Hold] = field(default_factory=dict)
    place: Place | None = None
    number: int = 0
    descriptor: int = 0

    def __post_init__(self) -> None:
        """Remember the numbers, for when the connection is closed."""
        self.number, self.descriptor = self.connection.number(), self.connection.fileno()

    def has_key(self, key: object) -> bool:
        """Say whether its session has an advisory lock, be it for another name with the same key."""
        return any(hold.key == key for hold in self.holds.values())
