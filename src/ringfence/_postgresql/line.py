"""A connection on which several statements go out at once and are answered at once: libpq's pipeline mode.

psycopg opens the connection and knows the types; what is asked goes straight to libpq, because a cursor takes several
times as long and waits without a limit. `Line` waits for answers in a thread, `AsyncLine` in a task.
"""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, Self, TypeAlias, TypeVar

from ringfence._forks import tell_of_forks
from ringfence._postgresql import driver, opening, patience
from ringfence._postgresql.statement import Statement, numbered
from ringfence.errors import OutcomeUnknown

T = TypeVar("T")

_OK, _ROWS, _SYNC, _SKIPPED = 1, 2, 10, 11
_CONNECTED = 0
_IDLE, _IN_TRANSACTION = 0, 2
_READ, _READ_WRITE = select.POLLIN, select.POLLIN | select.POLLOUT
_ENDED = ("FATAL", "PANIC")
_SEVERITY, _SQLSTATE = ord("V"), ord("C")  # fields of an error

_CONNECTING = 5
"""Seconds that a busy server has at least to let somebody in."""

_LASTING = 200
"""How many statements a connection has parsed at most."""

Steps: TypeAlias = Generator[Sequence[Statement], list[Any], T]
"""Requests, each made with the results of the one before."""


class BaseLine:
    """What a connection is, whoever waits for it; used by one thread or task at a time.

    Attributes:
        closed: it cannot be used any more.
        counted: it is one of those that its pool has so many of.
    """

    def __init__(self, connection: Any) -> None:
        self.closed = False
        self.counted = False
        self._connection = connection
        self._wire = connection.pgconn
        self._adapt = driver().adapt.Transformer(connection)
        self._seen: set[Any] = set()
        self._parsed: dict[Any, bytes] = {}
        self._names = 0
        self._asked: list[tuple[int, Any]] = []
        self._left = 0
        tell_of_forks(self)

    @property
    def idle(self) -> bool:
        """Is it in no transaction, and every answer read?"""
        return bool(self._wire.transaction_status == _IDLE)

    @property
    def working(self) -> bool:
        """Is it in a transaction in which nothing has failed?"""
        return bool(self._wire.transaction_status == _IN_TRANSACTION)

    def statement(self, sql: str, parameters: Any) -> Statement:
        """Make a statement from SQL with `%s` or `%(name)s`, and parameters of all types that psycopg knows.

        Raises:
            InvalidType: the SQL or the parameters have the wrong type.
            InvalidValue: the parameters do not fit the SQL.
            psycopg.Error: a parameter cannot be adapted.
        """
        text, values = numbered(sql, parameters)
        if not values:
            return Statement(text.encode())
        dumped = self._adapt.dump_sequence(values, [driver().adapt.PyFormat.AUTO] * len(values))
        return Statement(text.encode(), dumped, self._adapt.types or (), self._adapt.formats)

    def rows(self, result: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a result, in the types that psycopg gives."""
        self._adapt.set_pgresult(result)
        found: list[tuple[Any, ...]] = self._adapt.load_rows(0, result.ntuples, tuple)
        return found

    def is_sound(self) -> bool:
        """Say whether it can be used: an idle connection from which there is something to read has ended."""
        if self.closed:
            return False
        poll = select.poll()
        poll.register(self._wire.socket, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close it. Closing twice is harmless."""
        self.closed = True
        self._wire.finish()

    def forked(self) -> None:
        """Let go of it in a forked child, without a word to the server: it is the parent's."""
        if self.closed:
            return
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, self._wire.socket)  # so that the socket ends with the parent
        os.close(nothing)
        self.close()

    def _post(self, statements: Sequence[Statement], apart: bool) -> None:
        """Send statements; the server skips those after one that fails, unless they are `apart`."""
        if self._left:
            raise driver().OperationalError("the answers to an earlier request were left unread")
        wire = self._wire
        wire.enter_pipeline_mode()
        self._asked = []
        for number, statement in enumerate(statements):
            self._post_one(number, statement)
            if apart:
                wire.pipeline_sync()
        self._left = len(statements) if apart else 1
        if not apart:
            wire.pipeline_sync()
        wire.flush()

    def _post_one(self, number: int, statement: Statement) -> None:
        wire = self._wire
        key = (statement.sql, statement.types)
        name = self._parsed.get(key)
        if name is None and statement.lasting and key in self._seen:
            name = self._new_name()
            wire.send_prepare(name, statement.sql, statement.types)
            self._asked.append((number, (key, name)))
        if name is None:
            wire.send_query_params(statement.sql, statement.values, statement.types, statement.formats)
            if statement.lasting and len(self._seen) < _LASTING:
                self._seen.add(key)
        else:
            wire.send_query_prepared(name, statement.values, statement.formats)
        self._asked.append((number, None))

    def _new_name(self) -> bytes:
        self._names += 1
        return b"ringfence_%d" % self._names

    def _answers(self) -> Generator[int, None, list[Any]]:
        """Read one result for each statement; yield what to wait for on the socket."""
        wire, asked = self._wire, iter(self._asked)
        found: dict[int, Any] = {}
        while self._left:
            while wire.is_busy():
                yield _READ_WRITE if wire.flush() else _READ
                wire.consume_input()
            result = wire.get_result()
            if result is None:
                self._refuse_lost()
            elif result.status == _SYNC:
                self._left -= 1
            else:
                self._refuse_ended(result)
                number, parsed = next(asked)
                if parsed is None:
                    found.setdefault(number, result)
                elif result.status == _OK:
                    self._parsed[parsed[0]] = parsed[1]
                else:
                    found[number] = result
        wire.exit_pipeline_mode()
        return list(found.values())

    def _refuse_lost(self) -> None:
        if self._wire.status != _CONNECTED:
            raise driver().OperationalError(self._wire.get_error_message() or "the connection is lost")

    def _refuse_ended(self, result: Any) -> None:
        """Refuse an answer after which the server ends the connection: what was asked may have happened."""
        if result.status <= _ROWS or result.status == _SKIPPED:
            return
        severity = (result.error_field(_SEVERITY) or b"").decode("ascii", "replace")
        if severity in _ENDED or not result.error_field(_SQLSTATE):
            error = driver().errors.error_from_result(result)
            raise driver().OperationalError(str(error)) from error

    def forget_parsed(self) -> None:
        """Have every statement parsed again: what one of them meant has changed."""
        self._parsed.clear()
        self._seen.clear()


class Line(BaseLine):
    """A connection whose answers a thread waits for."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self._poll = select.poll()
        self._poll.register(self._wire.socket, _READ)

    @classmethod
    def open(cls, url: str, timeout: float) -> Self:
        """Connect.

        Raises:
            BackendUnavailable: psycopg is not installed, or the server cannot be reached.
            InvalidValue: libpq does not understand the URL.
        """
        with opening(url):
            connection = driver().connect(url, **_arguments(timeout))
        return cls(connection)

    def ask(
        self, statements: Sequence[Statement], seconds: float | None = None, apart: bool = False
    ) -> list[Any]:
        """Carry out statements in one round trip.

        Args:
            statements: what to carry out; after one that fails the others are skipped.
            seconds: how long to wait for the answers; None waits for ever.
            apart: one that fails does not keep the others from being carried out.

        Returns:
            The result of each statement, which may be an error; see `failure`.

        Raises:
            OutcomeUnknown: no answer came in time, or the connection broke; it is closed.
        """
        answers: list[Any] = self.send("ask", statements, seconds, apart)()
        return answers

    def send(
        self,
        operation: str,
        statements: Sequence[Statement],
        seconds: float | None = None,
        apart: bool = False,
    ) -> Callable[[], list[Any]]:
        """Send what `ask` asks, and return what waits for the answers."""
        assert operation == "ask"
        try:
            self._post(statements, apart)
        except BaseException as error:
            self.close()
            raise _unanswered(error) or error from error
        return partial(self._receive, seconds)

    def follow(self, steps: Steps[T]) -> T:
        """Carry out requests one after the other."""
        try:
            request = next(steps)
            while True:
                request = steps.send(self.ask(request))
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _receive(self, seconds: float | None) -> list[Any]:
        try:
            return self._wait(self._answers(), seconds)
        except BaseException as error:
            self.close()
            raise _unanswered(error) or error from error

    def _wait(self, answers: Generator[int, None, list[Any]], seconds: float | None) -> list[Any]:
        until = None if seconds is None else time.monotonic() + seconds
        wanted = _READ
        while True:
            try:
                events = next(answers)
            except StopIteration as stop:
                found: list[Any] = stop.value
                return found
            if events != wanted:
                self._poll.modify(self._wire.socket, events)
                wanted = events
            if not self._poll.poll(None if until is None else max(until - time.monotonic(), 0.0) * 1000):
                raise _silent(seconds)


class AsyncLine(BaseLine):
    """A connection whose answers a task waits for."""

    _ready: asyncio.Future[None] | None = None

    @classmethod
    async def open(cls, url: str, timeout: float) -> Self:
        """Connect; raises what `Line.open` does."""
        with opening(url):
            connection = await driver().AsyncConnection.connect(url, **_arguments(timeout))
        return cls(connection)

    async def ask(
        self, statements: Sequence[Statement], seconds: float | None = None, apart: bool = False
    ) -> list[Any]:
        """Carry out statements in one round trip; see `Line.ask`."""
        try:
            self._post(statements, apart)
            async with asyncio.timeout(seconds):
                return await self._wait(self._answers())
        except BaseException as error:
            self.close()
            raise _unanswered(error) or error from error

    async def follow(self, steps: Steps[T]) -> T:
        """Carry out requests one after the other."""
        try:
            request = next(steps)
            while True:
                request = steps.send(await self.ask(request))
        except StopIteration as stop:
            result: T = stop.value
            return result

    def close(self) -> None:
        """Close it; a task that waits for an answer learns of that."""
        ready = self._ready
        self._deaf()
        super().close()
        if ready is not None:
            _wake(ready)

    def forked(self) -> None:
        """Let go of it in a forked child, where the loop is the parent's."""
        self._ready = None
        super().forked()

    def _deaf(self) -> None:
        """Wait for nothing more, before the number of the socket is another's."""
        ready, self._ready = self._ready, None
        if ready is not None:
            ready.get_loop().remove_reader(self._wire.socket)
            ready.get_loop().remove_writer(self._wire.socket)

    async def _wait(self, answers: Generator[int, None, list[Any]]) -> list[Any]:
        loop, socket = asyncio.get_running_loop(), self._wire.socket
        while True:
            try:
                events = next(answers)
            except StopIteration as stop:
                found: list[Any] = stop.value
                return found
            ready = self._ready = loop.create_future()
            loop.add_reader(socket, _wake, ready)
            if events == _READ_WRITE:
                loop.add_writer(socket, _wake, ready)
            try:
                await ready
            finally:
                self._deaf()


def failure(results: Sequence[Any]) -> Any:
    """Return the error among results as psycopg raises it; None when there is none."""
    for result in results:
        if result.status > _ROWS:
            return driver().errors.error_from_result(result)
    return None


def _arguments(timeout: float) -> dict[str, Any]:
    """Return what psycopg is given beside a URL: a peer that is gone is found out."""
    seconds = max(_CONNECTING, patience(timeout))
    return {
        "autocommit": True,
        "client_encoding": "utf-8",
        "connect_timeout": seconds,
        "keepalives_idle": seconds,
        "keepalives_interval": seconds,
        "tcp_user_timeout": 1000 * seconds,
    }


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _unanswered(error: BaseException) -> OutcomeUnknown | None:
    if isinstance(error, TimeoutError):
        return _silent(None)
    if isinstance(error, driver().OperationalError):
        said = " ".join(str(error).split())
        return OutcomeUnknown(
            f"PostgreSQL did not answer ({said}); the request may or may not have been carried out"
        )
    return None


def _silent(seconds: float | None) -> OutcomeUnknown:
    within = "in time" if seconds is None else f"in {seconds} s"
    return OutcomeUnknown(
        f"PostgreSQL did not answer {within}; the request may or may not have been carried out"
    )
