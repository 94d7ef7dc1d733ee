"""A connection to MariaDB or MySQL, by PyMySQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ringfence import _mysql
from ringfence.errors import StoreError
from ringfence.locks.stores.sql.connection import (
    Answer,
    Connection,
    Denied,
    NoTable,
    busy,
    read_only,
    unanswered,
)

_QUERY = 3
_FLAGS = 1 << 1 | 1 << 16
"""A row that is found counts as changed; several statements may be sent at once."""

_NO_TABLE = 1146
_NO_RIGHT = (1044, 1142, 1143)
_READ_ONLY = (1290, 1792, 1836)
_BUSY = (1020, 1021, 1040, 1114, 1205, 1213, 1969, 3024)
"""Record changed, disk full, too many connections, table full, lock wait timeout, deadlock, statement timeout (two)."""

_BROKEN = (0, 1053, 1077, 1152, 1184, 1927, 2006, 2013, 2014, 2055)
"""Closed; shutdown; aborted; killed; gone; lost; out of step; lost with a system error."""


class MariaConnection(Connection):
    """A connection to MariaDB or MySQL.

    Args:
        url: `mariadb://…` or `mysql://…`.
        timeout: seconds to wait for it, and for each answer.

    Raises:
        BackendUnavailable: PyMySQL is not installed, or the server cannot be reached.
        InvalidValue: it is no URL of MariaDB.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._opened = _mysql.connect(url, timeout=timeout, answer=timeout, flags=_FLAGS)
        super().__init__(timeout)

    def ask(self, statement: str, values: tuple[Any, ...] = ()) -> Answer:
        """Carry out one statement, with `%s` for each value: a string or an integer.

        Of several statements with `;` between them, the answer to the last one counts.
        """
        self.send(statement, values)
        return self.receive()

    def send(self, statement: str, values: tuple[Any, ...] = ()) -> None:
        """Have one statement carried out that may take long."""
        with self._translating(), self._opened.cursor() as cursor:
            self._opened._execute_command(_QUERY, cursor.mogrify(statement, values))

    def receive(self) -> Answer:
        """Return the answer to what was sent, when there is something to read."""
        with self._translating():
            self._opened._read_query_result()
            while self._opened._result.has_next:
                self._opened._read_query_result()
            result = self._opened._result
        rows = [tuple(map(text, row)) for row in result.rows or ()]
        return Answer(rows, result.affected_rows, result.insert_id or 0)

    def number(self) -> int:
        """Return the id of its thread in the server."""
        return int(self._opened.thread_id())

    def run(self, script: str) -> None:
        """Carry out a statement without values; each that defines a table is a transaction of its own here."""
        self.ask(script)

    def fileno(self) -> int:
        """Return the file descriptor of its socket."""
        return int(self._opened._sock.fileno())

    def close(self) -> None:
        """Close it, without a word to the server, which may not listen. Closing twice is harmless."""
        self.closed = True
        self._opened._force_close()

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except _mysql.errors() as error:
            raise self._failure(error) from error
        except BaseException:  # an interrupt leaves an answer unread
            self.close()
            raise

    def _failure(self, error: Any) -> StoreError:
        code = error.args[0] if error.args else 0
        if code == _NO_TABLE:
            return NoTable(str(error))
        if code in _NO_RIGHT:
            return Denied(str(error))
        if code in _BUSY:
            return busy(error)
        if code in _READ_ONLY:
            self.close()  # the next one may lead to the primary
            return read_only(error)
        if code in _BROKEN or not self._opened.open:
            self.close()
            return unanswered("MariaDB", error)
        return StoreError(f"MariaDB refused a request of the lock store: {error}")


def text(value: Any) -> Any:
    """Return a value that was received, bytes as the text they are."""
    return value.decode() if isinstance(value, bytes) else value
