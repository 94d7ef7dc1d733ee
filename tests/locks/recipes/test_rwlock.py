"""Readers hold together, a writer holds alone, and neither overtakes the other."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from ringfence import InvalidType, InvalidValue, LeaseLost, LockManager, aio
from ringfence.locks.lease import Lease
from ringfence.locks.lock import Lock
from ringfence.locks.stores.memory import MemoryStore
from tests.locks.recipes.carriers import SHARING, Alone

LONG = 30.0
sharing = pytest.mark.parametrize("url", SHARING, indirect=True)


def taken(lease: Lease | None) -> Lease:
    assert lease is not None
    return lease


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


def wait_for_waiters(lock: Lock, count: int) -> None:
    wait_until(lambda: len(lock.info().waiting) >= count)


@sharing
def test_readers_hold_together_under_fences_of_their_own(manager: LockManager, other: LockManager) -> None:
    with manager.rwlock("x").read as first, other.rwlock("x").read as second:
        first.check()
        second.check()
        assert second.fence > first.fence
        assert second.name == "x"
        assert manager.rwlock("x").write.acquire(blocking=False) is None
    assert manager.leases() == []


@sharing
def test_a_writer_holds_alone(manager: LockManager, other: LockManager) -> None:
    with manager.rwlock("x").write:
        for rwlock in (manager.rwlock("x"), other.rwlock("x")):
            assert rwlock.read.acquire(blocking=False) is None
            assert rwlock.write.acquire(blocking=False) is None
    with other.rwlock("x").read:
        pass


@sharing
def test_a_waiting_writer_stops_new_readers(manager: LockManager, other: LockManager) -> None:
    came: list[str] = []
    rwlock = manager.rwlock("x")

    def take(lock: object, who: str) -> None:
        with lock:  # type: ignore[attr-defined]
            came.append(who)

    reader = taken(rwlock.read.acquire())
    threads = []
    for number, (lock, who) in enumerate([(other.rwlock("x").write, "writer"), (rwlock.read, "reader")]):
        threads.append(threading.Thread(target=take, args=(lock, who), daemon=True))
        threads[-1].start()
        wait_for_waiters(rwlock.read, number + 1)
    assert rwlock.read.acquire(blocking=False) is None
    assert came == []
    reader.release()
    for thread in threads:
        thread.join(LONG)
    assert came == ["writer", "reader"]


@sharing
def test_readers_that_wait_behind_a_writer_come_in_together(manager: LockManager) -> None:
    rwlock = manager.rwlock("x")
    inside = threading.Barrier(4)
    writer = taken(rwlock.write.acquire())

    def read() -> None:
        with rwlock.read:
            inside.wait(LONG)

    threads = [threading.Thread(target=read, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_for_waiters(rwlock.write, 3)
    writer.release()
    inside.wait(LONG)
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()


@sharing
def test_readers_and_writers_never_meet(manager: LockManager, other: LockManager) -> None:
    inside = {"readers": 0, "writers": 0}
    guard = threading.Lock()
    met: list[dict[str, int]] = []

    def enter(kind: str, by: int) -> None:
        with guard:
            inside[kind] += by
            if inside["writers"] > 1 or (inside["writers"] and inside["readers"]):
                met.append(dict(inside))

    def work(number: int) -> None:
        rwlock = (manager, other)[number % 2].rwlock("x")
        for turn in range(8):
            kind = "writers" if (turn + number) % 3 == 0 else "readers"
            with rwlock.write if kind == "writers" else rwlock.read:
                enter(kind, 1)
                time.sleep(0.001)
                enter(kind, -1)

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()
    assert met == []
    assert manager.leases() == []


@sharing
def test_a_writer_that_gives_up_lets_the_readers_behind_it_in(manager: LockManager) -> None:
    rwlock = manager.rwlock("x")
    first = taken(rwlock.read.acquire())
    second: list[Lease] = []
    writer = threading.Thread(target=lambda: rwlock.write.acquire(timeout=1.0), daemon=True)
    reader = threading.Thread(target=lambda: second.append(taken(rwlock.read.acquire())), daemon=True)
    writer.start()
    wait_until(lambda: rwlock.read.info().waiting or not writer.is_alive())
    reader.start()
    for thread in (writer, reader):
        thread.join(LONG)
    assert second[0].valid
    assert first.valid


@sharing
def test_the_plain_lock_of_the_name_is_another(manager: LockManager) -> None:
    with manager.lock("x"), manager.rwlock("x").write as lease:
        lease.check()
        assert len(manager.leases()) == 2


@sharing
def test_both_sides_are_extended_and_tell_when_they_are_lost(
    manager: LockManager, other: LockManager
) -> None:
    rwlock = manager.rwlock("x", ttl=30, renew=False)
    for lock in (rwlock.read, rwlock.write):
        lease = taken(lock.acquire())
        lease.extend(70)
        assert lease.remaining() > 30
        lost: list[Lease] = []
        lease.on_lost(lost.append)
        assert other._session.store.release(lease.name, lease.owner, lease.fence)
        with pytest.raises(LeaseLost):
            lease.extend()
        assert not lease.valid
        assert lost == [lease]


def test_readers_are_renewed() -> None:
    with LockManager(MemoryStore()) as manager, manager.rwlock("x", ttl=3.0).read as lease:
        least = lease.remaining()

        def was_renewed() -> bool:
            nonlocal least
            least = min(least, lease.remaining())
            return lease.remaining() > least + 0.2

        wait_until(was_renewed)


@sharing
def test_what_holds_and_waits_is_told(manager: LockManager) -> None:
    rwlock = manager.rwlock("x", ttl=60)
    with rwlock.read as first, rwlock.read as second:
        status = rwlock.write.info()
        assert [one[:3] for one in status.holders] == [("x", one.owner, one.fence) for one in (first, second)]
        assert all(0 < one.remaining <= 60 for one in status.holders)
        assert status.waiting == ()


@sharing
async def test_tasks_read_together_and_write_alone(tasks: aio.LockManager) -> None:
    rwlock = tasks.rwlock("x")
    came: list[str] = []

    async def take(lock: aio.Lock, who: str) -> None:
        async with lock:
            came.append(who)

    async with asyncio.timeout(LONG):
        async with rwlock.read, rwlock.read as second:
            second.check()
            writer = asyncio.create_task(take(rwlock.write, "writer"))
            while not (await rwlock.read.info()).waiting:
                await asyncio.sleep(0.002)
            reader = asyncio.create_task(take(rwlock.read, "reader"))
            while len((await rwlock.read.info()).waiting) < 2:
                await asyncio.sleep(0.002)
            assert came == []
        await asyncio.gather(writer, reader)
        assert came == ["writer", "reader"]
        assert await tasks.leases() == []


@sharing
async def test_a_cancelled_writer_lets_the_readers_behind_it_in(tasks: aio.LockManager) -> None:
    rwlock = tasks.rwlock("x")
    async with asyncio.timeout(LONG), rwlock.read:
        writer = asyncio.create_task(rwlock.write.acquire())
        while not (await rwlock.read.info()).waiting:
            await asyncio.sleep(0.002)
        reader = asyncio.create_task(rwlock.read.acquire())
        while len((await rwlock.read.info()).waiting) < 2:
            await asyncio.sleep(0.002)
        writer.cancel()
        lease = await reader
        assert lease is not None
        assert await lease.release()
    assert await tasks.leases() == []


async def test_a_store_that_cannot_carry_it_refuses() -> None:
    for manager in (LockManager(Alone()), aio.LockManager(Alone())):
        with pytest.raises(InvalidValue, match="one holder at a time"):
            manager.rwlock("x")


@sharing
def test_wrong_arguments_are_refused(manager: LockManager) -> None:
    with pytest.raises(InvalidType, match="the name of a lock is a str"):
        manager.rwlock(7)  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="1 to 255 bytes"):
        manager.rwlock("")
    with pytest.raises(InvalidValue, match="ttl"):
        manager.rwlock("x", ttl=0)
