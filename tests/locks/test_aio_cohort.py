"""The tasks of one event loop hand a lock on among themselves; a cancelled one is left out."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ringfence.aio import LockManager
from ringfence.locks import rules
from ringfence.locks.stores.memory import MemoryStore
from tests.locks.remote import Remote


@pytest.fixture
def store() -> Remote:
    return Remote(MemoryStore())


@pytest.fixture
async def manager(store: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LockManager]:
    monkeypatch.setattr(
        rules, "_HAND_ON_FOR", 60.0
    )  # on a busy machine a hand-off may take longer than it should
    async with LockManager(store) as manager:
        yield manager


async def test_tasks_take_turns_and_seldom_ask_the_store(manager: LockManager, store: Remote) -> None:
    counts = [0] * 32
    fences: list[int] = []

    async def work(number: int) -> None:
        while sum(counts) < 32 * 20:
            async with manager.lock("x", ttl=60.0) as lease:
                counts[number] += 1
                fences.append(lease.fence)

    await asyncio.wait_for(asyncio.gather(*(work(number) for number in range(32))), 60)
    assert max(counts) - min(counts) <= 1
    assert fences == sorted(set(fences))
    assert store.asked["release"] <= len(fences) / 16


@pytest.mark.parametrize("turns", range(30))
async def test_a_task_cancelled_anywhere_in_line_is_left_out(
    manager: LockManager, store: Remote, turns: int
) -> None:
    """The second of three is cancelled after some turns of the loop; the lock may have been handed to it by then."""
    order: list[str] = []

    async def use(who: str) -> None:
        async with manager.lock("x", ttl=60.0):
            order.append(who)
            await asyncio.sleep(0)
            order.append(who)

    tasks = [asyncio.create_task(use(who)) for who in ("first", "second", "third")]
    for _ in range(turns):
        await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.wait(tasks, timeout=30)
    assert all(task.done() for task in tasks)
    assert order[:2] == ["first"] * 2
    assert order[-2:] == ["third"] * 2
    assert store.leases() == []


def test_a_line_ends_with_its_event_loop() -> None:
    manager = LockManager(Remote(MemoryStore()))

    async def leave_holding() -> None:
        await manager.lock("x", ttl=0.2).acquire()

    async def acquire() -> bool:
        return await manager.lock("x").acquire(timeout=20) is not None

    asyncio.run(leave_holding())
    assert asyncio.run(acquire())
    asyncio.run(manager.close())
