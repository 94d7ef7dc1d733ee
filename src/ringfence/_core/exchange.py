# cython: annotation_typing=False, auto_pickle=False
"""Requests and answers on one socket: whoever asked first gets the first answer, and one who waits reads for all."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

from ringfence.errors import StoreTimeout

try:
    import cython
except ModuleNotFoundError:
    from ringfence._core import _cython as cython

if not cython.compiled:
    from ringfence._core._kernel_socket import integer, receive, send_all

PENDING: Any = object()
"""Stands for an answer that has not come yet."""

HUNG_UP = "the server closed the connection"


class Slot:
    """Where a thread waits for one answer or push.

    Attributes:
        value: the answer; `PENDING` until it has come.
        until: when one who waits for a push asks again.
    """

    def __init__(self) -> None:
        self.value: Any = PENDING
        self.until: float = 0.0
        self._bell: threading.Lock | None = None

    def settle(self, value: object) -> None:
        """Put the answer there, and wake who waits for it; a second one is ignored."""
        if self.value is PENDING:
            self.value = value
            self.ring()

    def ring(self) -> None:
        """Wake who waits, to look again."""
        if self._bell is not None:
            try:
                self._bell.release()
            except RuntimeError:
                return  # it has rung already

    def listen(self) -> threading.Lock:
        """Return what can be acquired when the bell rings."""
        self._bell = threading.Lock()
        self._bell.acquire()
        return self._bell


class Exchange:
    """A connected socket that several threads share, and who waits for answers from it.

    What is mostly so is done here, and compiled: one request is sent, and the next bytes are an integer for whoever
    asked first. A connection adds the rest: `received`, `give_up` and `_settled`.

    Attributes:
        lost: why the connection was given up; None while it works.

    Args:
        sock: the socket; waiting on it too long ends with `BlockingIOError` or `TimeoutError`.
        plain: whether the calls of the system may be used on it, which TLS does not allow.
    """

    def __init__(self, sock: Any, plain: bool) -> None:
        self.lost: str | None = None
        self._replies: Any = None  # what a connection takes answers apart with
        self._socket = sock
        self._file: int = sock.fileno() if plain else -1
        self._unanswered: deque[Slot] = deque()
        self._following: dict[Slot, None] = {}
        self._sending = threading.Lock()
        self._reading = threading.Lock()

    def ask(self, request: bytes) -> Any:
        """Send a request and return its answer, whatever it is.

        Raises:
            StoreTimeout: the connection was lost before; nothing was sent.
            OutcomeUnknown: no answer came.
        """
        slot = Slot()
        self._send(request, (slot,))
        if self._reading.acquire(False):
            try:
                if (
                    slot.value is PENDING
                ):  # whoever read before may have read this answer, and no other may come
                    self._read()
            finally:
                self._reading.release()
            if not self._following and type(slot.value) is int:
                return slot.value
        return self._settled(slot)

    def received(self, data: bytes) -> None:
        """Take in what has come, where it is more than an integer alone."""
        raise NotImplementedError

    def give_up(self, reason: str) -> None:
        """Tell everyone who waits that no answer will come."""
        raise NotImplementedError

    def _settled(self, slot: Slot) -> Any:
        """Wait for an answer and return it."""
        raise NotImplementedError

    def _send(self, request: bytes, slots: Sequence[Slot]) -> None:
        with self._sending:
            if self.lost is not None:
                raise StoreTimeout(f"the connection was lost ({self.lost}); nothing was sent, try again")
            try:
                self._unanswered.extend(slots)
                send_all(self._socket, self._file, request)
            except ConnectionError:
                self.give_up(HUNG_UP)
            except OSError as error:
                self.give_up(str(error))
            except BaseException:
                self.give_up("a request was interrupted")
                raise

    def _read(self) -> None:
        """Read once, for as long as an answer may take."""
        try:
            data = receive(self._socket, self._file)
            if not data:
                self.give_up(HUNG_UP)
                return
            value = integer(data)
            if value is None or self._replies.rest:
                self.received(data)
            else:
                self._answered(value)
        except (BlockingIOError, TimeoutError):
            return
        except ConnectionResetError:
            self.give_up(HUNG_UP)
        except OSError as error:
            self.give_up(str(error))
        except BaseException:
            self.give_up("reading was interrupted")
            raise

    def _answered(self, value: object) -> None:
        """Hand an answer to the first who waits for one."""
        if self._unanswered:  # another thread may have just given up
            slot = self._unanswered.popleft()
            slot.settle(value)
