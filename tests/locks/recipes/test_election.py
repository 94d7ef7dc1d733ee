"""Elections: one leader at a time, with a fence; observers see who it is, and each change."""

import asyncio
import contextlib
import threading
from typing import Any

import pytest

from ringfence import InvalidType, InvalidValue, Leader, LeaseLost, LockManager, StoreError, aio
from ringfence.errors import OutcomeUnknown, StoreTimeout
from ringfence.locks.recipes.election import candidate, fence_of, value_of
from ringfence.locks.stores.memory import MemoryStore
from tests.locks.recipes.beside import LONG, Beside, asked, taken, until, wait_until
from tests.locks.recipes.carriers import SHARING
from tests.locks.world import World, lose_answer, lose_request

every = pytest.mark.parametrize("url", SHARING, indirect=True)


A, B = "10.0.0.7:8080", "[fd00::7]:8080/ü =%\n"


def seen(leader: Leader | None) -> tuple[str, int] | None:
    return None if leader is None else leader[:2]


@every
def test_one_candidate_leads_and_everybody_sees_which(manager: LockManager, other: LockManager) -> None:
    assert other.election("x").leader() is None
    with manager.election("x", value=A) as lease:
        leader = other.election("x").leader()
        assert seen(leader) == seen(manager.election("x").leader()) == (A, lease.fence)
        assert leader is not None
        assert 0 < leader.remaining <= 10.0
        assert other.election("x", value=B).campaign(timeout=0) is None
        assert manager.election("x", value=B).campaign(timeout=0.05) is None
    assert other.election("x").leader() is None


@every
def test_who_waited_longest_leads_next_with_its_own_value(manager: LockManager, other: LockManager) -> None:
    first = taken(manager.election("x", value=A).campaign())
    second = Beside(lambda: taken(manager.election("x", value=B).campaign()))
    wait_until(lambda: len(other._session.store.status("x").waiting) == 1)
    third = Beside(lambda: taken(other.election("x", value="third").campaign()))
    wait_until(lambda: len(other._session.store.status("x").waiting) == 2)
    assert first.release()
    lease = second.result()
    assert lease.fence > first.fence
    assert seen(other.election("x").leader()) == (B, lease.fence)
    assert lease.release()
    last = third.result()
    assert seen(manager.election("x").leader()) == ("third", last.fence)
    assert last.fence > lease.fence
    assert last.release()


def test_a_lost_leadership_is_reported(manager: LockManager, other: LockManager) -> None:
    lost: list[object] = []
    with pytest.raises(LeaseLost), manager.election("x", value=A) as lease:  # noqa: PT012
        lease.on_lost(lost.append)
        assert manager._session.store.release("x", lease.owner, lease.fence)
        usurper = taken(other.election("x", value=B).campaign())
        with pytest.raises(LeaseLost):
            lease.extend()
        assert lost == [lease]
        assert seen(manager.election("x").leader()) == (B, usurper.fence)
    assert usurper.valid
    usurper.release()


def test_observers_see_each_leader(manager: LockManager, other: LockManager) -> None:
    observer = other.election("x").observe(every=0.01)
    assert next(observer) is None
    changes = []
    for value in (A, "", B):
        with manager.election("x", value=value) as lease:
            changes.append((seen(next(observer)), (value, lease.fence)))
        assert next(observer) is None
    assert all(saw == was for saw, was in changes)
    again = other.election("x").observe()
    with manager.election("x", value=A) as lease:
        assert seen(next(again)) == (A, lease.fence)


def test_observers_see_one_follow_another(manager: LockManager, other: LockManager) -> None:
    first = taken(manager.election("x", value=A).campaign())
    observer = other.election("x").observe(every=0.01)
    next(observer)
    second = Beside(lambda: taken(manager.election("x", value=A).campaign()))
    wait_until(lambda: other._session.store.status("x").waiting)
    first.release()
    lease = second.result()
    assert seen(next(observer)) == (A, lease.fence)
    lease.release()


def test_closing_ends_candidates_and_observers(url: str, other: LockManager) -> None:
    with other.election("x", value=A):
        manager = LockManager.from_url(url)
        candidate = Beside(lambda: manager.election("x").campaign())
        observer = manager.election("x").observe(every=0.01)
        next(observer)
        following = Beside(lambda: next(observer))
        wait_until(lambda: other._session.store.status("x").waiting)
        manager.close()
        for waiting in (candidate, following):
            with pytest.raises(StoreError, match="closed"):
                waiting.result()


def test_another_holder_of_the_lock_has_no_value(manager: LockManager) -> None:
    with manager.lock("x") as lease:
        assert seen(manager.election("x").leader()) == ("", lease._claim.fence)
        assert manager.election("x").campaign(timeout=0) is None


@pytest.mark.parametrize("value", ["", "a", A, B, "=", "ü" * 32, "\x00" * 64, "a=b%3D"])
def test_a_value_survives_the_owner_id(value: str) -> None:
    owner = candidate(value)
    assert value_of(owner) == value
    assert owner.isascii()
    assert owner.isprintable()
    assert " " not in owner
    assert len(owner) <= 255
    assert candidate(value) != owner


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"value": 7}, InvalidType),
        ({"value": "a" * 65}, InvalidValue),
        ({"value": "\ud800"}, InvalidValue),
        ({"ttl": 0}, InvalidValue),
    ],
)
def test_mistakes_are_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    with LockManager(MemoryStore()) as manager, pytest.raises(error):
        manager.election("x", **arguments)


def test_wrong_times_are_refused() -> None:
    with LockManager(MemoryStore()) as manager:
        with pytest.raises(InvalidValue, match="every"):
            manager.election("x").observe(every=0)
        with pytest.raises(InvalidType, match="every"):
            manager.election("x").observe(every="1")  # type: ignore[arg-type]
        with pytest.raises(InvalidValue, match="timeout"):
            manager.election("x").campaign(timeout=-1)


FAULTS = [
    lose_request(StoreTimeout("no answer")),
    lose_answer(OutcomeUnknown("no answer")),
    lose_request(StoreError("broken")),
    lose_answer(StoreError("broken")),
    lose_request(KeyboardInterrupt()),
    lose_answer(KeyboardInterrupt()),
    lose_answer(asyncio.CancelledError()),
]


@pytest.mark.parametrize("fault", range(len(FAULTS)))
@pytest.mark.parametrize("number", [1, 2])
def test_whatever_happens_to_a_candidate_it_leads_or_is_none(
    world: World, store: MemoryStore, number: int, fault: int
) -> None:
    with LockManager(store) as manager:
        store.grant("x", "another", 1.0)
        world.faults["grant", number] = FAULTS[fault]
        lease = None
        with contextlib.suppress(StoreError, KeyboardInterrupt, asyncio.CancelledError):
            lease = world.run(manager.election("x", value=A)._acquiring(30.0))
        status = store.status("x")
        leading = status.holder is not None and status.holder.owner != "another"
        assert leading == (lease is not None)
        assert status.waiting == ()


def test_an_unanswered_question_of_an_observer_is_asked_again(world: World, store: MemoryStore) -> None:
    store.grant("x", candidate(A), 100.0)
    world.faults["status", 1] = lose_request(StoreTimeout("no answer"))
    world.faults["status", 2] = lose_request(OutcomeUnknown("no answer"))
    with LockManager(store) as manager:
        leader = world.run(manager.election("x")._following(0, 1.0))
        assert leader.value == A
        assert world.slept == [1.0, 1.0]
        world.faults["status", 4] = lose_request(StoreError("broken"))
        with pytest.raises(StoreError, match="broken"):
            world.run(manager.election("x")._following(fence_of(leader), 1.0))


async def test_tasks_elect_a_leader(tasks: aio.LockManager, url: str) -> None:
    observer = tasks.election("x").observe(every=0.01)
    assert await anext(observer) is None
    async with tasks.election("x", value=A) as lease:
        assert seen(await anext(observer)) == seen(await tasks.election("x").leader()) == (A, lease.fence)
        next_one = asyncio.create_task(tasks.election("x", value=B).campaign(timeout=LONG))
        await asyncio.sleep(0.05)
    second = taken(await next_one)
    assert seen(await tasks.election("x").leader()) == (B, second.fence)
    assert await second.release()
    await asyncio.wait_for(follow_until_nobody(tasks), LONG)


async def follow_until_nobody(tasks: aio.LockManager) -> None:
    async for leader in tasks.election("x").observe(every=0.01):
        if leader is None:
            return


async def test_a_cancelled_candidate_never_leads(tasks: aio.LockManager) -> None:
    async with tasks.election("x", value=A) as lease:
        task = asyncio.create_task(tasks.election("x", value=B).campaign())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await asked(tasks, "status", "x")).waiting == ()
        assert seen(await tasks.election("x").leader()) == (A, lease.fence)
    assert await tasks.election("x").leader() is None


async def test_the_task_of_a_leader_is_cancelled_when_it_is_lost(tasks: aio.LockManager) -> None:
    leading = threading.Event()

    async def lead() -> None:
        async with tasks.election("x", value=A, ttl=2.0, cancel_on_lost=True):
            leading.set()
            await asyncio.sleep(LONG)

    task = asyncio.create_task(lead())
    await until(leading.is_set)
    holder = (await asked(tasks, "status", "x")).holder
    assert await asked(tasks, "release", "x", holder.owner, holder.fence)
    with pytest.raises(LeaseLost):
        await asyncio.wait_for(task, LONG)
