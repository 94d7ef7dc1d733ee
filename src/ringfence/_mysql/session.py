"""Connections on which several requests are sent together, ahead of their answers; PyMySQL connects and reads them."""

from __future__ import annotations

import asyncio
import io
import os
import select
import socket
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ringfence import _mysql
from ringfence._mysql.frames import Replies, Request
from ringfence.errors import StoreError

_TRACK = 1 << 23
"""CLIENT_SESSION_TRACK: the server tells the state of a transaction where it is asked to."""

_LOST = 2013
_ENDED = (1053, 1077, 1152, 1184, 1927)
"""What a server says last: it shuts down, aborts or was told to kill the connection."""

_STATE = b"\x05\x09\x08"  # SESSION_TRACK_TRANSACTION_STATE, and the lengths of what follows
_PIECE = 1 << 16


@dataclass(slots=True)
class Answer:
    """What a request gave.

    Attributes:
        rows: what it found.
        changed: how many rows it changed, or found.
        number: the number it gave out by AUTO_INCREMENT or `LAST_INSERT_ID(…)`.
        message: what the server says beside it.
    """

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    changed: int = 0
    number: int = 0
    message: bytes = b""

    @property
    def wrote(self) -> bool:
        """Does the server say that the transaction has written? Yes, if it says nothing."""
        _, found, state = self.message.partition(_STATE)
        return not found or state[3:5] != b"__"


Reply: TypeAlias = Answer | Exception


class Session:
    """A connection, used by one thread at a time.

    Args:
        opened: a `pymysql.Connection`.

    Attributes:
        closed: it cannot be used any more.
        token: the lock by which the server's other sessions can tell which one this is; empty without one.
    """

    def __init__(self, opened: Any) -> None:
        self.closed = False
        self.token = ""
        self._opened = opened
        self._unread: list[Request] = []
        _open.add(self)

    def text(self, sql: str, parameters: Any) -> bytes:
        """A statement with its parameters in it, as PyMySQL writes them; without any, `%` is just a `%`."""
        cursor = self._opened.cursor()
        written: str = cursor.mogrify(sql, parameters) if parameters else sql
        return written.encode(self._opened.encoding, "surrogateescape")

    def ask(self, requests: Sequence[Request], patience: float | None = None) -> list[Reply]:
        """Send requests together, and return what each came to: an answer, or the driver's error.

        When the connection breaks, or an answer does not come in time, the session is closed, and the requests that
        were not answered have error 2013.

        Args:
            requests: what to send.
            patience: seconds to wait for each answer; None waits for ever.
        """
        self.send(requests, patience)
        return self.receive()

    def send(self, requests: Sequence[Request], patience: float | None = None) -> None:
        """Send requests; `receive` returns their answers.

        Raises:
            StoreError: the answers to earlier requests were never received; the session is closed.
        """
        if self._unread:
            self.close()
            raise StoreError("an answer of MariaDB was left unread; its session is closed")
        self._unread = list(requests)
        if self.closed:
            return
        self._opened._read_timeout = self._opened._write_timeout = patience
        try:
            self._opened._write_bytes(b"".join(request.encoded() for request in requests))
        except _mysql.errors():
            self.close()
        except BaseException:
            self.close()
            raise

    def receive(self) -> list[Reply]:
        """Return the answers to what was sent, in order."""
        requests, self._unread = self._unread, []
        try:
            return [self._reply(request) for request in requests]
        except BaseException:  # an interrupt leaves an answer unread
            self.close()
            raise

    def is_sound(self) -> bool:
        """Whether it can be used: an idle connection from which there is something to read has ended."""
        if self.closed:
            return False
        poll = select.poll()
        poll.register(self._fileno(), select.POLLIN)
        return not poll.poll(0)

    def is_idle(self) -> bool:
        """Whether it is in no transaction, and nothing is under way."""
        return not self.closed and not self._unread and _mysql.is_idle(self._opened)

    def close(self) -> None:
        """End it: the server rolls back what was not prepared. Closing twice is harmless."""
        self.closed = True
        _open.discard(self)
        self._opened._force_close()

    def abandon(self) -> None:
        """Let go of it in a forked child, without a word to the server: it is the parent's."""
        if not self.closed:
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, self._fileno())  # so that the socket ends with the parent
            os.close(nothing)
            self.close()

    def _fileno(self) -> int:
        return int(self._opened._sock.fileno())

    def _reply(self, request: Request) -> Reply:
        if self.closed:
            return _lost("the connection is closed")
        try:
            if not request.several:
                return self._answer(request)
            self._switched()
            answer = self._answer(request)
            self._switched()
        except _mysql.errors() as error:
            self.close()
            return _lost(error)
        return answer

    def _answer(self, request: Request) -> Reply:
        """Read to the end; the first rows count, of several results."""
        answer = Answer()
        self._opened._next_seq_id = request.sequence % 256
        try:
            more = True
            while more:
                self._opened._read_query_result()
                result = self._opened._result
                rows = answer.rows or [tuple(row) for row in result.rows or ()]
                answer = Answer(rows, result.affected_rows, result.insert_id or 0, result.message or b"")
                more = result.has_next
        except _mysql.errors() as error:
            if not self._opened.open or error.args[0] in _ENDED:
                self.close()
                raise
            return error  # type: ignore[no-any-return]
        return answer

    def _switched(self) -> None:
        self._opened._next_seq_id = 1
        self._opened._read_packet()


class AioSession(Session):
    """The same for one task at a time: asyncio carries the bytes, PyMySQL reads them once they are complete."""

    def __init__(self, opened: Any) -> None:
        self._socket: socket.socket = opened._sock
        self._socket.setblocking(False)
        opened._sock = _Stand(self._socket)
        super().__init__(opened)

    async def ask(  # type: ignore[override]
        self, requests: Sequence[Request], patience: float | None = None
    ) -> list[Reply]:
        """Send requests together, and return what each came to; see `Session.ask`.

        A task that is cancelled meanwhile closes the session, for nobody else could tell the answers apart.
        """
        try:
            async with asyncio.timeout(patience):
                data = await self._exchange(requests)
        except OSError:  # timeouts are
            self.close()
            data = b""
        except BaseException:
            self.close()
            raise
        self._opened._rfile = io.BytesIO(data)
        self._unread = list(requests)
        return self.receive()

    async def _exchange(self, requests: Sequence[Request]) -> bytes:
        if self.closed:
            return b""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._socket, b"".join(request.encoded() for request in requests))
        replies = Replies(sum(request.replies for request in requests))
        while not replies.complete:
            piece = await loop.sock_recv(self._socket, _PIECE)
            if not piece:
                break
            replies.feed(piece)
        return bytes(replies.data)


class _Stand:
    """Stands for the socket in the driver's connection, which must not make it block."""

    def __init__(self, real: socket.socket) -> None:
        self.fileno = real.fileno
        self.close = real.close

    def settimeout(self, seconds: float | None) -> None:
        """Nothing is waited for: the answers are there."""


def open_session(url: str, timeout: float, setup: Sequence[str]) -> Session:
    """Connect, and run the statements of `setup`.

    Raises:
        BackendUnavailable: PyMySQL is not installed, or the server cannot be reached.
        InvalidValue: it is no URL of MariaDB.
    """
    return Session(_connected(url, timeout, setup))


async def open_aio_session(url: str, timeout: float, setup: Sequence[str]) -> AioSession:
    """Connect, in a thread, and set it up; see `open_session`."""
    connecting = asyncio.ensure_future(asyncio.to_thread(_connected, url, timeout, setup))
    try:
        return AioSession(await asyncio.shield(connecting))
    except asyncio.CancelledError:
        connecting.add_done_callback(_close_opened)
        raise


def _close_opened(connecting: asyncio.Future[Any]) -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result()._force_close()


def _connected(url: str, timeout: float, setup: Sequence[str]) -> Any:
    opened = _mysql.connect(url, timeout=timeout, answer=timeout, flags=_TRACK)
    try:
        with _mysql.translating():
            for statement in setup:
                opened.query(statement)
    except BaseException:
        opened._force_close()
        raise
    return opened


def _lost(error: object) -> Exception:
    lost: Exception = _mysql.lost(_LOST, f"no answer from MariaDB: {error}")
    return lost


_open: weakref.WeakSet[Session] = weakref.WeakSet()


def _forked() -> None:
    for session in list(_open):
        session.abandon()


os.register_at_fork(after_in_child=_forked)
