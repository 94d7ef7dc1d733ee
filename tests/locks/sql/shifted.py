"""A connection to a server whose clock a test moves by hand: nothing is waited for, and nothing ends too soon."""

from __future__ import annotations

from typing import Any

from ringfence.locks.stores.sql.connection import Answer, Connection
from ringfence.locks.stores.sql.mariadb import MariaConnection
from ringfence.locks.stores.sql.postgresql import PostgresConnection


class Clock:
    """Seconds by which the server's clock is moved on."""

    offset = 0.0

    def moved(self, statement: str) -> str:
        """Return a statement as it would read at that time."""
        micros = round(self.offset * 1e6)
        for clock in ("statement_timestamp()", "clock_timestamp()"):
            statement = statement.replace(clock, f"({clock} + interval '{micros} microseconds')")
        return statement.replace("utc_timestamp(6)", f"(utc_timestamp(6) + INTERVAL {micros} MICROSECOND)")


class Shifted(Connection):
    """Stands for a connection; what it is asked is asked at another time."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        super().__init__(connection.timeout)
        self._connection = connection
        self._clock = clock

    def ask(self, statement: str, values: tuple[Any, ...] = ()) -> Answer:
        return self._connection.ask(self._clock.moved(statement), values)

    def run(self, script: str) -> None:
        self._connection.run(script)

    def send(self, statement: str, values: tuple[Any, ...] = ()) -> None:
        self._connection.send(self._clock.moved(statement), values)

    def receive(self) -> Answer | None:
        return self._connection.receive()

    def number(self) -> int:
        return self._connection.number()

    def fileno(self) -> int:
        return self._connection.fileno()

    def close(self) -> None:
        self.closed = True
        self._connection.close()


def connect(url: str, timeout: float) -> Connection:
    """Return a connection to the server of a URL."""
    if url.startswith("postgresql"):
        return PostgresConnection(url, timeout)
    return MariaConnection(url, timeout)


class Scattered(Connection):
    """What a pooler gives: each statement goes through another connection, of which nothing is remembered."""

    def __init__(self, connections: list[Connection]) -> None:
        super().__init__(connections[0].timeout)
        self._connections = connections

    def ask(self, statement: str, values: tuple[Any, ...] = ()) -> Answer:
        self._connections.append(self._connections.pop(0))
        answer = self._connections[0].ask(statement, values)
        self._connections[0].run("DISCARD ALL")
        return answer

    def run(self, script: str) -> None:
        self._connections[-1].run(script)

    def send(self, statement: str, values: tuple[Any, ...] = ()) -> None:
        raise NotImplementedError("a pooler has no session to wait in")

    def receive(self) -> Answer | None:
        raise NotImplementedError("a pooler has no session to wait in")

    def number(self) -> int:
        raise NotImplementedError("a pooler has no session to wait in")

    def fileno(self) -> int:
        return self._connections[0].fileno()

    def close(self) -> None:
        self.closed = True
        for connection in self._connections:
            connection.close()
