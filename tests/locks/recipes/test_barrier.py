"""Barriers: nobody goes on before all have come, and all who came go on; round after round."""

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ringfence import InvalidType, InvalidValue, LeaseLost, LockManager, StoreError, aio
from ringfence.errors import OutcomeUnknown, StoreTimeout
from ringfence.locks.recipes.barrier import marked
from ringfence.locks.stores import Shared
from ringfence.locks.stores.memory import MemoryStore
from ringfence.protocol import Call, Effects, now
from tests.locks.recipes.beside import LONG, Beside, asked, until, wait_until
from tests.locks.recipes.carriers import LASTING, Alone
from tests.locks.world import World, lose_answer, lose_request

lasting = pytest.mark.parametrize("url", LASTING, indirect=True)


def present(manager: LockManager, parties: int) -> int:
    return len(manager._session.store.status(Shared("x", 1, parties)).holders)


@lasting
def test_all_go_on_when_the_last_has_come(manager: LockManager, other: LockManager) -> None:
    early = [Beside(lambda by=by: by.barrier("x", 3).wait(LONG)) for by in (manager, other)]  # type: ignore[misc]
    wait_until(lambda: present(other, 3) == 2)
    threading.Event().wait(0.15)
    assert not any(party.ended for party in early)
    assert manager.barrier("x", 3).wait(LONG) is True
    assert [party.result() for party in early] == [True, True]
    assert present(manager, 3) == 0


@lasting
def test_a_time_that_is_over_leaves_the_others_waiting(manager: LockManager, other: LockManager) -> None:
    early = Beside(lambda: manager.barrier("x", 3).wait(LONG))
    wait_until(lambda: present(other, 3) == 1)
    assert other.barrier("x", 3).wait(timeout=0.05) is False
    assert other.barrier("x", 3).wait(timeout=0) is False
    assert present(other, 3) == 1
    assert not early.ended
    late = [Beside(lambda: other.barrier("x", 3).wait(LONG)) for _ in range(2)]
    assert [party.result() for party in (early, *late)] == [True] * 3


@lasting
def test_nobody_is_ever_a_round_ahead(manager: LockManager, other: LockManager) -> None:
    """Who has passed a round has been preceded by the arrival of all at that round."""
    rounds, parties = 5, 3
    came = [0] * rounds
    early: list[int] = []
    counting = threading.Lock()

    def work(by: LockManager, seed: int) -> None:
        delays = random.Random(seed)
        for number in range(rounds):
            threading.Event().wait(delays.choice((0.0, 0.0, 0.02)))
            with counting:
                came[number] += 1
            assert by.barrier("x", parties).wait(LONG)
            if came[number] < parties:
                early.append(number)

    workers = [Beside(lambda seed=seed: work((manager, other)[seed % 2], seed)) for seed in range(parties)]  # type: ignore[misc]
    for worker in workers:
        worker.result()
    assert early == []
    assert came == [parties] * rounds


def test_a_party_that_died_does_not_count_for_ever(url: str, other: LockManager) -> None:
    manager = LockManager.from_url(url)
    lease = manager.lock(Shared("x", 1, 2), ttl=0.5, renew=False).acquire()
    assert lease is not None
    manager._session.forget(lease._claim)
    threading.Event().wait(0.7)
    assert other.barrier("x", 2).wait(timeout=0.05) is False
    manager.close()


def test_a_party_that_lost_its_share_is_told(manager: LockManager) -> None:
    waiting = Beside(lambda: manager.barrier("x", 2).wait(LONG))
    wait_until(lambda: len(manager._session.table) == 1)
    [claim] = manager._session.table.leases()
    manager._session.store.release(claim.name, claim.owner, claim.fence)
    manager._session.table.discard(claim)
    manager._session.lose([claim])
    with pytest.raises(LeaseLost):
        waiting.result()


def test_one_party_meets_itself(manager: LockManager) -> None:
    assert [manager.barrier("x", 1).wait(0) for _ in range(3)] == [True] * 3


def test_closing_ends_the_waiting(url: str, other: LockManager) -> None:
    manager = LockManager.from_url(url)
    waiting = Beside(lambda: manager.barrier("x", 2).wait(LONG))
    wait_until(lambda: len(manager._session.table) == 1)
    manager.close()
    with pytest.raises(StoreError):
        waiting.result()
    assert present(other, 2) == 0


@pytest.mark.parametrize(
    ("parties", "error"),
    [(0, InvalidValue), (2**20 + 1, InvalidValue), ("2", InvalidType), (True, InvalidType)],
)
def test_mistakes_are_refused(parties: Any, error: type[Exception]) -> None:
    with LockManager(MemoryStore()) as manager, pytest.raises(error, match=r"barrier|parties"):
        manager.barrier("x", parties)


def test_a_store_without_shared_locks_is_refused() -> None:
    with LockManager(Alone()) as manager, pytest.raises(InvalidValue, match="barrier"):
        manager.barrier("x", 2)


@pytest.mark.parametrize(("owner", "fence"), [("met=7", 7), ("met=", 0), ("met=x", 0), ("7", 0), ("", 0)])
def test_a_mark_says_a_fence(owner: str, fence: int) -> None:
    assert marked(owner) == fence


FAULTS: dict[str, Callable[[], Callable[[Call], Any]]] = {
    "lost request": lambda: lose_request(StoreTimeout("no answer")),
    "lost answer": lambda: lose_answer(OutcomeUnknown("no answer")),
    "failure": lambda: lose_request(StoreError("broken")),
    "failure after all": lambda: lose_answer(StoreError("broken")),
    "interrupt before": lambda: lose_request(KeyboardInterrupt()),
    "interrupt after": lambda: lose_answer(KeyboardInterrupt()),
    "cancelled": lambda: lose_answer(asyncio.CancelledError()),
}
STEPS = [("grant", 1), ("grant", 2), *(("status", number) for number in (1, 2, 3, 4))]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("operation", "number"), STEPS)
def test_whatever_happens_to_the_last_one_it_keeps_no_share(
    world: World, store: MemoryStore, operation: str, number: int, fault: str
) -> None:
    """And what it reports is true: who waits goes on if it says that all have met."""
    world.now = now()
    share = Shared("x", 1, 2)
    early = store.grant(share, "early", 1000.0)
    assert early is not None
    with LockManager(store) as manager:
        world.faults[operation, number] = FAULTS[fault]()
        met = False
        with contextlib.suppress(StoreError, KeyboardInterrupt, asyncio.CancelledError):
            met = world.run(manager.barrier("x", 2)._waiting(5.0))
        assert [holder.owner for holder in store.status(share).holders] == ["early"]
        mark = store.status("x:met").holder
        if met:
            assert mark is not None
            assert marked(mark.owner) > early


def steps(barrier: Any, timeout: float) -> Effects[bool]:
    waiting: Effects[bool] = barrier._waiting(timeout)
    return waiting


@pytest.mark.parametrize("seed", range(200))
def test_under_any_schedule_nobody_is_a_round_ahead(seed: int) -> None:
    """Three parties pass four rounds; their requests are carried out one at a time, in an order drawn from the seed."""
    order = random.Random(seed)
    clock = [now()]
    store = MemoryStore(lambda: clock[0], lambda: 1.7e9)
    came = [0] * 4
    with LockManager(store) as manager:
        play([rounds(manager.barrier("x", 3), came) for _ in range(3)], order, clock, store)
    assert came == [3] * 4


@pytest.mark.parametrize("seed", range(50))
def test_no_more_meet_than_are_parties(seed: int) -> None:
    clock = [now()]
    store = MemoryStore(lambda: clock[0], lambda: 1.7e9)
    with LockManager(store) as manager:
        waiting = [steps(manager.barrier("x", 2), 0.001) for _ in range(3)]
        assert sorted(play(waiting, random.Random(seed), clock, store)) == [False, True, True]


def play(
    programs: list[Effects[Any]], order: random.Random, clock: list[float], store: MemoryStore
) -> list[Any]:
    """Run programs side by side, one effect at a time; return what they return."""
    results: list[Any] = []
    pending: list[tuple[Effects[Any], Any]] = [(program, None) for program in programs]
    for _ in range(50_000):
        if not pending:
            return results
        program, value = pending.pop(order.randrange(len(pending)))
        try:
            pending.append((program, perform(program.send(value), clock, store)))
        except StopIteration as stop:
            results.append(stop.value)
    raise AssertionError("it came to no end")


def rounds(barrier: Any, came: list[int]) -> Effects[None]:
    for number in range(len(came)):
        came[number] += 1
        assert (yield from steps(barrier, 1e6)) is True
        assert came[number] == 3, f"went on in round {number}, when {came[number]} had come"


def perform(effect: Any, clock: list[float], store: MemoryStore) -> Any:
    match type(effect).__name__:
        case "Now":
            return clock[0]
        case "Sleep":
            clock[0] += 1e-6  # far less than the leases last
            return None
    if effect.operation == "wait":
        clock[0] += 1e-6
        return None
    return getattr(store, effect.operation)(*effect.args)


async def test_tasks_meet(tasks: aio.LockManager) -> None:
    came: list[int] = []

    async def work(number: int) -> None:
        for turn in range(3):
            await asyncio.sleep(0.01 * number)
            came.append(turn)
            assert await tasks.barrier("x", 3).wait(LONG)
            assert came.count(turn) == 3

    await asyncio.wait_for(asyncio.gather(*(work(number) for number in range(3))), LONG * 2)


async def test_a_cancelled_party_counts_no_more(tasks: aio.LockManager) -> None:
    share = Shared("x", 1, 2)
    task = asyncio.create_task(tasks.barrier("x", 2).wait())
    await until(lambda: len(tasks._session.table) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await asked(tasks, "status", share)).holders == ()
    assert await tasks.barrier("x", 2).wait(timeout=0.05) is False
