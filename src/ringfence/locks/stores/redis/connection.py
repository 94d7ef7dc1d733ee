"""One connection that all threads of a process share; whoever waits reads for the others, too.

No thread belongs to the connection. Of those who wait, one reads the socket and hands each answer and push to whom it
belongs; when it has its own, it leaves the reading to another.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ringfence.errors import StoreTimeout
from ringfence.locks.stores.redis.line import HUNG_UP, Line, Lost
from ringfence.protocol import now

_CHUNK = 65536
_PENDING: Any = object()


class Slot:
    """Where a thread waits for one answer or push."""

    __slots__ = ("_bell", "until", "value")

    def __init__(self) -> None:
        self.value: Any = _PENDING
        self.until = 0.0  # when one who waits for a push asks again
        self._bell: threading.Lock | None = None

    def settle(self, value: object) -> None:
        """Put the answer there, and wake who waits for it."""
        if self.value is _PENDING:
            self.value = value
            if self._bell is not None:
                self.ring()

    def ring(self) -> None:
        """Wake who waits, to look again."""
        if self._bell is not None:
            with suppress(RuntimeError):  # it has rung already
                self._bell.release()

    def listen(self) -> threading.Lock:
        """Return what can be acquired when the bell rings."""
        self._bell = threading.Lock()
        self._bell.acquire()
        return self._bell


class Connection(Line[Slot, Slot]):
    """A socket that redis-py has opened, and who waits for what comes from it.

    Args:
        opened: a connected `redis.connection.Connection`.
        timeout: seconds to wait for an answer before the connection is given up.
    """

    def __init__(self, opened: Any, timeout: float) -> None:
        super().__init__()
        self._opened = opened
        self._timeout = timeout
        self._socket = opened._sock
        self._buffered = getattr(self._socket, "pending", lambda: 0)  # TLS may hold what poll does not see
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._sending = threading.Lock()
        self._reading = threading.Lock()
        self._following: dict[Slot, None] = {}
        limit_reads(self._socket, timeout)

    def ask(self, request: bytes) -> Any:
        """Send a request and return its answer, whatever it is.

        Raises:
            StoreTimeout: the connection was lost before; nothing was sent.
            OutcomeUnknown: no answer came.
        """
        slot = Slot()
        self._send(request, (slot,))
        if self._reading.acquire(blocking=False):  # what is mostly so: the next bytes are the answer
            try:
                self._read()
            finally:
                self._reading.release()
            if self._following:
                self._leave_reading_to_another()
        value = slot.value
        return (
            self._answer(slot, now() + self._timeout) if value is _PENDING or type(value) is Lost else value
        )

    def ask_all(self, requests: Sequence[bytes]) -> list[Any]:
        """Send requests at once and return their answers in order; it raises what `ask` does."""
        return self.finish(self.begin(requests))

    def begin(self, requests: Sequence[bytes]) -> list[Slot]:
        """Send requests at once, and return where their answers will be."""
        slots = [Slot() for _ in requests]
        self._send(b"".join(requests), slots)
        return slots

    def finish(self, slots: Sequence[Slot]) -> list[Any]:
        """Return the answers to requests in order; it raises what `ask` does."""
        until = now() + self._timeout
        return [self._answer(slot, until) for slot in slots]

    def wait(self, slot: Slot, until: float) -> None:
        """Wait for a push until then."""
        self._join(slot, until, patient=True)

    def give_up(self, reason: str) -> None:
        """Shut the connection, and tell everyone who waits."""
        super().give_up(reason)
        with suppress(OSError):  # it may be shut already
            self._socket.shutdown(socket.SHUT_RDWR)  # so that a thread that reads from it goes on

    def close(self, reason: str = "it was closed") -> None:
        """Shut and free the connection."""
        self.give_up(reason)
        if self._reading.acquire(timeout=self._timeout):
            self._reading.release()
        self._opened.disconnect()

    def abandon(self) -> None:
        """Free the socket in a forked child without a word to the server: it is the parent's."""
        self._socket.close()

    def _send(self, request: bytes, slots: Sequence[Slot]) -> None:
        with self._sending:
            if self.lost is not None:
                raise StoreTimeout(f"the connection was lost ({self.lost}); nothing was sent, try again")
            try:
                self._unanswered.extend(slots)
                self._socket.sendall(request)
            except ConnectionError:
                self.give_up(HUNG_UP)
            except OSError as error:
                self.give_up(str(error))
            except BaseException:
                self.give_up("a request was interrupted")
                raise

    def _answered(self, value: object) -> None:
        try:
            slot = self._unanswered.popleft()
        except IndexError:  # another thread has just given up
            return
        slot.settle(value)

    def _answer(self, slot: Slot, until: float) -> Any:
        if not self._join(slot, until):
            self.give_up(f"no answer in {self._timeout} s")
        if isinstance(slot.value, Lost):
            raise slot.value.error()
        return slot.value

    def _join(self, slot: Slot, until: float, patient: bool = False) -> bool:
        """Read, or let another thread read, until the slot has its answer; False if it has none by then."""
        try:
            while slot.value is _PENDING:
                left = until - now()
                if left <= 0:
                    return False
                if self._reading.acquire(blocking=False):
                    try:
                        if not patient or self._readable(left):
                            self._read()
                    finally:
                        self._reading.release()
                else:
                    self._follow(slot, left)
            return True
        finally:
            self._leave_reading_to_another()

    def _follow(self, slot: Slot, seconds: float) -> None:
        bell = slot.listen()
        self._following[slot] = None
        try:
            if slot.value is _PENDING and self._reading.locked():
                bell.acquire(timeout=seconds)
        finally:
            self._following.pop(slot, None)

    def _leave_reading_to_another(self) -> None:
        for slot in self._following.copy():
            slot.ring()
            return

    def _readable(self, seconds: float) -> bool:
        """Wait until there is something to read."""
        return bool(self._buffered() or self._poll.poll(seconds * 1000))

    def _read(self) -> None:
        """Read once, for as long as an answer may take."""
        try:
            data = self._socket.recv(_CHUNK)
            if data:
                self.received(data)
            else:
                self.give_up(HUNG_UP)
        except (BlockingIOError, TimeoutError):
            return
        except ConnectionResetError:
            self.give_up(HUNG_UP)
        except OSError as error:
            self.give_up(str(error))
        except BaseException:
            self.give_up("reading was interrupted")
            raise


def limit_reads(sock: Any, seconds: float) -> None:
    """Have each read and write on a socket end after some time.

    On a plain socket the kernel keeps the time, which saves a system call each; TLS has no such way.
    """
    if hasattr(sock, "pending"):
        sock.settimeout(seconds)
        return
    sock.settimeout(None)
    limit = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
