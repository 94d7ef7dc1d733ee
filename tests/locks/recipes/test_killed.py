"""A process that dies with a share takes nothing with it for longer than its ttl."""

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import pytest

from ringfence import LockManager
from ringfence.locks.lease import Lease
from ringfence.locks.lock import Lock
from tests.locks.recipes.carriers import of_server
from tests.locks.recipes.test_rwlock import LONG, taken, wait_for_waiters

SPAWN = multiprocessing.get_context("spawn")
pytestmark = pytest.mark.parametrize("url", ["sqlite", of_server("redis")], indirect=True)


def permit(manager: LockManager) -> Lock:
    return manager.semaphore("pool", 1, ttl=2.0)


def writing(manager: LockManager) -> Lock:
    return manager.rwlock("x", ttl=2.0).write


def hold(url: str, make: Callable[[LockManager], Lock], pipe: Connection) -> None:
    """Take a lock, and keep it until killed."""
    with LockManager.from_url(url) as manager, make(manager) as lease:
        pipe.send(lease.fence)
        pipe.recv()


@contextmanager
def killed_in_the_end(url: str, make: Callable[[LockManager], Lock]) -> Iterator[int]:
    """Have another process hold a lock, and kill it at the end of the block."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=hold, args=(url, make, theirs))
    process.start()
    try:
        assert ours.poll(4 * LONG)
        yield ours.recv()
    finally:
        process.kill()
        process.join(LONG)
        ours.close()
        theirs.close()


def test_the_permit_of_a_killed_holder_goes_to_the_next(url: str) -> None:
    with LockManager.from_url(url) as manager:
        with killed_in_the_end(url, permit) as fence:
            assert permit(manager).acquire(blocking=False) is None
        lease = taken(permit(manager).acquire(timeout=LONG))
        assert lease.fence > fence


def test_readers_that_wait_for_a_killed_writer_come_in_together(url: str) -> None:
    with LockManager.from_url(url) as manager:
        read = manager.rwlock("x").read
        leases: list[Lease] = []
        readers = [
            threading.Thread(target=lambda: leases.append(taken(read.acquire(timeout=3 * LONG))))
            for _ in range(2)
        ]
        with killed_in_the_end(url, writing) as fence:
            for reader in readers:
                reader.start()
            wait_for_waiters(read, 2)
            assert leases == []
        for reader in readers:
            reader.join(4 * LONG)
        assert all(lease.valid and lease.fence > fence for lease in leases)
        assert len(leases) == 2
