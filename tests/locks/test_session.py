"""What keeps the leases of a manager: in time, for all of them, and ending with it."""

import gc
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ringfence.errors import LeaseLost, StoreTimeout
from ringfence.locks.lease import Lease
from ringfence.locks.manager import LockManager
from ringfence.locks.stores.memory import MemoryStore
from ringfence.protocol import now
from tests.locks.waiters import wait_until


@pytest.fixture
def manager() -> Iterator[LockManager]:
    with LockManager(MemoryStore()) as manager:
        yield manager


def taken(lease: Lease | None) -> Lease:
    assert lease is not None
    return lease


def test_a_short_lease_is_kept_beside_a_long_one(manager: LockManager) -> None:
    with manager.lock("long", ttl=1000), manager.lock("short", ttl=0.3) as lease:
        time.sleep(0.8)
        lease.check()


def test_a_thread_that_lost_its_lease_does_not_give_back_another_s(manager: LockManager) -> None:
    """Where the lock object remembers one holder, the late one releases the lock under the other."""
    lock = manager.lock("x", ttl=0.05, renew=False)
    late = lock.__enter__()
    wait_until(lambda: not late.valid)
    others: list[Lease] = []
    lock._ttl = 10.0
    thread = threading.Thread(target=lambda: others.append(lock.__enter__()))
    thread.start()
    thread.join()
    with pytest.raises(LeaseLost):
        lock.__exit__(None, None, None)
    others[0].check()
    assert [holder.owner for holder in manager.leases()] == [others[0].owner]


def test_a_loss_found_at_the_release_is_reported_once(manager: LockManager) -> None:
    hanging = threading.Event()
    lost: list[Lease] = []
    slow = taken(manager.lock("slow", ttl=0.3, renew=False).acquire())
    slow.on_lost(lambda which: hanging.wait(5))  # the thread that would report the other loss is kept busy
    lease = taken(manager.lock("x", ttl=0.4, renew=False).acquire())
    lease.on_lost(lost.append)
    wait_until(lambda: not lease.valid)
    assert lease.release() is False
    assert lost == [lease]
    hanging.set()
    time.sleep(0.05)
    assert lost == [lease]


def threads(but: set[threading.Thread]) -> list[str]:
    """Those that run: an interrupted `Thread.start()` leaves one in the list that was never started."""
    gc.collect()
    return [
        thread.name
        for thread in set(threading.enumerate()) - but
        if thread.is_alive() and thread.name.startswith(("ringfence-locks-watch", "ringfence-locks-renew"))
    ]


def test_closing_stops_the_threads() -> None:
    manager = LockManager(MemoryStore())
    session = manager._session
    lease = taken(manager.lock("x", ttl=600.0).acquire())
    session.table.postpone(lease._claim, now())
    session.notice(now())  # it is due at once, and not over even on a machine that stands still for a while
    wait_until(lambda: session._renewer is not None)
    started = [thread for thread in (session._watcher, session._renewer) if thread is not None]
    assert all(thread.is_alive() for thread in started)
    lease.check()
    manager.close()
    wait_until(lambda: not any(thread.is_alive() for thread in started))
    assert len(started) == 2


def test_a_manager_thrown_away_stops_its_threads() -> None:
    others = set(threading.enumerate())
    LockManager(MemoryStore()).lock("x", ttl=0.05).acquire()
    wait_until(lambda: not threads(others))


class Stuck(MemoryStore):
    """A store whose renewals hang, and then fail."""

    def __init__(self) -> None:
        super().__init__()
        self.hang = threading.Event()

    def renew(self, claims: Any) -> list[bool]:
        self.hang.wait(60)
        raise StoreTimeout("stuck")


def test_a_lease_is_lost_at_its_deadline_while_the_store_hangs() -> None:
    store = Stuck()
    with LockManager(store) as manager:
        lost: list[float] = []
        started = time.monotonic()
        lease = taken(manager.lock("x", ttl=0.3).acquire())
        lease.on_lost(lambda which: lost.append(time.monotonic() - started))
        wait_until(lambda: lost)
        store.hang.set()
        assert lost[0] >= 0.25


class Broken(MemoryStore):
    """A store that breaks once while renewing, in a way nobody foresaw."""

    broken = False

    def renew(self, claims: Any) -> list[bool]:
        if not self.broken:
            self.broken = True
            raise ZeroDivisionError
        return super().renew(claims)


def test_an_unforeseen_error_is_reported_and_renewing_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_type))
    with LockManager(Broken()) as manager, manager.lock("x", ttl=0.3):
        time.sleep(0.6)
    assert reported == [ZeroDivisionError]


class Telling(MemoryStore):
    """A store that learns of losses by itself."""

    on_lost: Any = None


def test_what_the_store_says_is_lost_is_lost_at_once_and_reported_by_the_session() -> None:
    store = Telling()
    with LockManager(store) as manager:
        leases = [taken(manager.lock(name, ttl=1000).acquire()) for name in "abc"]
        reported: list[tuple[Lease, threading.Thread]] = []
        for lease in leases:
            lease.on_lost(lambda lost: reported.append((lost, threading.current_thread())))
        store.on_lost([leases[1]._claim])
        assert [lease.valid for lease in leases] == [True, False, True]
        store.on_lost(None)
        assert not any(lease.valid for lease in leases)
        wait_until(lambda: len(reported) == 3, 30.0)
        assert sorted(lost.name for lost, _ in reported) == ["a", "b", "c"]
        assert threading.current_thread() not in [thread for _, thread in reported]
        with pytest.raises(LeaseLost):
            leases[0].check()


def test_a_store_may_say_that_something_is_lost_which_nobody_holds() -> None:
    store = Telling()
    with LockManager(store) as manager:
        lease = taken(manager.lock("x").acquire())
        lease.release()
        store.on_lost([lease._claim])
        store.on_lost(None)
        assert len(manager._session.table) == 0
    store.on_lost(None)
    del manager, lease
    gc.collect()
    store.on_lost(None)
