"""Leases handed to another thread, task or process: held by one at a time, whatever goes wrong on the way."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ringfence import (
    Lease,
    LeaseLost,
    LockManager,
    NotHeld,
    OutcomeUnknown,
    StoreError,
    StoreTimeout,
    aio,
)
from ringfence.locks.recipes import handover
from ringfence.locks.stores import Claim
from ringfence.locks.stores.memory import MemoryStore
from ringfence.protocol import Call
from tests.locks.recipes.beside import LONG, Beside, taken, wait_until
from tests.locks.recipes.carriers import LASTING
from tests.locks.remote import Remote
from tests.locks.world import World, lose_answer, lose_request

every = pytest.mark.parametrize("url", LASTING, indirect=True)


@every
def test_the_adopter_holds_it_under_the_same_fence_and_the_giver_does_not(
    manager: LockManager, other: LockManager
) -> None:
    given = taken(manager.lock("x").acquire())
    adopted = other.adopt(given.to_token())
    assert (adopted.name, adopted.fence, adopted.owner, adopted.ttl) == ("x", given.fence, given.owner, 10.0)
    assert adopted.valid
    assert not given.valid
    assert given.release() is False
    with pytest.raises(NotHeld):
        given.check()
    with pytest.raises(NotHeld):
        given.to_token()
    assert [holder[:3] for holder in other.leases()] == [("x", adopted.owner, adopted._claim.fence)]
    assert adopted.release() is True
    assert manager.leases() == []


def test_the_giver_neither_renews_it_nor_hears_of_its_loss(manager: LockManager) -> None:
    heard: list[Lease] = []
    given = taken(manager.lock("x").acquire())
    given.on_lost(heard.append)
    given.to_token()
    assert len(manager._session.table) == 0
    manager._session.lose([given._claim])
    assert heard == []


def test_the_adopter_renews_it(manager: LockManager, other: LockManager) -> None:
    adopted = other.adopt(taken(manager.lock("x", ttl=3.0).acquire()).to_token())
    first = deadline(other, adopted)
    wait_until(lambda: deadline(other, adopted) > first)
    assert adopted.release()


def deadline(manager: LockManager, lease: Lease) -> float:
    return manager._session.table.deadline(lease._claim)


def test_a_lease_that_is_not_renewed_is_not_renewed_by_its_adopter(
    manager: LockManager, other: LockManager
) -> None:
    adopted = other.adopt(taken(manager.lock("x", renew=False).acquire()).to_token())
    assert other._session.table.next_due() == deadline(other, adopted)


@every
def test_it_is_adopted_once(manager: LockManager, other: LockManager) -> None:
    token = taken(manager.lock("x").acquire()).to_token()
    adopted = other.adopt(token)
    for late in (manager, other):
        with pytest.raises(LeaseLost) as caught:
            late.adopt(token)
        assert (caught.value.name, caught.value.fence) == ("x", adopted.fence)
    assert adopted.release()
    with pytest.raises(LeaseLost):
        other.adopt(token)
    assert manager.leases() == []


@every
def test_of_many_adopters_one_has_it(manager: LockManager, other: LockManager) -> None:
    def adopt(by: LockManager) -> Lease | None:
        start.wait(LONG)
        try:
            return by.adopt(token)
        except LeaseLost:
            return None

    for _ in range(5):
        token = taken(manager.lock("x").acquire()).to_token()
        start = threading.Barrier(4)
        adopters = [Beside(lambda by=by: adopt(by)) for by in (manager, other) * 2]  # type: ignore[misc]
        adopted = [lease for lease in (adopter.result() for adopter in adopters) if lease is not None]
        assert len(adopted) == 1
        assert adopted[0].release()


def test_it_is_refused_after_its_end(manager: LockManager, other: LockManager) -> None:
    given = taken(manager.lock("x").acquire())
    token = given.to_token()
    assert manager._session.store.release("x", given.owner, given.fence)
    again = taken(manager.lock("x").acquire())
    with pytest.raises(LeaseLost):
        other.adopt(token)
    assert again.valid
    again.release()


def test_it_may_be_handed_on(manager: LockManager, other: LockManager) -> None:
    lease = taken(manager.lock("x").acquire())
    for taker in (other, manager, manager):
        lease = taker.adopt(lease.to_token())
    assert lease.release()


def test_those_who_wait_get_it_from_the_adopter(manager: LockManager, other: LockManager) -> None:
    given = taken(manager.lock("x").acquire())
    waiting = Beside(lambda: taken(manager.lock("x").acquire(timeout=LONG)))
    threading.Event().wait(0.1)
    adopted = other.adopt(given.to_token())
    threading.Event().wait(0.1)
    assert not waiting.ended
    assert adopted.release()
    next_one = waiting.result()
    assert next_one.fence > adopted.fence
    assert next_one.release()


@pytest.fixture
def remote() -> Remote:
    return Remote(MemoryStore())


@pytest.fixture
def cohort(remote: Any) -> Iterator[LockManager]:
    with LockManager(remote) as manager:
        yield manager


def test_a_lease_that_was_handed_on_within_the_process_keeps_its_own_fence(
    cohort: LockManager, remote: Any
) -> None:
    token, fence = handed_on_and_over(cohort)
    with LockManager(remote) as other:
        adopted = other.adopt(token)
        assert (adopted.fence, adopted._claim.handed) == (fence, adopted._claim.handed)
        assert cohort.lock("x").acquire(blocking=False) is None
        assert adopted.release()


def handed_on_and_over(cohort: LockManager) -> tuple[str, int]:
    """Return the token of a lease that one thread had handed on to another, without asking the store."""
    for _ in range(200):
        first = taken(cohort.lock("x").acquire())
        second = Beside(lambda: taken(cohort.lock("x").acquire(timeout=LONG)))
        wait_until(lambda: waits_in_line(cohort))
        first.release()
        lease = second.result()
        if lease._claim.handed:
            assert first.release() is False
            return lease.to_token(), lease.fence
        lease.release()
    raise AssertionError("it was never handed on")


def waits_in_line(cohort: LockManager) -> bool:
    line = cohort._session._cohort._lines._lines.get("x", ())  # type: ignore[union-attr]
    return len(line) > 1


def test_a_release_while_it_is_handed_over_wins(
    cohort: LockManager, remote: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next in line has the lease then, under the same owner; nobody may adopt it beside."""
    tokens = spied(monkeypatch)
    lease = taken(cohort.lock("x").acquire())
    store = remote._store
    grant = store.grant

    def release_meanwhile(*arguments: Any) -> Any:
        assert lease.release()
        return grant(*arguments)

    monkeypatch.setattr(store, "grant", release_meanwhile)
    with pytest.raises(NotHeld):
        lease.to_token()
    monkeypatch.undo()
    assert_not_adoptable(store, tokens)
    assert remote.leases() == []


def spied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens of all that is offered from now on, given out or not."""
    tokens: list[str] = []
    offer = handover.offer

    def spying(*arguments: Any) -> Any:
        token = yield from offer(*arguments)
        tokens.append(handover.written(token))
        return token

    monkeypatch.setattr(handover, "offer", spying)
    return tokens


def assert_not_adoptable(store: Any, tokens: list[str]) -> None:
    assert tokens
    with LockManager(store) as other:
        for token in tokens:
            with pytest.raises(LeaseLost):
                other.adopt(token)


def test_a_lease_that_ends_while_it_is_handed_over_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    tokens = spied(monkeypatch)
    lost: list[Lease] = []
    with LockManager(store) as manager:
        lease = taken(manager.lock("x").acquire())
        lease.on_lost(lost.append)
        grant = store.grant

        def end_meanwhile(*arguments: Any) -> Any:
            manager._session.table.discard(lease._claim)
            return grant(*arguments)

        monkeypatch.setattr(store, "grant", end_meanwhile)
        with pytest.raises(LeaseLost):
            lease.to_token()
        monkeypatch.setattr(store, "grant", grant)
        assert lost == [lease]
        store.withdraw("x", lease.owner)
        assert_not_adoptable(store, tokens)


FAULTS: dict[str, Callable[[], Callable[[Call], Any]]] = {
    "lost request": lambda: lose_request(StoreTimeout("no answer")),
    "lost answer": lambda: lose_answer(OutcomeUnknown("no answer")),
    "failure": lambda: lose_request(StoreError("broken")),
    "failure after all": lambda: lose_answer(StoreError("broken")),
    "interrupt before": lambda: lose_request(KeyboardInterrupt()),
    "interrupt after": lambda: lose_answer(KeyboardInterrupt()),
    "cancelled": lambda: lose_answer(asyncio.CancelledError()),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", ["release", "renew"])
def test_whatever_happens_to_an_adoption_one_at_most_has_it(
    world: World, store: MemoryStore, operation: str, fault: str
) -> None:
    """The lease is adopted by this one, or by the next one, or by nobody and freed or left to its ttl."""
    token = offered(world, store)
    world.faults[operation, 1] = FAULTS[fault]()
    adopted = [attempt(world, store, token)]
    world.faults.clear()
    first_attempt_kept = store.status("x").holder is not None
    adopted.append(attempt(world, store, token))
    assert sum(adopted) <= 1
    if not adopted[0] and operation == "renew":
        assert not first_attempt_kept, "the baton is gone, so the lease is given back"
    if not any(adopted) and store.status("x").holder is not None:
        world.now += 10.0
        assert store.status("x").holder is None, "nobody renews it"


def test_it_is_refused_when_its_time_is_over(world: World, store: MemoryStore) -> None:
    token = offered(world, store)
    world.now = 10.0
    assert not attempt(world, store, token)


def offered(world: World, store: MemoryStore) -> handover.Token:
    fence = store.grant("x", "me", 10.0)
    assert fence is not None
    token: handover.Token = world.run(handover.offer(store, Claim("x", "me", fence, 10.0), True, 10.0))
    return token


def attempt(world: World, store: MemoryStore, token: handover.Token) -> bool:
    try:
        world.run(handover._adopt(store, token))
    except (LeaseLost, StoreError, KeyboardInterrupt, asyncio.CancelledError):
        return False
    return True


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", ["grant", "withdraw"])
def test_an_offer_that_fails_leaves_the_lease_as_it_was(
    world: World, store: MemoryStore, operation: str, fault: str
) -> None:
    fence = store.grant("x", "me", 10.0)
    assert fence is not None
    world.faults[operation, 1] = FAULTS[fault]()
    try:
        world.run(handover.offer(store, Claim("x", "me", fence, 10.0), True, 10.0))
    except (StoreError, KeyboardInterrupt, asyncio.CancelledError):
        assert [holder.name for holder in store.leases()] == ["x"]
    assert store.status("x").holders[0][:3] == ("x", "me", fence)


def test_the_adopters_deadline_counts_from_before_its_request(world: World, store: MemoryStore) -> None:
    token = offered(world, store)
    world.now, world.latency = 5.0, 1.0
    granted = world.run(handover._adopt(store, token))
    assert granted.deadline == 6.0 + 10.0
    assert store.status("x").holders[0].remaining == 10.0 - 1.0


def test_an_adoption_whose_answer_comes_after_the_end_is_none(world: World, store: MemoryStore) -> None:
    token = offered(world, store)
    world.latency = 10.0
    assert not attempt(world, store, token)


ADOPT = """
import sys
from ringfence import LockManager
with LockManager.from_url(sys.argv[1]) as manager:
    lease = manager.adopt(sys.argv[2])
    print(lease.name, lease.fence, lease.release())
"""


def test_another_process_adopts_it(url: str, manager: LockManager) -> None:
    if url.startswith("memory:"):
        return  # there is no such store in another process
    given = taken(manager.lock("x", ttl=300.0).acquire())
    command = [sys.executable, "-c", ADOPT, url, given.to_token()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["x", str(given.fence), "True"]
    assert manager.leases() == []


async def test_tasks_and_threads_hand_over_to_each_other(tasks: aio.LockManager, url: str) -> None:
    with LockManager.from_url(url) as threads:
        lease = taken(await tasks.lock("x").acquire())
        adopted = threads.adopt(await lease.to_token())
        assert adopted.fence == lease.fence
        assert await lease.release() is False
        again = await tasks.adopt(adopted.to_token())
        again.check()
        assert await again.release() is True
        assert await tasks.leases() == []


async def test_tasks_that_wait_here_get_it_from_the_adopter(tasks: aio.LockManager) -> None:
    given = taken(await tasks.lock("x").acquire())
    waiting = asyncio.create_task(tasks.lock("x").acquire(timeout=LONG))
    await asyncio.sleep(0.05)
    adopted = await tasks.adopt(await given.to_token())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    assert await adopted.release()
    assert taken(await waiting).fence > adopted.fence


async def test_a_cancelled_adoption_keeps_nothing(tasks: aio.LockManager) -> None:
    for steps in range(12):
        token = await taken(await tasks.lock(f"x{steps}").acquire()).to_token()
        task = asyncio.create_task(tasks.adopt(token))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        first = await asyncio.gather(task, return_exceptions=True)
        second = await asyncio.gather(tasks.adopt(token), return_exceptions=True)
        adopted = [outcome for outcome in (*first, *second) if isinstance(outcome, aio.Lease)]
        assert len(adopted) <= 1
        assert len(tasks._session.table) == len(adopted)
        for lease in adopted:
            assert await lease.release()
