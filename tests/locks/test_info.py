"""What `lock.info()` tells: who holds the lock, its fence, the time left, and who waits."""

import asyncio
import threading
import time

import pytest

from ringfence import LockManager, aio
from ringfence.errors import StoreError

LONG = 30.0


def test_a_free_lock_has_neither_holder_nor_waiters(url: str) -> None:
    with LockManager.from_url(url) as manager:
        assert manager.lock("x").info() == ((), ())
        assert manager.lock("x").info().holder is None


def test_the_holder_is_told_with_fence_and_time_left(url: str) -> None:
    with LockManager.from_url(url) as manager, manager.lock("x", ttl=60) as lease:
        holder = manager.lock("x").info().holder
        assert holder is not None
        assert holder[:3] == ("x", lease.owner, lease.fence)
        assert 0 < holder.remaining <= 60


def test_who_waits_elsewhere_is_told(url: str) -> None:
    with LockManager.from_url(url) as manager, LockManager.from_url(url) as other:
        lock = manager.lock("x", ttl=60)
        with lock:
            thread = threading.Thread(target=other.lock("x").acquire, kwargs={"timeout": LONG})
            thread.start()
            end = time.monotonic() + LONG
            while not (waiting := lock.info().waiting) and time.monotonic() < end:
                time.sleep(0.002)
        thread.join(LONG)
        holder = lock.info().holder
        assert holder is not None
        assert waiting == (holder.owner,)


async def test_tasks_are_told_the_same(url: str) -> None:
    async with aio.LockManager.from_url(url) as manager, aio.LockManager.from_url(url) as other:
        lock = manager.lock("x", ttl=60)
        async with asyncio.timeout(LONG), lock as lease:
            waiter = asyncio.create_task(other.lock("x").acquire())
            while not (status := await lock.info()).waiting:
                await asyncio.sleep(0.002)
            assert [one[:3] for one in status.holders] == [("x", lease.owner, lease.fence)]
        held = await asyncio.wait_for(waiter, LONG)
        assert held is not None
        assert status.waiting == (held.owner,)


def test_a_store_that_fails_says_so(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        raise StoreError("no")

    with LockManager.from_url(url) as manager:
        monkeypatch.setattr(manager._session.store, "status", fail)
        with pytest.raises(StoreError):
            manager.lock("x").info()
