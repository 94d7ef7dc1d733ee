"""What the stores need of a connection to a database, whichever it is: one statement, one answer, in a bounded time."""

from __future__ import annotations

import os
import select
import weakref
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from ringfence.errors import OutcomeUnknown, StoreError, StoreTimeout


class Answer(NamedTuple):
    """What a statement gave.

    Attributes:
        rows: what it found.
        changed: how many rows it changed.
        number: the number it issued by `LAST_INSERT_ID(…)`, in MariaDB.
    """

    rows: list[tuple[Any, ...]]
    changed: int
    number: int = 0


class NoTable(StoreError):
    """The table that a statement names is not there."""


class Denied(StoreError):
    """The user lacks a right; in MariaDB one without rights is not told whether the table is there."""


class Connection(ABC):
    """One connection in autocommit mode, used by one thread at a time.

    Attributes:
        closed: it cannot be used any more.
        timeout: seconds to wait for an answer.
    """

    closed = False

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        _open.add(self)

    @abstractmethod
    def ask(self, statement: str, values: tuple[Any, ...] = ()) -> Answer:
        """Carry out one statement, with `%s` for each value: a string or an integer.

        Raises:
            NoTable: the table is not there.
            Denied: the user may not do this.
            StoreTimeout: nothing happened, and may be tried again: another transaction stood in the way, or the
                server takes no writes just now.
            OutcomeUnknown: no answer came in time, or the connection broke; it is closed.
            StoreError: the statement failed otherwise.
        """

    @abstractmethod
    def run(self, script: str) -> None:
        """Carry out statements without values in one transaction; it raises what `ask` does."""

    @abstractmethod
    def send(self, statement: str, values: tuple[Any, ...] = ()) -> None:
        """Have one statement carried out that may take long; `receive` gives the answer. It raises what `ask` does."""

    @abstractmethod
    def receive(self) -> Answer | None:
        """Return the answer to what was sent, when there is something to read; None where there is more to come.

        It raises what `ask` does.
        """

    @abstractmethod
    def number(self) -> int:
        """Return by which number the server knows it."""

    @abstractmethod
    def fileno(self) -> int:
        """Return the file descriptor of its socket."""

    @abstractmethod
    def close(self) -> None:
        """Close it. Closing twice is harmless."""

    def abandon(self) -> None:
        """Let go of it in a forked child, without a word to the server: it is the parent's."""
        if self.closed:
            return
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, self.fileno())  # so that the socket ends with the parent
        os.close(nothing)
        self.close()

    def is_sound(self) -> bool:
        """Say whether it can be used: an idle connection from which there is something to read has ended."""
        if self.closed:
            return False
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return not poll.poll(0)


def busy(error: object) -> StoreTimeout:
    """Say that another transaction was in the way."""
    return StoreTimeout(f"another transaction stood in the way ({error}); nothing was changed, try again")


def read_only(error: object) -> StoreTimeout:
    """Say that the server is no primary, or not any more."""
    return StoreTimeout(f"the server takes no writes ({error}); nothing was changed; locks need the primary")


def unanswered(server: str, error: object) -> OutcomeUnknown:
    """Say that nobody knows whether a statement was carried out."""
    return OutcomeUnknown(
        f"{server} did not answer ({error}); the request may or may not have been carried out"
    )


def asked(connection: Connection, statement: str, values: tuple[Any, ...], make: str) -> Answer:
    """Carry out a statement; where its table is not there yet, `make` makes it first."""
    try:
        return connection.ask(statement, values)
    except NoTable:
        connection.run(make)
        return connection.ask(statement, values)


_open: weakref.WeakSet[Connection] = weakref.WeakSet()


def _forked() -> None:
    for connection in list(_open):
        connection.abandon()


os.register_at_fork(after_in_child=_forked)
