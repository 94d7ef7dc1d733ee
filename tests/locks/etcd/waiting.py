"""Threads that wait for a lock, and looks at the queue."""

import threading
import time
from collections.abc import Callable

from ringfence.errors import StoreError
from ringfence.locks.lease import Lease
from ringfence.locks.manager import LockManager
from ringfence.locks.stores.etcd.store import EtcdStore

PATIENCE = 60.0


class Waiter:
    """A thread that waits for a lock, and gives it back."""

    def __init__(self, manager: LockManager, name: str, ttl: float = 10.0) -> None:
        self.lease: Lease | None = None
        self._lock = manager.lock(name, ttl=ttl)
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        self.lease = self._lock.acquire(timeout=PATIENCE)
        if self.lease is not None:
            self.lease.release()

    def granted(self) -> Lease:
        """Return the lease it had."""
        self._thread.join(PATIENCE)
        assert self.lease is not None, "the waiter was forgotten"
        return self.lease


def await_queue(url: str, name: str, count: int = 1) -> None:
    """Return when so many wait for a lock."""
    store = EtcdStore(url)
    until(lambda: len(store.status(name).waiting) == count)
    store.close()


def until(condition: Callable[[], object]) -> None:
    """Return when a condition is met; an etcd that does not answer is asked again."""
    deadline = time.monotonic() + PATIENCE
    while not met(condition):
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.02)


def until_answered(ask: Callable[[], object]) -> None:
    """Ask until etcd answers."""
    until(lambda: (ask(), "answered"))


def met(condition: Callable[[], object]) -> bool:
    try:
        return bool(condition())
    except StoreError:
        return False


def taken(lease: Lease | None) -> Lease:
    assert lease is not None
    return lease
