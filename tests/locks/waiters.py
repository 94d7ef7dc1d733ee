"""Threads and processes that wait for a lock, or hold it, while a test does harm to them or to the store."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from typing import Any

from ringfence.locks.lease import Lease
from ringfence.locks.manager import LockManager
from ringfence.locks.opening import open_store

SPAWN = multiprocessing.get_context("spawn")
PATIENCE = 60.0


def wait_until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for something that is bound to happen soon, on a machine that may be slow."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


class Waiter:
    """A thread that waits for a lock, and gives it back."""

    def __init__(self, manager: LockManager, name: str, ttl: float = 60.0) -> None:
        self.lease: Lease | None = None
        self.error: BaseException | None = None
        self._lock = manager.lock(name, ttl=ttl)
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        try:
            self.lease = self._lock.acquire(timeout=PATIENCE)
            if self.lease is not None:
                self.lease.release()
        except BaseException as error:
            self.error = error

    def granted(self) -> Lease:
        """Return the lease it had."""
        self._thread.join(PATIENCE * 2)
        if self.error is not None:
            raise self.error
        return taken(self.lease)


def taken(lease: Lease | None) -> Lease:
    """Return a lease that must have been had."""
    assert lease is not None, "the lock was not to be had"
    return lease


def until(holds: Callable[[], object], what: str) -> None:
    """Return when something holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def until_queued(url: str, name: str, count: int = 1) -> None:
    """Return when so many wait for a lock."""
    with closing(open_store(url)) as store:
        until(lambda: len(store.status(name).waiting) >= count, "it does not wait")


def hold(url: str, name: str, ttl: float, pipe: Connection) -> None:
    """Take the lock and keep it; tell the fence, and when it is lost."""
    with LockManager.from_url(url) as manager:
        lease = taken(manager.lock(name, ttl=ttl).acquire())
        pipe.send(lease.fence)
        end = time.monotonic() + PATIENCE
        while lease.valid and time.monotonic() < end:
            time.sleep(0.002)
        pipe.send("held" if lease.valid else "lost")
        pipe.poll(PATIENCE)


def stand_in_line(url: str, name: str) -> None:
    """Wait for the lock, and keep it."""
    with LockManager.from_url(url) as manager, manager.lock(name):
        time.sleep(PATIENCE)


@contextmanager
def process(work: Callable[..., None], *arguments: Any) -> Iterator[Any]:
    """Run a process until the end of the block; it does not outlive it, even if it was stopped."""
    started = SPAWN.Process(target=work, args=arguments, daemon=True)
    started.start()
    try:
        yield started
    finally:
        started.kill()
        started.join(PATIENCE)


@contextmanager
def holding(url: str, name: str, ttl: float) -> Iterator[tuple[Any, Connection]]:
    """Have a process take a lock and keep it; gives the process and what tells of it."""
    ours, theirs = SPAWN.Pipe()
    with closing(ours), closing(theirs), process(hold, url, name, ttl, theirs) as started:
        assert ours.poll(PATIENCE), "it did not get the lock"
        yield started, ours
