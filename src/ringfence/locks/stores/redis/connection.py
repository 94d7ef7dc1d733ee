"""One connection that all threads of a process share; whoever waits reads for the others, too.

No thread belongs to the connection. Of those who wait, one reads the socket and hands each answer and push to whom it
belongs; when it has its own, it leaves the reading to another.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ringfence._core.exchange import PENDING, Exchange, Slot
from ringfence.locks.stores.redis.line import Line, Lost
from ringfence.protocol import now


class Connection(Line[Slot, Slot], Exchange):
    """A socket that redis-py has opened, and who waits for what comes from it.

    Args:
        opened: a connected `redis.connection.Connection`.
        timeout: seconds to wait for an answer before the connection is given up.
    """

    _answered = Exchange._answered

    def __init__(self, opened: Any, timeout: float) -> None:
        Exchange.__init__(self, opened._sock, plain=not hasattr(opened._sock, "pending"))
        super().__init__()
        self._opened = opened
        self._timeout = timeout
        self._buffered = getattr(self._socket, "pending", lambda: 0)  # TLS may hold what poll does not see
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        limit_reads(self._socket, timeout)

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
        for used in (self._sending, self._reading):
            if used.acquire(timeout=self._timeout):
                used.release()
        self._file = -1  # the number may soon be another file's
        self._opened.disconnect()

    def abandon(self) -> None:
        """Free the socket in a forked child without a word to the server: it is the parent's."""
        self._file = -1
        self._socket.close()

    def _settled(self, slot: Slot) -> Any:
        return self._answer(slot, now() + self._timeout)

    def _answer(self, slot: Slot, until: float) -> Any:
        if not self._join(slot, until):
            self.give_up(f"no answer in {self._timeout} s")
        if isinstance(slot.value, Lost):
            raise slot.value.error()
        return slot.value

    def _join(self, slot: Slot, until: float, patient: bool = False) -> bool:
        """Read, or let another thread read, until the slot has its answer; False if it has none by then."""
        try:
            while slot.value is PENDING:
                left = until - now()
                if left <= 0:
                    return False
                if self._reading.acquire(blocking=False):
                    try:
                        if slot.value is PENDING and (not patient or self._readable(left)):
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
            if slot.value is PENDING and self._reading.locked():
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
