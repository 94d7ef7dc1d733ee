"""Locks for threads: acquiring, waiting, renewing, losing, releasing."""

import contextlib
import gc
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ringfence.errors import LeaseLost, NotHeld, StoreError, StoreTimeout
from ringfence.locks.lease import Lease
from ringfence.locks.manager import LockManager
from ringfence.locks.stores.memory import MemoryStore
from tests.locks.waiters import wait_until


@pytest.fixture
def manager(url: str) -> Iterator[LockManager]:
    with LockManager.from_url(url) as opened:
        yield opened


class Interrupts:
    """One `KeyboardInterrupt` in the main thread, some time after it was asked for."""

    came = False

    @contextlib.contextmanager
    def after(self, seconds: float) -> Iterator[None]:
        self.came = False
        main = threading.main_thread().ident
        timer = threading.Timer(seconds, signal.pthread_kill, (main, signal.SIGUSR1))
        try:
            timer.start()
            yield
        finally:
            timer.join()

    def interrupt(self, number: int, frame: object) -> None:
        self.came = True
        raise KeyboardInterrupt


def taken(lease: Lease | None) -> Lease:
    assert lease is not None
    return lease


def test_a_with_block_holds_the_lock_and_gives_it_back(manager: LockManager) -> None:
    with manager.lock("x") as lease:
        assert lease.valid is True
        assert lease.name == "x"
        assert 9.0 < lease.remaining() <= 10.0
        lease.check()
        assert [holder[:3] for holder in manager.leases()] == [("x", lease.owner, lease.fence)]
    assert manager.leases() == []
    assert lease.remaining() == 0.0


def test_without_blocking_a_held_lock_is_none(manager: LockManager) -> None:
    with manager.lock("x"):
        assert manager.lock("x").acquire(blocking=False) is None
        assert manager.lock("x").acquire(timeout=0) is None


def test_a_timeout_is_kept(manager: LockManager) -> None:
    with manager.lock("x"):
        started = time.monotonic()
        assert manager.lock("x").acquire(timeout=0.3) is None
        assert 0.3 <= time.monotonic() - started < 0.8


def test_waiting_gets_the_lock_when_it_is_released(manager: LockManager) -> None:
    first = taken(manager.lock("x").acquire())
    threading.Timer(0.1, first.release).start()
    second = taken(manager.lock("x").acquire(timeout=5))
    assert second.fence > first.fence
    assert second.owner != first.owner


def test_a_release_tells_whether_it_was_still_held(manager: LockManager) -> None:
    lease = taken(manager.lock("x").acquire())
    assert lease.release() is True
    assert lease.release() is False
    with pytest.raises(NotHeld):
        lease.check()
    with pytest.raises(NotHeld):
        lease.extend()


def test_a_lease_may_be_released_inside_its_block(manager: LockManager) -> None:
    with manager.lock("x") as lease:
        assert lease.release()


def test_a_lease_is_renewed_for_as_long_as_it_is_held(manager: LockManager) -> None:
    with manager.lock("x", ttl=0.9) as lease:
        time.sleep(1.3)
        lease.check()
        assert manager.lock("x").acquire(blocking=False) is None


def test_without_renewal_the_lease_is_lost_at_its_deadline(manager: LockManager) -> None:
    lost: list[float] = []
    started = time.monotonic()
    lease = taken(manager.lock("x", ttl=0.3, renew=False).acquire())
    lease.on_lost(lambda which: lost.append(time.monotonic() - started))
    wait_until(lambda: lost)
    assert 0.25 <= lost[0] < 0.9
    with pytest.raises(LeaseLost) as caught:
        lease.check()
    assert (caught.value.name, caught.value.fence) == ("x", lease.fence)
    assert lease.release() is False
    time.sleep(0.4)
    assert len(lost) == 1


def test_a_lease_that_nobody_refers_to_ends_with_its_ttl(manager: LockManager) -> None:
    manager.lock("x", ttl=0.3).acquire()
    gc.collect()
    assert manager.lock("x").acquire(timeout=2) is not None


def test_an_extension_moves_the_deadline(manager: LockManager) -> None:
    lease = taken(manager.lock("x", ttl=1.0, renew=False).acquire())
    lease.extend(60)
    assert 59 < lease.remaining() <= 60
    lease.extend()
    assert 59 < lease.remaining() <= 60  # never shorter
    assert 30 < manager.leases()[0].remaining <= 60  # some stores tell whole seconds


def test_what_was_lost_cannot_be_extended(manager: LockManager) -> None:
    lease = taken(manager.lock("x", ttl=0.3, renew=False).acquire())
    time.sleep(0.4)
    with pytest.raises(LeaseLost):
        lease.extend()


def test_a_lease_taken_away_is_lost_at_the_next_renewal(manager: LockManager) -> None:
    lost: list[Lease] = []
    lease = taken(manager.lock("x", ttl=6.0).acquire())
    lease.on_lost(lost.append)
    manager._session.store.withdraw("x", lease.owner)
    wait_until(lambda: lost, 5.5)
    assert lost == [lease]
    assert not lease.valid


def test_an_extension_notices_that_the_lease_was_taken_away(manager: LockManager) -> None:
    lost: list[Lease] = []
    lease = taken(manager.lock("x").acquire())
    lease.on_lost(lost.append)
    manager._session.store.withdraw("x", lease.owner)
    with pytest.raises(LeaseLost):
        lease.extend()
    assert lost == [lease]


def test_on_lost_after_the_loss_calls_at_once(manager: LockManager) -> None:
    lease = taken(manager.lock("x", ttl=0.3, renew=False).acquire())
    lost: list[Lease] = []
    lease.on_lost(lost.append)
    wait_until(lambda: lost)
    lease.on_lost(lost.append)
    assert len(lost) == 2


def test_on_lost_is_not_called_for_a_released_lease(manager: LockManager) -> None:
    lost: list[Lease] = []
    lease = taken(manager.lock("x", ttl=0.6, renew=False).acquire())
    lease.on_lost(lost.append)
    lease.release()
    time.sleep(0.8)
    assert lost == []


def test_a_callback_that_raises_is_reported_and_stops_no_other(
    manager: LockManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_value))
    lost: list[Lease] = []
    lease = taken(manager.lock("x", ttl=0.3, renew=False).acquire())
    lease.on_lost(lambda which: 1 / 0)
    lease.on_lost(lost.append)
    wait_until(lambda: lost)
    assert [type(error) for error in reported] == [ZeroDivisionError]
    assert manager.lock("y", ttl=0.3).acquire() is not None


def test_leaving_a_block_whose_lease_was_lost_raises(manager: LockManager) -> None:
    with pytest.raises(LeaseLost), manager.lock("x", ttl=0.3, renew=False):
        time.sleep(0.4)


def test_leaving_by_an_exception_keeps_it(manager: LockManager) -> None:
    with pytest.raises(ZeroDivisionError), manager.lock("x", ttl=0.3, renew=False) as lease:
        fail_after(lease)


def fail_after(lease: Lease) -> None:
    wait_until(lambda: not lease.valid)
    raise ZeroDivisionError


def test_one_lock_may_be_shared_by_threads(manager: LockManager) -> None:
    lock = manager.lock("x")
    inside: list[int] = []
    most: list[int] = []
    fences: list[int] = []

    def work() -> None:
        for _ in range(5):
            with lock as lease:
                inside.append(1)
                most.append(len(inside))
                fences.append(lease.fence)
                time.sleep(0.001)
                inside.pop()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert max(most) == 1
    assert fences == sorted(set(fences))
    assert len(fences) == 20


def test_blocks_of_one_thread_are_left_last_in_first_out(manager: LockManager) -> None:
    lock = manager.lock("x", ttl=0.3, renew=False)
    outer = lock.__enter__()
    inner = lock.__enter__()
    assert inner.fence > outer.fence
    lock.__exit__(None, None, None)
    assert inner.was_released()
    assert not outer.was_released()
    with pytest.raises(LeaseLost):
        lock.__exit__(None, None, None)


def test_leaving_without_entering_is_an_error(manager: LockManager) -> None:
    with pytest.raises(NotHeld):
        manager.lock("x").__exit__(None, None, None)


def test_a_block_may_be_left_by_another_thread(manager: LockManager) -> None:
    lock = manager.lock("x")
    lock.__enter__()
    thread = threading.Thread(target=lock.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    assert manager.leases() == []


def test_a_memory_store_is_shared_by_its_name() -> None:
    one, same = LockManager.from_url("memory://shared"), LockManager.from_url("memory://shared")
    with one, same, LockManager.from_url("memory://other") as other, one.lock("x"):
        assert same.lock("x").acquire(blocking=False) is None
        assert other.lock("x").acquire(blocking=False) is not None


def test_closing_releases_what_is_held(manager: LockManager) -> None:
    store = MemoryStore()
    closed = LockManager(store)
    lease = taken(closed.lock("x").acquire())
    closed.close()
    closed.close()
    assert store.leases() == []
    assert not lease.valid
    assert lease.release() is False
    with pytest.raises(StoreError, match="closed"):
        closed.lock("x").acquire()


def test_closing_ends_the_waiting_of_others(manager: LockManager) -> None:
    errors: list[StoreError] = []

    def wait() -> None:
        try:
            manager.lock("x").acquire()
        except StoreError as error:
            errors.append(error)

    taken(manager.lock("x").acquire())
    waiters = [threading.Thread(target=wait) for _ in range(2)]
    for waiter in waiters:
        waiter.start()
    time.sleep(0.1)
    manager.close()
    for waiter in waiters:
        waiter.join(20)
    assert len(errors) == 2


class Unanswering(MemoryStore):
    """A store that does not answer releases."""

    def release(self, name: str, owner: str, fence: int) -> bool:
        raise StoreTimeout("busy")


def test_a_failed_release_raises_and_keeps_the_body_s_own_error() -> None:
    manager = LockManager(Unanswering())
    with pytest.raises(StoreTimeout), manager.lock("x", ttl=0.1):
        pass
    with pytest.raises(ZeroDivisionError) as caught, manager.lock("y", ttl=0.1):
        raise ZeroDivisionError
    assert "was not released" in caught.value.__notes__[0]
    manager.close()


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    """Interrupts by a signal that neither Ctrl-C nor the time limit of a test uses."""
    prepared = Interrupts()
    before = signal.signal(signal.SIGUSR1, prepared.interrupt)
    yield prepared
    signal.signal(signal.SIGUSR1, before)


def test_an_interrupted_waiter_holds_nothing(manager: LockManager, interrupts: Interrupts) -> None:
    first = taken(manager.lock("x").acquire())
    with pytest.raises(KeyboardInterrupt), interrupts.after(0.1):
        manager.lock("x").acquire()
    first.release()
    time.sleep(0.05)
    assert manager.leases() == []


# An interrupt in the middle of the interpreter's own `open` or `Condition` leaves a warning or a RuntimeError there.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_interrupts_at_any_moment_leave_no_lease_behind(manager: LockManager, interrupts: Interrupts) -> None:
    """A lease that was got just before the interrupt is dropped, so nothing renews it."""
    taken(manager.lock("x").acquire()).release()
    for number in range(60):
        with contextlib.suppress(KeyboardInterrupt, RuntimeError), interrupts.after(0.001 + number * 0.00002):
            while not interrupts.came:  # one inside a finaliser the interpreter reports and drops
                taken(manager.lock("x", ttl=0.2).acquire()).release()
    gc.collect()  # what an interrupt left open is found here, not in a later test
    assert manager.lock("x").acquire(timeout=2) is not None
