"""A connection to PostgreSQL: psycopg opens it, and what is asked goes straight to libpq.

Statements go out in the extended protocol without a name, so that a pooler may give each one to another server
connection. libpq is asked directly because a cursor takes several times as long, and waits without a limit.
"""

from __future__ import annotations

import functools
import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ringfence import _postgresql
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
from ringfence.protocol import now

_NO_TABLE = "42P01"
_NO_RIGHT = "42501"
_READ_ONLY = "25006"
_BUSY = ("40001", "40P01", "55P03", "57014", "53100", "53200", "53300")
"""Serialization failure, deadlock, lock timeout, cancelled; disk full, out of memory, too many connections."""

_FIELDS = (ord("C"), ord("M"))
"""Of an error: the SQLSTATE, and what it says first."""

_TEXT = 25
_INTEGER = 20
_TRUTH = 16
_INTEGERS = (20, 21, 23)


class PostgresConnection(Connection):
    """A connection to PostgreSQL.

    Args:
        url: `postgresql://…`, with the options of libpq.
        timeout: seconds to wait for it, and for each answer.
        prepares: whether each statement is parsed once; not behind a pooler.

    Raises:
        BackendUnavailable: psycopg is not installed, or the server cannot be reached.
        InvalidValue: libpq does not understand the URL.
    """

    def __init__(self, url: str, timeout: float, *, prepares: bool = False) -> None:
        self._opened = _postgresql.connect(url, timeout=timeout)
        self._line = self._opened.pgconn
        self._line.nonblocking = 1
        self._poll = select.poll()
        self._poll.register(self._line.socket, select.POLLIN)
        self._prepared: dict[str, bytes] | None = {} if prepares else None
        super().__init__(timeout)

    def ask(self, statement: str, values: tuple[Any, ...] = ()) -> Answer:
        """Carry out one statement, with `%s` for each value: a string or an integer."""
        if self._prepared is None:
            return self._carried_out(
                lambda: self._line.send_query_params(numbered(statement), *bound(values))
            )
        texts, kinds = bound(values)
        known = self._prepare(self._prepared, statement, kinds)
        return self._carried_out(lambda: self._line.send_query_prepared(known, texts))

    def run(self, script: str) -> None:
        """Carry out statements without values in one transaction."""
        self._carried_out(lambda: self._line.send_query(script.encode()))

    def send(self, statement: str, values: tuple[Any, ...] = ()) -> None:
        """Have one statement carried out that may take long."""
        with self._giving_up():
            self._line.send_query_params(numbered(statement), *bound(values))
            self._flush(now() + self.timeout)

    def receive(self) -> Answer | None:
        """Return the answer to what was sent, when there is something to read; None where there is more to come."""
        with self._giving_up():
            self._line.consume_input()
            if self._line.is_busy():
                return None
            result = self._result(now() + self.timeout)
        return self._read(result)

    def number(self) -> int:
        """Return the process id of its backend."""
        return int(self._line.backend_pid)

    def fileno(self) -> int:
        """Return the file descriptor of its socket."""
        return int(self._line.socket)

    def close(self) -> None:
        """Close it. Closing twice is harmless."""
        self.closed = True
        self._opened.close()

    def _prepare(self, prepared: dict[str, bytes], statement: str, kinds: list[int]) -> bytes:
        name = prepared.get(statement, b"ringfence%d" % len(prepared))
        if statement not in prepared:
            self._carried_out(lambda: self._line.send_prepare(name, numbered(statement), kinds))
            prepared[statement] = name
        return name

    def _carried_out(self, send: Any) -> Answer:
        with self._giving_up():
            send()
            result = self._result(now() + self.timeout)
        return self._read(result)

    @contextmanager
    def _giving_up(self) -> Iterator[None]:
        """Close the connection when it breaks, is silent for too long, or an interrupt leaves an answer unread."""
        try:
            with _postgresql.translating(committing=True):
                yield
        except BaseException:
            self.close()
            raise

    def _result(self, until: float) -> Any:
        """Return the last result of what was sent."""
        result = None
        while True:
            self._receive(until)
            found = self._line.get_result()
            if found is None:
                return result
            result = found if result is None or not is_error(result) else result

    def _receive(self, until: float) -> None:
        """Wait until the next result can be had."""
        self._flush(until)
        while self._line.is_busy():
            self._await(select.POLLIN, until)
            self._line.consume_input()

    def _flush(self, until: float) -> None:
        while self._line.flush():
            self._await(select.POLLIN | select.POLLOUT, until)
            self._line.consume_input()

    def _await(self, events: int, until: float) -> None:
        self._poll.modify(self._line.socket, events)
        if not self._poll.poll(max(until - now(), 0.0) * 1000):
            raise unanswered("PostgreSQL", f"in {self.timeout} s")

    def _read(self, result: Any) -> Answer:
        if is_error(result):
            raise self._failure(result)
        columns = range(result.nfields)
        kinds = [result.ftype(at) for at in columns]
        rows = [
            tuple(value(result.get_value(row, at), kinds[at]) for at in columns)
            for row in range(result.ntuples)
        ]
        return Answer(rows, result.command_tuples or 0)

    def _failure(self, result: Any) -> StoreError:
        code, said = ((result.error_field(field) or b"").decode("utf-8", "replace") for field in _FIELDS)
        if code == _NO_TABLE:
            return NoTable(said)
        if code == _NO_RIGHT:
            return Denied(said)
        if code in _BUSY:
            return busy(said)
        if code == _READ_ONLY:
            self.close()  # the next one may lead to the primary
            return read_only(said)
        if not _postgresql.is_idle(self._opened) or code.startswith(("57P", "08")):
            self.close()
            return unanswered("PostgreSQL", said)
        return StoreError(f"PostgreSQL refused a request of the lock store: {said}")


@functools.cache
def numbered(statement: str) -> bytes:
    """Return a statement with `$1`, `$2`, … in place of each `%s`."""
    first, *others = statement.split("%s")
    return (first + "".join(f"${number}{part}" for number, part in enumerate(others, 1))).encode()


def bound(values: tuple[Any, ...]) -> tuple[list[bytes], list[int]]:
    """Return values and their types as libpq takes them."""
    texts = [value.encode() if isinstance(value, str) else b"%d" % value for value in values]
    return texts, [_TEXT if isinstance(value, str) else _INTEGER for value in values]


def value(text: bytes | None, kind: int) -> Any:
    """Return a value that was received."""
    if text is None:
        return None
    if kind == _TRUTH:
        return text == b"t"
    return int(text) if kind in _INTEGERS else text.decode()


def is_error(result: Any) -> bool:
    """Say whether a result is an error."""
    return result.status not in (0, 1, 2)  # an empty statement, a command, rows
