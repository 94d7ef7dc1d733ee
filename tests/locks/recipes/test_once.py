"""One of all does it within a time; the others learn that it is done, or being done."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ringfence import InvalidType, InvalidValue, Lease, LeaseLost, LockManager, StoreError, Turn, aio
from ringfence.errors import OutcomeUnknown, StoreTimeout
from ringfence.locks.stores.memory import MemoryStore
from ringfence.protocol import Call, now
from tests.locks.recipes.beside import LONG, Beside
from tests.locks.recipes.carriers import LASTING
from tests.locks.world import World, lose_answer, lose_request

lasting = pytest.mark.parametrize("url", LASTING, indirect=True)
HOUR = 3600.0


def state(manager: LockManager, within: float = HOUR) -> str:
    """Ask in vain, or take the turn and fail."""
    with contextlib.suppress(ZeroDivisionError), manager.once("x", within=within) as turn:
        if turn:
            raise ZeroDivisionError
    return turn.state


@lasting
def test_one_does_it_and_the_others_learn_that_it_is_done(manager: LockManager, other: LockManager) -> None:
    with manager.once("x", within=HOUR) as turn:
        assert turn
        assert turn.state == "mine"
        assert turn.lease is not None
        assert turn.lease.fence > 0
        assert state(other) == state(manager) == "running"
    assert [state(other), state(manager)] == ["done", "done"]
    assert [holder.name for holder in other.leases()] == ["x:done"]
    assert HOUR - 60 < other.leases()[0].remaining <= HOUR


@lasting
def test_an_exception_lets_another_try(manager: LockManager, other: LockManager) -> None:
    with pytest.raises(ZeroDivisionError), manager.once("x", within=HOUR):
        raise ZeroDivisionError
    assert other.leases() == []
    assert state(other) == "mine"
    with manager.once("x", within=HOUR) as turn:
        assert turn
    assert state(other) == "done"


@lasting
def test_it_is_kept_for_weeks(manager: LockManager) -> None:
    month = 30 * 86_400.0
    with manager.once("x", within=month):
        pass
    assert month - 3600 < manager.leases()[0].remaining <= month


def test_it_is_done_again_when_the_time_is_over(manager: LockManager, other: LockManager) -> None:
    with manager.once("x", within=0.3):
        pass
    turns = 0
    end = now() + LONG
    while not turns and now() < end:
        with other.once("x", within=0.3) as turn:
            turns += bool(turn)
    assert turns == 1


def test_work_that_lasts_longer_than_the_time_is_not_noted(manager: LockManager) -> None:
    with manager.once("x", within=0.05):
        threading.Event().wait(0.1)
    assert manager.leases() == []


def test_of_many_at_once_one_does_it(manager: LockManager, other: LockManager) -> None:
    done: list[str] = []
    start = threading.Barrier(6)

    def work(by: LockManager) -> str:
        start.wait(LONG)
        with by.once("x", within=HOUR) as turn:
            if turn:
                done.append("x")
        return turn.state

    workers = [Beside(lambda by=by: work(by)) for by in (manager, other) * 3]  # type: ignore[misc]
    states = [worker.result() for worker in workers]
    assert len(done) == states.count("mine") == 1
    assert state(other) == "done"


def test_a_lease_that_was_lost_does_not_count_as_done(manager: LockManager, other: LockManager) -> None:
    with pytest.raises(LeaseLost), manager.once("x", within=HOUR) as turn:  # noqa: PT012
        lease = turn.lease
        assert lease is not None
        assert manager._session.store.release("x", lease.owner, lease._claim.fence)
        with pytest.raises(LeaseLost):
            lease.extend()
    assert state(other) == "mine"


def test_one_that_died_is_followed(url: str, other: LockManager) -> None:
    manager = LockManager.from_url(url)
    turn = manager.once("x", within=HOUR, ttl=1.0).__enter__()
    lease = turn.lease
    assert lease is not None
    manager._session.forget(lease._claim)  # what a process that was killed does: nothing more
    end = now() + LONG
    while state(other) != "mine":
        assert now() < end
    manager.close()


class SessionBound(MemoryStore):
    session_bound = True


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"within": 0}, InvalidValue),
        ({"within": 1e9}, InvalidValue),
        ({"within": "an hour"}, InvalidType),
        ({"within": HOUR, "ttl": 0}, InvalidValue),
    ],
)
def test_mistakes_are_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    with LockManager(MemoryStore()) as manager, pytest.raises(error):
        manager.once("x", **arguments)


def test_a_store_that_forgets_is_refused() -> None:
    with LockManager(SessionBound()) as manager, pytest.raises(InvalidValue, match="session"):
        manager.once("x", within=HOUR)


FAULTS: dict[str, Callable[[], Callable[[Call], Any]]] = {
    "lost request": lambda: lose_request(StoreTimeout("no answer")),
    "lost answer": lambda: lose_answer(OutcomeUnknown("no answer")),
    "failure": lambda: lose_request(StoreError("broken")),
    "failure after all": lambda: lose_answer(StoreError("broken")),
    "interrupt before": lambda: lose_request(KeyboardInterrupt()),
    "interrupt after": lambda: lose_answer(KeyboardInterrupt()),
    "cancelled": lambda: lose_answer(asyncio.CancelledError()),
}
STEPS = [("grant", 1), ("status", 1), ("grant", 2), ("release", 1), ("release", 2)]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("operation", "number"), STEPS)
def test_whatever_happens_nobody_keeps_the_turn(
    world: World, store: MemoryStore, operation: str, number: int, fault: str
) -> None:
    """After any fault the lock is free, and what was reported as done is noted as done."""
    world.now = now()
    with LockManager(store) as manager:
        world.faults[operation, number] = FAULTS[fault]()
        once = manager.once("x", within=HOUR)
        ended = False
        try:
            turn: Turn[Lease] = world.run(once._beginning())
            if turn:
                world.run(once._ending(turn, None))
                ended = True
        except (StoreError, KeyboardInterrupt, asyncio.CancelledError):
            ended = False
        assert len(manager._session.table) == 0
        if operation != "release":
            assert store.status("x").holder is None
        if ended:
            assert store.status("x:done").holder is not None


def test_what_could_not_be_noted_is_reported(world: World, store: MemoryStore) -> None:
    world.now = now()
    with LockManager(store) as manager:
        once = manager.once("x", within=HOUR)
        turn = world.run(once._beginning())
        world.faults["grant", 2] = lose_request(StoreError("broken"))
        with pytest.raises(StoreError, match="broken") as caught:
            world.run(once._ending(turn, None))
        assert "may be done again" in caught.value.__notes__[0]
        assert store.leases() == []


async def test_one_of_all_tasks_does_it(tasks: aio.LockManager) -> None:
    async def work() -> str:
        async with tasks.once("x", within=HOUR) as turn:
            if turn:
                await asyncio.sleep(0.05)
        return turn.state

    with pytest.raises(ZeroDivisionError):
        async with tasks.once("x", within=HOUR):
            raise ZeroDivisionError
    assert sorted(await asyncio.gather(work(), work(), work())) == ["mine", "running", "running"]
    assert await work() == "done"


async def test_a_cancelled_task_lets_another_try(tasks: aio.LockManager) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        async with tasks.once("x", within=HOUR):
            begun.set()
            await asyncio.sleep(LONG)

    task = asyncio.create_task(work())
    await asyncio.wait_for(begun.wait(), LONG)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with tasks.once("x", within=HOUR) as turn:
        assert turn
