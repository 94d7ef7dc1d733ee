"""Guarded writes from asyncio."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ringfence import aio
from ringfence.errors import FenceRejected, InvalidType, NotHeld
from ringfence.locks.guards import FileGuard, Guard


@pytest.fixture
def guard(tmp_path: Path) -> FileGuard:
    return FileGuard(tmp_path / "report.txt")


async def put(guard: FileGuard, fence: int, text: str) -> None:
    async with aio.guarded(guard, fence) as file:
        file.write(text.encode())


async def test_fences_may_rise_and_repeat_but_never_fall(guard: FileGuard) -> None:
    for fence in (5, 5, 9):
        await put(guard, fence, str(fence))
    with pytest.raises(FenceRejected):
        await put(guard, 8, "8")
    assert guard.path.read_text() == "9"
    with pytest.raises(InvalidType):
        await put(guard, None, "")  # type: ignore[arg-type]


async def test_a_lease_of_asyncio_is_as_good_as_its_fence(guard: FileGuard) -> None:
    async with aio.LockManager.from_url("memory://") as manager:
        async with manager.lock("x") as lease, aio.guarded(guard, lease) as file:
            file.write(b"held")
        with pytest.raises(NotHeld):
            async with aio.guarded(guard, lease):
                pass
    assert guard.path.read_text() == "held"


async def test_a_block_that_fails_writes_nothing(guard: FileGuard) -> None:
    await put(guard, 1, "old")

    async def fail() -> None:
        async with aio.guarded(guard, 2) as file:
            file.write(b"new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert guard.path.read_text() == "old"


async def test_a_block_that_is_cancelled_writes_nothing(guard: FileGuard) -> None:
    await put(guard, 1, "old")
    inside = asyncio.Event()

    async def wait() -> None:
        async with aio.guarded(guard, 2) as file:
            file.write(b"new")
            inside.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(wait())
    await asyncio.wait_for(inside.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert guard.path.read_text() == "old"


async def test_a_task_cancelled_while_it_waits_for_another_leaves_nothing_open(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with Guard(path, "x", timeout=30) as guard, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(enter(guard))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.sleep(0.05)
        assert not task.done()  # the thread still waits, and what it gets is given back
        other.execute("ROLLBACK")
        with pytest.raises(asyncio.CancelledError):
            await task
        async with aio.guarded(guard, 1):
            pass
        assert guard.mark() == 1


async def enter(guard: Guard) -> None:
    async with aio.guarded(guard, 2):
        raise AssertionError("it was cancelled before")


async def test_the_loop_runs_while_writers_wait_for_each_other(tmp_path: Path) -> None:
    """More of them than a pool of threads would have; one that writes always finds a thread to end in."""
    with Guard(tmp_path / "app.db", "x", timeout=60) as guard:

        async def write() -> None:
            async with aio.guarded(guard, 1):
                await asyncio.sleep(0)

        await asyncio.wait_for(asyncio.gather(*(write() for _ in range(40))), 120)
        assert guard.mark() == 1
