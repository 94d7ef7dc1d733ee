"""Several locks: all or nothing, whatever happens while they are taken, and never a circle of waiters."""

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ringfence import InvalidType, InvalidValue, LeaseLost, Leases, LockManager, NotHeld, StoreError, aio
from ringfence.errors import OutcomeUnknown, StoreTimeout
from ringfence.locks.recipes.multi import MultiLock
from ringfence.locks.stores.memory import MemoryStore
from ringfence.protocol import Call, now
from tests.locks.recipes.beside import LONG, Beside, taken, wait_until
from tests.locks.recipes.carriers import SHARING
from tests.locks.world import World, lose_answer, lose_request

every = pytest.mark.parametrize("url", SHARING, indirect=True)


NAMES = ["b", "a", "c"]


@pytest.fixture
def world(world: World) -> World:
    """A world whose clock begins at the time that managers go by."""
    world.now = now()
    return world


def held(manager: LockManager) -> list[str]:
    return [holder.name for holder in manager.leases()]


@every
def test_all_are_held_each_with_its_fence(manager: LockManager, other: LockManager) -> None:
    with manager.multi(NAMES) as leases:
        assert held(other) == list(leases) == ["a", "b", "c"]
        assert {holder.name: holder.fence for holder in other.leases()} == leases.fences
        assert leases["a"].fence == leases.fences["a"]
        assert leases.valid
        assert 0.0 < leases.remaining() <= 10.0
        leases.check()
        assert [other.lock(name).acquire(blocking=False) for name in NAMES] == [None] * 3
    assert held(other) == []
    assert leases.remaining() == 0.0
    with pytest.raises(NotHeld):
        leases.check()


def test_a_name_given_twice_is_taken_once(manager: LockManager) -> None:
    with manager.multi(["a", "b", "a"]) as leases:
        assert list(leases) == ["a", "b"]


def test_release_says_whether_all_were_held(manager: LockManager) -> None:
    leases = taken(manager.multi(NAMES).acquire())
    assert leases.release() is True
    assert leases.release() is False
    leases = taken(manager.multi(NAMES).acquire())
    assert leases["b"].release()
    assert not leases.valid
    assert leases.release() is False
    assert held(manager) == []


@pytest.mark.parametrize("name", NAMES)
def test_none_is_held_when_one_is_not_to_be_had(manager: LockManager, other: LockManager, name: str) -> None:
    with other.lock(name):
        assert manager.multi(NAMES).acquire(blocking=False) is None
        assert manager.multi(NAMES).acquire(timeout=0.05) is None
        assert held(manager) == [name]
    with manager.multi(NAMES):
        pass


@every
def test_it_waits_for_all(manager: LockManager, other: LockManager) -> None:
    with other.lock("b"):
        waiting = Beside(lambda: taken(manager.multi(NAMES).acquire()))
        threading.Event().wait(0.1)
        assert not waiting.ended
    assert waiting.result().release()


def test_those_who_want_them_in_any_order_never_wait_in_a_circle(
    manager: LockManager, other: LockManager
) -> None:
    inside: list[str] = []
    most: list[int] = []

    def work(by: LockManager, seed: int) -> None:
        order = random.Random(seed)
        for _ in range(5):
            names = order.sample(["a", "b", "c", "d"], 3)  # any two have one in common
            with by.multi(names):
                inside.append("x")
                most.append(len(inside))
                inside.pop()

    workers = [Beside(lambda seed=seed: work((manager, other)[seed % 2], seed)) for seed in range(4)]  # type: ignore[misc]
    for worker in workers:
        worker.result()
    assert len(most) == 20
    assert max(most) == 1
    assert held(manager) == []


def take_away(manager: LockManager, leases: Leases, name: str) -> None:
    """Take one of the locks away, and let its holder find out."""
    lease = leases[name]
    assert manager._session.store.release(name, lease.owner, lease._claim.fence)
    with pytest.raises(LeaseLost):
        lease.extend()


def test_when_one_is_lost_none_counts(manager: LockManager) -> None:
    told: list[Leases] = []
    lock = manager.multi(NAMES)
    with pytest.raises(LeaseLost) as caught, lock as leases:  # noqa: PT012
        leases.on_lost(told.append)
        take_away(manager, leases, "b")
        assert told == [leases]
        assert not leases.valid
        assert leases["a"].valid
        with pytest.raises(LeaseLost) as checked:
            leases.check()
        assert checked.value.name == "b"
        take_away(manager, leases, "a")
        assert told == [leases]
        late: list[Leases] = []
        leases.on_lost(late.append)
        assert late == [leases]
    assert caught.value.name == "b"
    assert held(manager) == []


def test_what_is_released_in_time_is_not_reported(manager: LockManager) -> None:
    told: list[Leases] = []
    leases = taken(manager.multi(NAMES).acquire())
    leases.on_lost(told.append)
    claims = [leases[name]._claim for name in NAMES]
    leases.release()
    manager._session.lose(claims)
    assert told == []


def test_one_that_is_lost_while_others_are_waited_for_is_taken_anew() -> None:
    """The first lease ends while the second one is waited for; what is returned in the end is whole."""
    store = MemoryStore()
    with LockManager(store) as manager, LockManager(store) as other:
        holder = taken(other.lock("b").acquire())
        waiting = Beside(lambda: taken(manager.multi(["a", "b"], ttl=5.0).acquire()))
        wait_until(lambda: held(other) == ["a", "b"] and store.status("b").waiting)
        first = store.status("a").holders[0]
        store.release("a", first.owner, first.fence)
        lost = manager._session.table.leases()
        assert [claim.name for claim in lost if manager._session.table.discard(claim)] == ["a"]
        manager._session.lose(lost)
        holder.release()
        leases = waiting.result()
        assert leases.valid
        assert leases.fences["a"] > first.fence
        assert {name: store.status(name).holders[0].fence for name in "ab"} == leases.fences
        assert leases.release()


@pytest.mark.parametrize(
    ("names", "error"),
    [
        ([], InvalidValue),
        ("abc", InvalidType),
        (7, InvalidType),
        (["a", 7], InvalidType),
        (["a", ""], InvalidValue),
    ],
)
def test_what_is_no_set_of_names_is_refused(names: Any, error: type[Exception]) -> None:
    with LockManager(MemoryStore()) as manager, pytest.raises(error):
        manager.multi(names)


def test_other_mistakes_are_refused(manager: LockManager) -> None:
    with pytest.raises(InvalidValue, match="among"), manager.multi(["a"]) as leases:
        leases["b"]
    with pytest.raises(InvalidType), manager.multi(["a"]) as leases:
        leases.on_lost(7)  # type: ignore[arg-type]
    assert held(manager) == []


FAULTS: dict[str, Callable[[], Callable[[Call], Any]]] = {
    "lost request": lambda: lose_request(StoreTimeout("no answer")),
    "lost answer": lambda: lose_answer(OutcomeUnknown("no answer")),
    "failure": lambda: lose_request(StoreError("broken")),
    "failure after all": lambda: lose_answer(StoreError("broken")),
    "interrupt before": lambda: lose_request(KeyboardInterrupt()),
    "interrupt after": lambda: lose_answer(KeyboardInterrupt()),
    "cancelled": lambda: lose_answer(asyncio.CancelledError()),
}


STRUCK = [("grant", number, fault) for number in (1, 2, 3, 4) for fault in FAULTS]
STRUCK += [("wait", 1, fault) for fault in ("lost request", "failure", "interrupt before")]


@pytest.mark.parametrize(("operation", "number", "fault"), STRUCK)
def test_whatever_happens_while_they_are_taken_all_or_none_is_held(
    world: World, store: MemoryStore, operation: str, number: int, fault: str
) -> None:
    manager = LockManager(store)
    fence = store.grant("b", "another", 1.0)
    assert fence is not None
    world.faults[operation, number] = FAULTS[fault]()
    leases = None
    with contextlib.suppress(StoreError, KeyboardInterrupt, asyncio.CancelledError):
        leases = world.run(manager.multi(NAMES)._acquiring(30.0))
    owners = {holder.name for holder in store.leases() if holder.owner != "another"}
    assert owners == (set(NAMES) if leases else set())
    assert all(not store.status(name).waiting for name in NAMES)
    assert len(manager._session.table) == len(owners)


@pytest.mark.parametrize("effects", range(1, 60))
def test_an_interrupt_after_any_effect_leaves_all_or_none(
    effects: int, world: World, store: MemoryStore
) -> None:
    manager = LockManager(store)
    store.grant("b", "another", 1.0)
    world.interrupted_at = effects
    leases = None
    try:
        leases = world.run(manager.multi(NAMES)._acquiring(30.0))
    except KeyboardInterrupt:
        assert all(holder.owner == "another" for holder in store.leases())
        assert all(not store.status(name).waiting for name in NAMES)
        assert len(manager._session.table) == 0
        return
    assert len(taken(leases)) == 3


@pytest.mark.parametrize("effects", range(1, 12))
def test_an_interrupt_while_they_are_given_back_gives_back_the_others(
    effects: int, world: World, store: MemoryStore
) -> None:
    manager = LockManager(store)
    lock: MultiLock = manager.multi(NAMES)
    leases = Leases(taken(world.run(lock._acquiring(None))))
    world.interrupted_at = effects
    try:
        world.run(leases._releasing())
    except KeyboardInterrupt:
        assert len(store.leases()) <= 1
        assert len(manager._session.table) == 0
        return
    assert store.leases() == []


async def test_tasks_take_all_or_none(tasks: aio.LockManager) -> None:
    async with tasks.multi(NAMES) as leases:
        assert list(leases) == ["a", "b", "c"]
        assert await tasks.multi(["c", "d"]).acquire(timeout=0.05) is None
        assert [holder.name for holder in await tasks.leases()] == ["a", "b", "c"]
    assert await tasks.leases() == []
    again = taken(await tasks.multi(NAMES).acquire())
    assert await again.release() is True
    assert await again.release() is False


async def test_a_cancelled_task_holds_none(tasks: aio.LockManager) -> None:
    async with tasks.lock("b"):
        for steps in range(0, 40, 3):
            task = asyncio.create_task(tasks.multi(NAMES).acquire())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert [holder.name for holder in await tasks.leases()] == ["b"]
    async with tasks.multi(NAMES):
        pass


async def test_a_task_is_cancelled_when_one_is_lost(tasks: aio.LockManager) -> None:
    lock = tasks.multi(NAMES, cancel_on_lost=True)

    async def lose_b() -> None:
        async with lock as leases:
            tasks._session.lose([leases["b"]._claim])
            tasks._session.table.discard(leases["b"]._claim)
            await asyncio.sleep(LONG)

    with pytest.raises(LeaseLost) as caught:
        await asyncio.wait_for(lose_b(), LONG)
    assert caught.value.name == "b"
    assert "a" not in [holder.name for holder in await tasks.leases()]
