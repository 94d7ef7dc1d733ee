"""Reentrant locks: the same thread or task may enter again, nobody else may enter before it has left for good."""

import asyncio
import gc
import os
import threading
from typing import Any

import pytest

from ringfence import InvalidValue, Lease, LeaseLost, LockManager, StoreError, aio
from ringfence.locks.recipes import rlock
from ringfence.locks.stores.memory import MemoryStore
from tests.locks.recipes.beside import LONG, Beside, asked, taken, until, wait_until
from tests.locks.recipes.carriers import SHARING

every = pytest.mark.parametrize("url", SHARING, indirect=True)


def is_free(manager: LockManager, name: str = "x") -> bool:
    """Say whether others can have the lock now."""
    lease = Beside(lambda: manager.rlock(name).acquire(blocking=False)).result()
    if lease is not None:
        assert lease.release()
    return lease is not None


@every
def test_the_same_thread_enters_again_under_the_same_fence(manager: LockManager) -> None:
    with manager.rlock("x") as outer:
        with manager.rlock("x") as inner:
            assert inner.fence == outer.fence
            assert [holder[:3] for holder in manager.leases()] == [("x", outer.owner, outer.fence)]
        assert outer.valid
        assert not inner.valid
        assert not is_free(manager)
    assert manager.leases() == []
    assert is_free(manager)


def test_it_is_given_back_when_left_as_often_as_entered_in_any_order(manager: LockManager) -> None:
    lock = manager.rlock("x")
    entries = [taken(lock.acquire()) for _ in range(3)]
    for at in (1, 0):
        assert entries[at].release()
        assert not is_free(manager)
        assert entries[2].valid
    assert entries[2].release()
    assert is_free(manager)


def test_an_entry_released_twice_leaves_once(manager: LockManager) -> None:
    with manager.rlock("x") as outer:
        with manager.rlock("x") as inner:
            assert inner.release() is True
            assert inner.release() is False
        assert outer.valid
        assert not is_free(manager)


def test_another_thread_waits(manager: LockManager) -> None:
    with manager.rlock("x") as lease, manager.rlock("x"):
        waiting = Beside(lambda: taken(manager.rlock("x").acquire()))
        threading.Event().wait(0.1)
        assert not waiting.ended
    assert waiting.result().fence > lease.fence


@every
def test_another_manager_waits(manager: LockManager, other: LockManager) -> None:
    with manager.rlock("x"):
        assert other.rlock("x").acquire(blocking=False) is None
        assert other.lock("x").acquire(blocking=False) is None
        assert manager.lock("x").acquire(timeout=0.05) is None
    with other.rlock("x"):
        assert manager.rlock("x").acquire(blocking=False) is None


def test_a_thread_of_the_same_number_is_not_the_same_thread(manager: LockManager) -> None:
    entries: list[Lease | None] = []
    numbers = []

    def enter(blocking: bool) -> None:
        numbers.append(threading.get_ident())
        entries.append(manager.rlock("x").acquire(blocking=blocking))

    Beside(lambda: enter(True)).result()
    for _ in range(20):
        Beside(lambda: enter(False)).result()
    assert entries[0] is not None
    assert entries[1:] == [None] * 20


def test_other_names_are_other_locks(manager: LockManager) -> None:
    with manager.rlock("x") as x, manager.rlock("y") as y:
        assert x.owner != y.owner
        assert len(manager.leases()) == 2


def test_what_is_lost_is_lost_for_every_entry(manager: LockManager) -> None:
    lost: list[str] = []
    with pytest.raises(LeaseLost) as caught, manager.rlock("x") as outer:  # noqa: PT012
        outer.on_lost(lambda _: lost.append("outer"))
        with manager.rlock("x") as inner:
            inner.on_lost(lambda lease: lost.append("inner") if lease is inner else None)
            taken(manager.rlock("x").acquire()).release()
            lose(manager, outer)
            assert sorted(lost) == ["inner", "outer"]
            with pytest.raises(LeaseLost):
                manager.rlock("x").acquire()
            with pytest.raises(LeaseLost):
                inner.check()
            assert inner.release() is False
    assert caught.value.fence == outer.fence
    with manager.rlock("x") as again:
        assert again.fence > outer.fence


def test_it_is_lost_at_its_deadline() -> None:
    lost: list[Lease] = []
    with LockManager(MemoryStore()) as manager:
        outer = taken(manager.rlock("x", ttl=2.0, renew=False).acquire())
        inner = taken(manager.rlock("x").acquire())
        inner.on_lost(lost.append)
        wait_until(lambda: lost)
        assert lost == [inner]
        assert (inner.release(), outer.release()) == (False, False)


def test_a_released_entry_is_not_told_of_a_later_loss(manager: LockManager) -> None:
    lost: list[str] = []
    outer = taken(manager.rlock("x").acquire())
    outer.on_lost(lambda _: lost.append("outer"))
    inner = taken(manager.rlock("x").acquire())
    inner.on_lost(lambda _: lost.append("inner"))
    assert inner.release()
    lose(manager, outer)
    assert lost == ["outer"]


def lose(manager: LockManager, lease: Lease) -> None:
    """Take a lease away, and let its holder find out."""
    assert manager._session.store.release(lease.name, lease.owner, lease._claim.fence)
    with pytest.raises(LeaseLost):
        lease.extend()


def test_an_entry_that_is_forgotten_does_not_keep_the_lock(manager: LockManager) -> None:
    outer = taken(manager.rlock("x").acquire())
    manager.rlock("x").acquire()
    gc.collect()
    assert outer.release()
    assert is_free(manager)


def test_a_thread_that_ends_without_release_is_followed_after_the_ttl(manager: LockManager) -> None:
    Beside(lambda: manager.rlock("x", ttl=0.3).acquire() and None).result()
    gc.collect()
    assert taken(manager.rlock("x").acquire(timeout=LONG)).release()


def test_an_extension_holds_for_all_entries(manager: LockManager) -> None:
    with manager.rlock("x", ttl=5.0, renew=False) as outer, manager.rlock("x") as inner:
        inner.extend(1000)
        assert outer.remaining() > 900


def test_an_error_while_entering_leaves_nothing_behind(
    manager: LockManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(held: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(rlock.RLock, "_entry", staticmethod(interrupted))
        with pytest.raises(KeyboardInterrupt):
            manager.rlock("x").acquire()
    assert is_free(manager)
    with manager.rlock("x"):
        with monkeypatch.context() as broken:
            broken.setattr(rlock.RLock, "_entry", staticmethod(interrupted))
            with pytest.raises(KeyboardInterrupt):
                manager.rlock("x").acquire()
        assert not is_free(manager)
    assert is_free(manager)


def test_closing_the_manager_releases_it(url: str, other: LockManager) -> None:
    manager = LockManager.from_url(url)
    entries = [taken(manager.rlock("x").acquire()) for _ in range(2)]
    manager.close()
    assert is_free(other)
    assert [entry.release() for entry in entries] == [False, False]
    with pytest.raises(StoreError, match="closed"):
        manager.rlock("x").acquire()


def test_a_forked_child_holds_nothing() -> None:
    with LockManager(MemoryStore()) as manager, manager.rlock("x") as lease:
        child = os.fork()
        if child == 0:
            store = manager._session.store
            store.forked()  # type: ignore[attr-defined]  # a named store does so by itself
            again = manager.rlock("x").acquire(blocking=False)
            os._exit(int(lease.valid or lease.release() or again is None or again.fence == lease.fence))
        assert os.waitpid(child, 0)[1] == 0
        assert lease.valid


def test_it_cannot_be_handed_over(manager: LockManager) -> None:
    with manager.rlock("x") as lease, pytest.raises(InvalidValue, match="reentrant"):
        lease.to_token()


async def test_the_same_task_enters_again_and_others_wait(tasks: aio.LockManager) -> None:
    async def enter() -> int:
        async with tasks.rlock("x") as lease:
            return lease.fence

    async with tasks.rlock("x") as outer:
        async with tasks.rlock("x") as inner:
            assert inner.fence == outer.fence
            child = asyncio.create_task(enter())
            await asyncio.sleep(0.05)
            assert not child.done()
        assert outer.valid
        assert len(await tasks.leases()) == 1
    assert await asyncio.wait_for(child, LONG) > outer.fence
    assert await tasks.leases() == []


async def test_a_cancelled_entry_leaves_nothing_behind(tasks: aio.LockManager) -> None:
    async def enter_twice(at: asyncio.Event) -> None:
        async with tasks.rlock("x"), tasks.rlock("x"):
            at.set()
            await asyncio.sleep(LONG)

    inside = asyncio.Event()
    task = asyncio.create_task(enter_twice(inside))
    await asyncio.wait_for(inside.wait(), LONG)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await tasks.leases() == []


async def test_tasks_learn_of_a_loss_in_every_entry(tasks: aio.LockManager) -> None:
    async with tasks.rlock("x") as outer:
        async with tasks.rlock("x") as inner:
            lost: list[aio.Lease] = []
            inner.on_lost(lost.append)
            assert await asked(tasks, "release", "x", outer.owner, outer._claim.fence)
            with pytest.raises(LeaseLost):
                await outer.extend()
            await until(lambda: lost)
            assert await inner.release() is False
        assert await outer.release() is False


async def test_cancel_on_lost_ends_all_blocks_with_one_error(url: str) -> None:
    async with aio.LockManager.from_url(url) as manager:
        outer = manager.rlock("x", ttl=0.3, renew=False, cancel_on_lost=True)
        with pytest.raises(LeaseLost):
            await sleep_in(outer, manager.rlock("x", cancel_on_lost=True))


async def sleep_in(*locks: aio.RLock) -> None:
    async with locks[0], locks[1]:
        await asyncio.sleep(LONG)
