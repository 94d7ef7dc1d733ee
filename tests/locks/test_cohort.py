"""The threads of one process hand a lock on among themselves, in turn, and no longer than others may wait."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from ringfence.errors import LeaseLost, StoreError
from ringfence.locks import rules
from ringfence.locks.acquire import Granted
from ringfence.locks.lease import Lease
from ringfence.locks.manager import LockManager
from ringfence.locks.stores import LockStore
from ringfence.locks.stores.memory import MemoryStore
from ringfence.protocol import Effects, _perform, run
from tests.locks.remote import Remote
from tests.locks.waiters import wait_until


@pytest.fixture
def store() -> Remote:
    return Remote(MemoryStore())


@pytest.fixture
def manager(store: LockStore) -> Iterator[LockManager]:
    with LockManager(store) as manager:
        yield manager


@pytest.fixture
def slow_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a hand-off may take longer than the few milliseconds for which others may wait."""
    monkeypatch.setattr(rules, "_HAND_ON_FOR", 60.0)


def taken(lease: Lease | None) -> Lease:
    assert lease is not None
    return lease


def waiting(manager: LockManager) -> int:
    """How many stand in line for x, the one in front included."""
    cohort = manager._session._cohort
    assert cohort is not None
    return len(cohort._lines._lines.get("x", ()))


@contextlib.contextmanager
def started(*works: Callable[[], Any]) -> Iterator[list[threading.Thread]]:
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    yield threads
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def in_line(manager: LockManager, count: int, got: list[Lease], **how: Any) -> list[Callable[[], None]]:
    """Waiters that line up one after the other, and note the lease that they got."""

    def wait(number: int) -> None:
        wait_until(lambda: waiting(manager) >= number + 1)
        got.append(taken(manager.lock("x", **how).acquire(timeout=20)))

    return [partial(wait, number) for number in range(count)]


@pytest.mark.usefixtures("slow_clocks")
def test_thirty_two_threads_take_turns(manager: LockManager, store: Remote) -> None:
    counts = [0] * 32
    fences: list[int] = []
    first = taken(manager.lock("x").acquire())

    def work(number: int) -> None:
        while sum(counts) < 32 * 30:
            with manager.lock("x", ttl=60.0) as lease:
                counts[number] += 1
                fences.append(lease.fence)

    with started(*(partial(work, number) for number in range(32))):
        wait_until(lambda: waiting(manager) == 33, 30)
        first.release()
    assert max(counts) / min(counts) <= 1.1
    assert fences == sorted(set(fences))
    assert store.asked["release"] <= len(fences) / 8  # the others were handed on


@pytest.mark.usefixtures("slow_clocks")
def test_a_lock_is_handed_on_without_asking_the_store(manager: LockManager, store: Remote) -> None:
    got: list[Lease] = []
    first = taken(manager.lock("x").acquire())
    with started(*in_line(manager, 2, got)):
        wait_until(lambda: waiting(manager) == 3)
        asked = dict(store.asked)
        assert first.release() is True
        wait_until(lambda: len(got) == 1)
        assert dict(store.asked) == asked
        assert (got[0].owner, got[0].fence) == (first.owner, first.fence + 1)
        got[0].check()
        got[0].release()
    assert got[1].fence == first.fence + 2
    assert got[1].release() is True
    assert manager.leases() == []


@pytest.mark.usefixtures("slow_clocks")
def test_a_late_release_by_an_earlier_holder_changes_nothing(manager: LockManager) -> None:
    got: list[Lease] = []
    first = taken(manager.lock("x").acquire())
    with started(*in_line(manager, 1, got)):
        wait_until(lambda: waiting(manager) == 2)
        first.release()
    first._answered = False  # as if it had been interrupted
    assert first.release() is False
    assert first.valid is False
    got[0].extend()
    assert len(manager.leases()) == 1


@pytest.mark.usefixtures("slow_clocks")
def test_a_lease_with_too_little_time_left_is_not_handed_on(manager: LockManager) -> None:
    got: list[Lease] = []
    first = taken(manager.lock("x", ttl=10.0).acquire())
    with started(*in_line(manager, 1, got, ttl=3600.0)):
        wait_until(lambda: waiting(manager) == 2)
        first.release()
    assert got[0].owner != first.owner
    assert got[0].remaining() > 3500


def test_a_process_hands_on_for_a_few_milliseconds_only(manager: LockManager) -> None:
    got: list[Lease] = []
    first = taken(manager.lock("x").acquire())
    with started(*in_line(manager, 1, got)):
        wait_until(lambda: waiting(manager) == 2)
        time.sleep(0.01)
        first.release()
    assert got[0].owner != first.owner


@pytest.mark.usefixtures("slow_clocks")
def test_other_processes_wait_for_a_block_at_most(manager: LockManager, store: Remote) -> None:
    """Two managers on one store are to each other like two processes."""
    turns: list[int] = []
    waited: list[int] = []
    first = taken(manager.lock("x", ttl=60.0).acquire())

    def work(number: int) -> None:
        while not waited:
            with manager.lock("x", ttl=60.0):
                turns.append(number)

    with LockManager(store) as other:

        def wait() -> None:
            with other.lock("x", ttl=60.0):
                waited.append(len(turns))

        with started(wait, *(partial(work, number) for number in range(4))):
            wait_until(lambda: waiting(manager) == 5 and store.status("x").waiting, 30)
            first.release()
    assert 0 < waited[0] < rules.FENCES


def test_waiting_in_line_keeps_to_its_timeout(manager: LockManager) -> None:
    with manager.lock("x"):
        begun = time.monotonic()
        assert manager.lock("x").acquire(timeout=0.2) is None
        assert 0.2 <= time.monotonic() - begun < 1.5
        assert manager.lock("x").acquire(blocking=False) is None
        assert waiting(manager) == 1
    assert waiting(manager) == 0


def test_a_lease_that_was_lost_or_dropped_is_handed_to_the_next_at_its_deadline(manager: LockManager) -> None:
    late = taken(manager.lock("x", ttl=0.3, renew=False).acquire())
    lease = taken(manager.lock("x").acquire(timeout=10))
    assert not late.valid
    assert lease.fence > late.fence
    assert late.release() is False
    lease.extend()


def test_a_lease_that_the_store_gave_up_leaves_the_front_to_the_next(
    manager: LockManager, store: Remote
) -> None:
    """Not only at its deadline, a minute later: the lock is free."""
    held = taken(manager.lock("x", ttl=60).acquire())
    got: list[Lease] = []

    def broken() -> None:
        wait_until(lambda: waiting(manager) == 2)
        store.release(held.name, held.owner, held.fence)
        with pytest.raises(LeaseLost):
            held.extend()

    with started(broken, *in_line(manager, 1, got)):
        pass
    assert got[0].fence > held.fence
    assert held.release() is False
    got[0].extend()


def test_one_that_gives_up_in_front_lets_the_next_one_ask(store: Remote) -> None:
    with LockManager(store) as elsewhere, LockManager(store) as manager:
        held = taken(elsewhere.lock("x").acquire())
        got: list[Lease] = []
        none: list[object] = []

        def impatient() -> None:
            none.append(manager.lock("x").acquire(timeout=0.3))

        with started(impatient, *in_line(manager, 1, got)):
            wait_until(lambda: none)
            held.release()
        assert none == [None]
        got[0].check()


def test_closing_ends_the_waiting(manager: LockManager) -> None:
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            manager.lock("x").acquire()
        except StoreError as error:
            errors.append(error)

    taken(manager.lock("x").acquire())
    lease = taken(manager.lock("y").acquire())
    with started(wait, wait):
        wait_until(lambda: waiting(manager) == 3)
        manager.close()
    assert len(errors) == 2
    assert not lease.valid


class Interrupted(Exception):
    """What a waiter is interrupted by."""


def interrupted(steps: Effects[Any], at: int) -> Any:
    """Drive a protocol, and interrupt it after one of its effects, before it is told the result."""
    resume: Any = steps.send
    value: Any = None
    while True:
        try:
            effect = resume(value)
        except StopIteration as stop:
            return stop.value
        value, resume = _perform(effect), steps.send
        at -= 1
        if at == 0:
            value, resume = Interrupted(), steps.throw


@pytest.mark.parametrize("at", range(1, 12))
@pytest.mark.usefixtures("slow_clocks")
def test_a_waiter_interrupted_at_any_effect_leaves_the_lock_to_the_next(
    manager: LockManager, store: Remote, at: int
) -> None:
    session = manager._session
    first = taken(manager.lock("x").acquire())
    ended: list[Granted | None] = []

    def wait() -> None:
        try:
            ended.append(interrupted(session.acquiring("x", 10.0, 20.0), at))
        except Interrupted:
            ended.append(None)

    with started(wait):
        wait_until(lambda: waiting(manager) == 2 or ended)
        first.release()
    if ended[0] is not None:
        assert run(session.releasing(*ended[0])) is True
    assert store.leases() == []
    with manager.lock("x") as lease:
        lease.check()


@pytest.mark.parametrize("at", range(1, 8))
@pytest.mark.usefixtures("slow_clocks")
def test_one_behind_a_waiter_that_was_interrupted_gets_the_lock(manager: LockManager, at: int) -> None:
    first = taken(manager.lock("x").acquire())
    got: list[Lease] = []

    def wait() -> None:
        with contextlib.suppress(Interrupted):
            granted = interrupted(manager._session.acquiring("x", 10.0, 20.0), at)
            run(manager._session.releasing(*granted))

    def come_second() -> None:
        wait_until(lambda: waiting(manager) != 1)
        got.append(taken(manager.lock("x").acquire(timeout=20)))

    with started(wait, come_second):
        wait_until(lambda: waiting(manager) >= 2)
        time.sleep(0.02)
        first.release()
    got[0].check()
