"""The connections of a session store: opened, lent, kept for the next, and taken note of when they end."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable

from ringfence.errors import BackendUnavailable, StoreError, StoreTimeout
from ringfence.locks.stores.sql.connection import Answer, Connection, Denied, asked
from ringfence.locks.stores.sql.lines import Line
from ringfence.locks.stores.sql.session_dialects import SessionDialect

WAITING = 16
"""How many locks a store waits for, or holds after waiting, at most; each takes a connection."""

_SPARE = 2
"""How many of these are kept when they are free."""


class Sessions:
    """The connections of one store.

    Args:
        connect: opens one.
        dialect: the statements.
        timeout: seconds to wait for who uses a connection that is to be closed.
        changed: called when there is a connection more, or one is used for something else.
        lost: called with one that ended, when it has been taken out.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        dialect: SessionDialect,
        timeout: float,
        changed: Callable[[], None],
        lost: Callable[[Line], None],
    ) -> None:
        self._connect = connect
        self._dialect = dialect
        self._timeout = timeout
        self._changed = changed
        self._lost = lost
        self._closed = False
        self._reached = False
        self.start()

    def start(self) -> None:
        """Have no connections, as at first."""
        self._lock = threading.Lock()
        self._connecting = threading.Lock()
        self._main: Line | None = None
        self._others: list[Line] = []
        self._spare: list[Line] = []
        self._opening = 0

    def all(self) -> list[Line]:
        """Return the connections that are open."""
        with self._lock:
            lines = [*self._others, self._main] if self._main is not None else list(self._others)
        return [line for line in lines if not line.connection.closed]

    def main(self) -> Line:
        """Return the connection that never waits.

        Raises:
            BackendUnavailable: the server cannot be reached, and never was.
            StoreTimeout: it cannot be reached now; nothing was sent.
            StoreError: the store was closed, or the table cannot be made.
        """
        line = self._main
        if line is not None and not line.connection.closed:
            return line
        with self._connecting:
            if self._main is None or self._main.connection.closed:
                self._main = self._opened()
            line = self._main
        self._changed()
        return line

    def other(self) -> Line:
        """Return a connection that may wait: one that is free, or a new one; it raises what `main` does."""
        with self._lock:
            if self._spare:
                return self._spare.pop()
            if len(self._others) + self._opening >= WAITING:
                raise StoreTimeout(
                    f"{WAITING} connections wait for locks or hold them already; try again later"
                )
            self._opening += 1
        opened: list[Line] = []
        try:
            opened.append(self._opened())
        finally:
            with self._lock:
                self._opening -= 1
                self._others += opened
        return opened[0]

    def give_back(self, line: Line) -> None:
        """Keep a connection for the next who waits, or close it."""
        with self._lock:
            if line not in self._others or line.connection.closed:
                return
            if len(self._spare) < _SPARE:
                self._spare.append(line)
                return
            self._others.remove(line)
        line.connection.close()

    def ask(self, line: Line, statement: str, *values: object) -> Answer:
        """Carry out a statement on a connection that the caller has for itself.

        Raises:
            StoreTimeout: nothing happened.
            OutcomeUnknown: no answer; the connection was given up, and with it all that was held on it.
            StoreError: the statement failed otherwise.
        """
        self._check_open()
        try:
            return asked(line.connection, statement, values, self._dialect.make)
        except Denied as error:
            raise self._denied(error) from error
        finally:
            if line.connection.closed:
                self.drop(line)

    def ask_main(self, statement: str, *values: object) -> Answer:
        """Carry out a statement on the connection that never waits; it raises what `main` and `ask` do."""
        line = self.main()
        with line.asking:
            return self.ask(line, statement, *values)

    def drop(self, line: Line) -> None:
        """Take out a connection that ended."""
        line.connection.close()
        with self._lock:
            known = line in self._others or line is self._main
            if line in self._others:
                self._others.remove(line)
            if line in self._spare:
                self._spare.remove(line)
            if line is self._main:
                self._main = None
        if known:
            self._lost(line)

    def close(self) -> None:
        """Close all connections."""
        self._closed = True
        for line in self.all():
            free = line.asking.acquire(timeout=self._timeout)
            line.connection.close()
            if free:
                line.asking.release()

    def _opened(self) -> Line:
        self._check_open()
        try:
            connection = self._connect()
        except BackendUnavailable as error:
            if self._reached:  # it may come back
                raise StoreTimeout(f"{error}; nothing was sent") from error
            raise
        try:
            connection.ask(self._dialect.prepare)
            asked(connection, "SELECT 1 FROM ringfence_session WHERE name = ''", (), self._dialect.make)
        except Denied as error:
            connection.close()
            raise self._denied(error) from error
        except BaseException:
            connection.close()
            raise
        self._reached = True
        return Line(connection)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the lock store was closed; open a new one")

    def _denied(self, error: StoreError) -> StoreError:
        return StoreError(
            f"the user of the lock store lacks a right ({error}); it needs SELECT, INSERT and UPDATE on the"
            f" table ringfence_session, which is made by:\n{self._dialect.table}"
        )


def weakly(method: Callable[..., None]) -> Callable[..., None]:
    """Return what calls a method for as long as its object lives, without keeping that alive."""
    reference = weakref.WeakMethod(method)

    def call(*arguments: object) -> None:
        alive = reference()
        if alive is not None:
            alive(*arguments)

    return call
