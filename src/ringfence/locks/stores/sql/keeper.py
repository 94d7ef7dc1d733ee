"""The thread of a session store: it hears of ended connections and of grants, and gives up what is over."""

from __future__ import annotations

import math
import os
import select
import socket
import threading
import weakref
from typing import TYPE_CHECKING

from ringfence.protocol import now

if TYPE_CHECKING:
    from ringfence.locks.stores.sql.session_store import SessionStore

_ENDED = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
_LONGEST = 1.0
"""Seconds for which it sleeps at most while something is held; so a lease seldom has to wake it."""


class Keeper:
    """Watches the connections of one store, which it refers to weakly; started when there is one.

    Args:
        store: the store.
    """

    def __init__(self, store: SessionStore) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._theirs.setblocking(False)
        self._wakes_at = 0.0
        self._idle = False  # nothing was held when it looked last
        self._process = os.getpid()
        thread = threading.Thread(
            target=_keep, args=(weakref.ref(store), self), name="ringfence-locks-sessions", daemon=True
        )
        thread.start()

    def wake(self) -> None:
        """Have it look at the connections again."""
        try:
            self._theirs.send(b"x")
        except (BlockingIOError, OSError):
            return  # it is about to wake, or has ended

    def wake_within(self, seconds: float) -> None:
        """Have it look again if it would sleep for longer."""
        if now() + seconds < self._wakes_at:
            self.wake()

    def stop(self) -> None:
        """Let it end."""
        self._theirs.close()
        if self._process != os.getpid():
            self._ours.close()

    def sleep(self, lines: dict[int, int], seconds: float) -> list[int]:
        """Sleep for so long, or until something happens to a connection; return to which, by file descriptor.

        Args:
            lines: what to look for at each connection, besides its end.
            seconds: infinity where nothing is held.
        """
        poll = select.poll()
        poll.register(self._ours, select.POLLIN)
        for number, events in lines.items():
            poll.register(number, events | _ENDED)
        idle, self._idle = self._idle, seconds == math.inf
        seconds = seconds if idle and self._idle else max(min(seconds, _LONGEST), 0.0)
        self._wakes_at = now() + seconds
        left = None if seconds == math.inf else math.ceil(seconds * 1000)
        happened = [number for number, _ in poll.poll(left)]
        self._wakes_at = 0.0
        if self._ours.fileno() in happened:
            self._ours.recv(4096)
        return happened

    def end(self) -> None:
        """Free what it slept on."""
        self._ours.close()


def _keep(store: weakref.ref[SessionStore], keeper: Keeper) -> None:
    """Tend to the store for as long as it lives."""
    try:
        while (alive := store()) is not None and not alive.closed:
            lines, seconds = alive.watched()
            del alive
            happened = keeper.sleep(lines, seconds)
            if (alive := store()) is None or alive.closed:
                break
            alive.tend(happened)
            del alive
    finally:
        keeper.end()
