"""What the parts of the conformance suite of lock stores share."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from ringfence._core.leases import new_owner
from ringfence.locks.stores import LockStore

LONG = 60.0
"""Seconds of a lease that does not end during a test."""


class StoreSuite(ABC):
    """How a suite gets at the store, and at the time.

    Attributes:
        ttl: seconds after which the leases end that are to end during a test; raise it for a slow store.
        shows_queue: whether the store can name those who wait.
        patience: seconds within which one that is woken goes on, however busy the machine is.
    """

    ttl = 0.25
    shows_queue = True
    patience = 5.0

    @abstractmethod
    def open(self) -> LockStore:
        """Return a store on which the names of the test are free."""

    def restart(self, store: LockStore) -> LockStore:
        """Stop a store and return it started again; where it keeps nothing, an empty one."""
        store.close()
        return self.open()

    def wait(self, seconds: float) -> None:
        """Let time pass for the store."""
        time.sleep(seconds)

    def now(self) -> float:
        """Return the time in seconds."""
        return time.monotonic()

    @contextmanager
    def _opened(self) -> Iterator[LockStore]:
        store = self.open()
        try:
            yield store
        finally:
            store.close()


def granted(store: LockStore, name: str, owner: str, ttl: float) -> int:
    """Take a lock that is free, and return the fence."""
    fence = store.grant(name, owner, ttl)
    assert fence is not None, f"{name!r} was free and not granted"
    return fence


def take_and_free(store: LockStore, name: str) -> int:
    """Take a lock that is free, release it, and return the fence."""
    owner = new_owner()
    fence = granted(store, name, owner, LONG)
    assert store.release(name, owner, fence) is True, f"{name!r} was held and not released"
    return fence


def ask_at_once(store: LockStore, name: str, count: int) -> list[int | None]:
    """Have `count` threads ask for one lock at the same moment, and return what each was answered."""
    answers: list[int | None] = []
    start = threading.Barrier(count)

    def ask() -> None:
        start.wait()
        answers.append(store.grant(name, new_owner(), LONG))

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers
