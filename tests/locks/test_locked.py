"""Functions that hold a lock while they run, and tasks that are cancelled when theirs is lost."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from ringfence import aio
from ringfence.errors import InvalidType, InvalidValue, LeaseLost
from ringfence.locks.manager import LockManager
from ringfence.locks.stores.memory import MemoryStore


@pytest.fixture
def manager() -> Iterator[LockManager]:
    with LockManager(MemoryStore()) as opened:
        yield opened


@pytest.fixture
async def tasks() -> AsyncIterator[aio.LockManager]:
    async with aio.LockManager(MemoryStore()) as opened:
        yield opened


def names(manager: LockManager) -> list[str]:
    return [holder.name for holder in manager.leases()]


def test_a_call_holds_the_lock_that_its_arguments_name(manager: LockManager) -> None:
    @manager.locked("account:{number}/{kind}")
    def pay(number: int, *, kind: str = "cash") -> list[str]:
        """Pay."""
        return names(manager)

    assert pay(7) == ["account:7/cash"]
    assert pay(number=8, kind="card") == ["account:8/card"]
    assert names(manager) == []
    assert (pay.__name__, pay.__doc__) == ("pay", "Pay.")


def test_a_field_may_look_into_an_argument(manager: LockManager) -> None:
    @manager.locked("user:{user[id]}")
    def visit(user: dict[str, int]) -> list[str]:
        return names(manager)

    assert visit({"id": 7}) == ["user:7"]


def test_calls_with_one_name_take_turns(manager: LockManager) -> None:
    inside: list[int] = []

    @manager.locked("x")
    def work() -> None:
        inside.append(1)
        assert len(inside) == 1
        inside.pop()

    threads = [threading.Thread(target=lambda: [work() for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_a_call_that_fails_gives_the_lock_back(manager: LockManager) -> None:
    @manager.locked("x")
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert names(manager) == []


@pytest.mark.parametrize("pattern", ["{missing}", "{}", "{0}", "{number", "", "a\0"])
def test_a_name_that_cannot_be_made_is_refused_before_any_call(manager: LockManager, pattern: str) -> None:
    with pytest.raises(InvalidValue):

        @manager.locked(pattern)
        def pay(number: int) -> None:
            raise AssertionError


def test_bad_arguments_are_refused(manager: LockManager) -> None:
    with pytest.raises(InvalidValue):
        manager.locked("x", ttl=-1)
    with pytest.raises(InvalidType):
        manager.locked(7)(print)  # type: ignore[arg-type]
    with pytest.raises(InvalidType):
        manager.locked("x")(7)  # type: ignore[arg-type]


async def test_each_manager_decorates_its_own_kind_of_function(
    manager: LockManager, tasks: aio.LockManager
) -> None:
    async def coroutine() -> None:
        raise AssertionError

    def plain() -> None:
        raise AssertionError

    with pytest.raises(InvalidType, match="aio"):
        manager.locked("x")(coroutine)
    with pytest.raises(InvalidType, match="plain functions"):
        tasks.locked("x")(plain)  # type: ignore[arg-type]


async def test_a_coroutine_function_holds_the_lock_too(tasks: aio.LockManager) -> None:
    @tasks.locked("account:{number}")
    async def pay(number: int) -> list[str]:
        return [holder.name for holder in await tasks.leases()]

    assert await pay(7) == ["account:7"]
    assert await tasks.leases() == []


async def test_a_task_that_lost_its_lease_is_cancelled_and_told_why(tasks: aio.LockManager) -> None:
    cancelled: list[Any] = []

    async def work() -> None:
        async with tasks.lock("x", ttl=0.1, renew=False, cancel_on_lost=True):
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError as error:
                cancelled.append(error)
                raise

    with pytest.raises(LeaseLost):
        await work()
    assert len(cancelled) == 1
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0.01)  # nothing of it is left


async def test_a_call_that_lost_its_lease_is_cancelled(tasks: aio.LockManager) -> None:
    @tasks.locked("x", ttl=0.1, renew=False, cancel_on_lost=True)
    async def work() -> None:
        await asyncio.sleep(30)

    with pytest.raises(LeaseLost):
        await work()


async def test_a_task_that_is_cancelled_by_another_stays_cancelled(tasks: aio.LockManager) -> None:
    async def work() -> None:
        async with tasks.lock("x", cancel_on_lost=True):
            await asyncio.sleep(30)

    task = asyncio.create_task(work())
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await tasks.leases() == []


async def test_without_it_or_after_the_block_nobody_is_cancelled(tasks: aio.LockManager) -> None:
    with pytest.raises(LeaseLost):
        async with tasks.lock("x", ttl=0.05, renew=False):
            await asyncio.sleep(0.2)
    async with tasks.lock("x", ttl=0.05, renew=False, cancel_on_lost=True):
        pass
    await asyncio.sleep(0.2)
