"""What a thread waits on until another one wakes it; `ringfence.aio.waiter` has the one of tasks."""

from __future__ import annotations

import threading
from typing import Protocol


class Waiter(Protocol):
    """One wait of a thread or task, which any thread may end."""

    since: float | None
    """When a store first looked for this waiter, on the store's clock."""

    def wake(self) -> None:
        """End the wait, or the one to come. A second call is harmless."""


class ThreadWaiter:
    """A thread's wait; a bare lock, for a condition costs several times as much."""

    __slots__ = ("__weakref__", "_asleep", "since")

    def __init__(self) -> None:
        self.since: float | None = None
        self._asleep = threading.Lock()
        self._asleep.acquire()

    def wait(self, seconds: float) -> None:
        """Wait until woken, `seconds` at most."""
        self._asleep.acquire(timeout=max(min(seconds, threading.TIMEOUT_MAX), 0.0))

    def wake(self) -> None:
        """End the wait."""
        try:
            self._asleep.release()
        except RuntimeError:
            return  # it was woken before, and has not waited since
