"""Locks for asyncio: the same as for threads, and cancellation at every await."""

import asyncio
import gc
import math
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ringfence.aio import Lease, LockManager
from ringfence.errors import InvalidType, InvalidValue, LeaseLost, NotHeld, StoreError, StoreTimeout
from ringfence.locks.acquire import withdraw
from ringfence.locks.stores.memory import MemoryStore
from ringfence.locks.stores.sqlite import SqliteStore
from ringfence.protocol import arun


@pytest.fixture
async def manager(url: str) -> AsyncIterator[LockManager]:
    async with LockManager.from_url(url) as opened:
        yield opened


def taken(lease: Lease | None) -> Lease:
    assert lease is not None
    return lease


async def wait_until(condition: Any, seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


async def test_a_block_holds_the_lock_and_gives_it_back(manager: LockManager) -> None:
    async with manager.lock("x") as lease:
        lease.check()
        assert [holder[:3] for holder in await manager.leases()] == [("x", lease.owner, lease.fence)]
        assert await manager.lock("x").acquire(blocking=False) is None
    assert await manager.leases() == []
    with pytest.raises(NotHeld):
        lease.check()


async def test_a_timeout_is_kept(manager: LockManager) -> None:
    async with manager.lock("x"):
        started = time.monotonic()
        assert await manager.lock("x").acquire(timeout=0.2) is None
        assert 0.2 <= time.monotonic() - started < 0.7


async def test_a_release_tells_whether_it_was_still_held(manager: LockManager) -> None:
    lease = taken(await manager.lock("x").acquire())
    assert await lease.release() is True
    assert await lease.release() is False


async def test_a_lease_is_renewed_for_as_long_as_it_is_held(manager: LockManager) -> None:
    async with manager.lock("x", ttl=0.9) as lease:
        await asyncio.sleep(1.3)
        lease.check()
        assert await manager.lock("x").acquire(blocking=False) is None


async def test_without_renewal_the_lease_is_lost_at_its_deadline(manager: LockManager) -> None:
    lost: list[float] = []
    started = time.monotonic()
    lease = taken(await manager.lock("x", ttl=0.3, renew=False).acquire())
    lease.on_lost(lambda which: lost.append(time.monotonic() - started))
    await wait_until(lambda: lost)
    assert 0.25 <= lost[0] < 0.9
    with pytest.raises(LeaseLost):
        await lease.extend()
    assert await lease.release() is False
    assert len(lost) == 1


async def test_a_lease_that_nobody_refers_to_ends_with_its_ttl(manager: LockManager) -> None:
    await manager.lock("x", ttl=0.3).acquire()
    gc.collect()
    assert await manager.lock("x").acquire(timeout=2) is not None


async def test_a_lease_taken_away_is_lost_at_the_next_renewal(manager: LockManager) -> None:
    lost: list[Lease] = []
    lease = taken(await manager.lock("x", ttl=6.0).acquire())
    lease.on_lost(lost.append)
    await arun(withdraw(manager._session.store, "x", lease.owner))
    await wait_until(lambda: lost, 5.5)
    assert lost == [lease]


async def test_an_extension_moves_the_deadline(manager: LockManager) -> None:
    lease = taken(await manager.lock("x", ttl=1.0, renew=False).acquire())
    await lease.extend(60)
    assert 59 < lease.remaining() <= 60


async def test_leaving_a_block_whose_lease_was_lost_raises(manager: LockManager) -> None:
    with pytest.raises(LeaseLost):
        async with manager.lock("x", ttl=0.3, renew=False):
            await asyncio.sleep(0.4)


async def test_one_lock_may_be_shared_by_tasks(manager: LockManager) -> None:
    """The shared lock object of other libraries lets one task release what another holds."""
    lock = manager.lock("x")
    inside: list[int] = []
    fences: list[int] = []

    async def work() -> None:
        for _ in range(5):
            async with lock as lease:
                inside.append(1)
                assert len(inside) == 1
                fences.append(lease.fence)
                await asyncio.sleep(0.001)
                inside.pop()

    await asyncio.gather(*(work() for _ in range(4)))
    assert len(fences) == 20
    assert fences == sorted(set(fences))


async def test_a_task_that_lost_its_lease_does_not_give_back_another_s(manager: LockManager) -> None:
    lock = manager.lock("x", ttl=0.3, renew=False)
    late = await lock.__aenter__()
    await wait_until(lambda: not late.valid)
    lock._ttl = 10.0
    other = await asyncio.create_task(lock.__aenter__())
    with pytest.raises(LeaseLost):
        await lock.__aexit__(None, None, None)
    other.check()
    assert [holder.owner for holder in await manager.leases()] == [other.owner]


async def test_a_callback_that_raises_is_reported(manager: LockManager) -> None:
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    lost: list[Lease] = []
    lease = taken(await manager.lock("x", ttl=0.3, renew=False).acquire())
    lease.on_lost(lambda which: 1 / 0)
    lease.on_lost(lost.append)
    await wait_until(lambda: lost)
    assert [type(context["exception"]) for context in reported] == [ZeroDivisionError]


async def test_a_callback_is_no_coroutine_function(manager: LockManager) -> None:
    async def callback(lease: Lease) -> None:
        raise AssertionError

    async with manager.lock("x") as lease:
        with pytest.raises(InvalidType, match="plain function"):
            lease.on_lost(callback)


async def test_bad_arguments_are_refused(manager: LockManager) -> None:
    with pytest.raises(InvalidType):
        manager.lock(b"x")  # type: ignore[arg-type]
    with pytest.raises(InvalidValue):
        manager.lock("x", ttl=math.inf)
    with pytest.raises(InvalidValue):
        await manager.lock("x").acquire(timeout=-1)


async def test_closing_releases_what_is_held() -> None:
    store = MemoryStore()
    manager = LockManager(store)
    lease = taken(await manager.lock("x").acquire())
    await manager.close()
    await manager.close()
    assert store.leases() == []
    assert await lease.release() is False
    with pytest.raises(StoreError, match="closed"):
        await manager.lock("x").acquire()


async def test_closing_ends_the_waiting_of_others(manager: LockManager) -> None:
    taken(await manager.lock("x").acquire())
    waiters = [asyncio.create_task(manager.lock("x").acquire()) for _ in range(2)]
    await asyncio.sleep(0.1)
    await manager.close()
    answers = await asyncio.wait_for(asyncio.gather(*waiters, return_exceptions=True), 20)
    assert [isinstance(answer, StoreError) for answer in answers] == [True, True], answers


def test_a_manager_thrown_away_with_its_loop_leaves_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        manager = LockManager.from_url(f"sqlite:///{tmp_path}/locks.db")
        assert await manager.lock("x", ttl=0.1).acquire() is not None

    asyncio.run(main())
    gc.collect()  # a connection left open would be a ResourceWarning, which is an error here


def test_a_manager_may_outlive_an_event_loop() -> None:
    manager = LockManager(MemoryStore())

    async def hold() -> None:
        async with manager.lock("x", ttl=0.3) as lease:
            await asyncio.sleep(0.5)
            lease.check()

    asyncio.run(hold())
    asyncio.run(hold())
    asyncio.run(manager.close())


class Slow(MemoryStore):
    """A store that takes its time, and so is used beside the event loop."""

    def __init__(self) -> None:
        super().__init__()
        self.delay = 0.01

    def grant(self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1) -> int | None:
        time.sleep(self.delay)
        answer = super().grant(name, owner, ttl, queue, fences)
        time.sleep(self.delay)
        return answer

    def release(self, name: str, owner: str, fence: int) -> bool:
        time.sleep(self.delay)
        return super().release(name, owner, fence)


class Beside(LockManager):
    """A manager that uses its memory store as if it were a file."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(_Wrapped(store))


class _Wrapped:
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.mark.parametrize("milliseconds", range(0, 60, 2))
async def test_a_task_cancelled_at_any_time_holds_nothing(milliseconds: int) -> None:
    store = Slow()
    async with Beside(store) as manager:

        async def use() -> None:
            async with manager.lock("x"):
                await asyncio.sleep(0.01)

        task = asyncio.create_task(use())
        await asyncio.sleep(milliseconds / 1000)
        task.cancel()
        await asyncio.wait([task])
        assert await manager.leases() == []  # the thread carries out first what was asked for before


async def test_a_task_cancelled_twice_holds_nothing() -> None:
    store = Slow()
    async with Beside(store) as manager:
        task = asyncio.create_task(manager.lock("x").acquire())
        await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert await manager.leases() == []


async def test_a_waiting_task_that_is_cancelled_leaves_the_holder_alone(manager: LockManager) -> None:
    async with manager.lock("x") as lease:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(manager.lock("x").acquire(), 0.05)
        lease.check()
        assert [holder.owner for holder in await manager.leases()] == [lease.owner]


async def test_the_loop_runs_on_while_the_file_is_locked(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "locks.db", timeout=0.3)
    store.grant("y", "someone", 10.0)
    connection = store._pool.take()
    connection.execute("BEGIN IMMEDIATE")
    async with LockManager(SqliteStore(tmp_path / "locks.db", timeout=0.3)) as manager:
        waiting = asyncio.create_task(manager.lock("x").acquire(timeout=0.2))
        started, turns = time.monotonic(), 0
        while not waiting.done():
            await asyncio.sleep(0.005)
            turns += 1
        assert turns > 10
        assert time.monotonic() - started < 30.0
        with pytest.raises(StoreTimeout):
            waiting.result()
    connection.execute("ROLLBACK")
    store._pool.give(connection)
    store.close()


class Telling(SqliteStore):
    """A store that blocks, and learns of losses by itself."""

    on_lost: Any = None


async def test_what_the_store_says_is_lost_is_lost_at_once_and_reported_by_the_loop(tmp_path: Path) -> None:
    store = Telling(tmp_path / "locks.db")
    async with LockManager(store) as manager:
        lease = taken(await manager.lock("x", ttl=1000).acquire())
        reported: list[asyncio.AbstractEventLoop] = []
        lease.on_lost(lambda _: reported.append(asyncio.get_running_loop()))
        thread = threading.Thread(target=store.on_lost, args=(None,))
        thread.start()
        thread.join(30)
        assert not lease.valid
        await wait_until(lambda: reported, 30.0)
        assert reported == [asyncio.get_running_loop()]


def test_a_store_may_tell_of_a_loss_after_the_loop_has_ended(tmp_path: Path) -> None:
    store = Telling(tmp_path / "locks.db")

    async def hold() -> LockManager:
        manager = LockManager(store)
        taken(await manager.lock("x", ttl=1000).acquire())
        return manager

    manager = asyncio.run(hold())
    store.on_lost(None)
    asyncio.run(manager.close())
