# ruff: noqa: D102 -- the name of a test says what it shows
"""What a store must do for those who wait for shares; part of the suite in `ringfence.testing.shared_lock`."""

from __future__ import annotations

import threading

from ringfence._core.leases import new_owner
from ringfence.locks import rules
from ringfence.locks.stores import LockStore, Shared
from ringfence.testing.lock_queue import wait_once
from ringfence.testing.store_suite import LONG, StoreSuite, granted
from ringfence.testing.switches.replaced import replaced

ALL = 2**20
READ = Shared("x", 1, ALL)
WRITE = Shared("x", ALL, ALL)


def permit(permits: int, asked: int = 1) -> Shared:
    """Return what asks for some of the permits of "x"."""
    return Shared("x", asked, permits)


class SharedQueueSuite(StoreSuite):
    """Waiting for shares is fair, and ends when there is room."""

    def test_a_waiting_writer_stops_new_readers(self) -> None:
        with self._opened() as store:
            reader, writer, late = new_owner(), new_owner(), new_owner()
            fence = granted(store, READ, reader, LONG)
            assert store.grant(WRITE, writer, LONG, True) is None
            assert store.grant(READ, late, LONG) is None
            assert store.grant(READ, late, LONG, True) is None
            store.release(READ, reader, fence)
            second = share_of(store, WRITE, writer)
            assert store.grant(READ, late, LONG, True) is None
            store.release(WRITE, writer, second)
            share_of(store, READ, late)

    def test_a_small_share_does_not_overtake_a_large_one(self) -> None:
        with self._opened() as store:
            granted(store, permit(3), new_owner(), LONG)
            assert store.grant(permit(3, 3), new_owner(), LONG, True) is None
            assert store.grant(permit(3), new_owner(), LONG) is None

    def test_one_release_admits_as_many_as_fit(self) -> None:
        with self._opened() as store:
            writer, *readers = (new_owner() for _ in range(4))
            fence = granted(store, WRITE, writer, LONG)
            for reader in readers:
                assert store.grant(READ, reader, LONG, True) is None
            last = new_owner()
            assert store.grant(WRITE, last, LONG, True) is None
            late = new_owner()
            assert store.grant(READ, late, LONG, True) is None
            store.release(WRITE, writer, fence)
            assert [one.owner for one in store.status(READ).holders] == readers
            fences = [share_of(store, READ, reader) for reader in readers]
            for reader, held in zip(readers, fences, strict=True):
                assert store.grant(READ, late, LONG, True) is None
                store.release(READ, reader, held)
            share_of(store, WRITE, last)

    def test_an_expiry_admits_as_many_as_fit(self) -> None:
        with self._opened() as store:
            readers = [new_owner() for _ in range(3)]
            granted(store, WRITE, new_owner(), self.ttl)
            for reader in readers:
                assert store.grant(READ, reader, LONG, True) is None
            self.wait(self.ttl * 1.2)
            assert store.grant(WRITE, new_owner(), LONG) is None
            assert store.grant(READ, readers[0], LONG, True) is not None
            for reader in readers:
                share_of(store, READ, reader)

    def test_waiters_that_queue_behind_a_release_come_in_their_order(self) -> None:
        with self._opened() as store:
            holder, *waiters = (new_owner() for _ in range(4))
            fence = granted(store, permit(1), holder, LONG)
            for waiter in waiters:
                assert store.grant(permit(1), waiter, LONG, True) is None
            assert store.grant(permit(1), waiters[0], LONG, True) is None
            for waiter in waiters:
                store.release(permit(1), holder, fence)
                holder, fence = waiter, share_of(store, permit(1), waiter)

    def test_a_writer_that_withdraws_lets_those_behind_it_pass(self) -> None:
        with self._opened() as store:
            writer, *readers = (new_owner() for _ in range(3))
            granted(store, READ, new_owner(), LONG)
            assert store.grant(WRITE, writer, LONG, True) is None
            for reader in readers:
                assert store.grant(READ, reader, LONG, True) is None
            store.withdraw(WRITE, writer)
            store.withdraw(WRITE, writer)
            for reader in readers:
                share_of(store, READ, reader)

    def test_a_waiter_that_withdraws_from_the_middle_leaves_the_others_their_order(self) -> None:
        with self._opened() as store:
            holder, first, middle, last = (new_owner() for _ in range(4))
            fence = granted(store, permit(1), holder, LONG)
            for waiter in (first, middle, last):
                assert store.grant(permit(1), waiter, LONG, True) is None
            store.withdraw(permit(1), middle)
            store.release(permit(1), holder, fence)
            store.release(permit(1), first, share_of(store, permit(1), first))
            share_of(store, permit(1), last)

    def test_a_writer_that_died_in_the_queue_is_skipped(self) -> None:
        with self._opened() as store, replaced(rules, "PLACE", self.ttl * 2):
            reader = new_owner()
            granted(store, READ, new_owner(), LONG)
            assert store.grant(WRITE, new_owner(), LONG, True) is None
            self.wait(self.ttl * 1.5)
            assert store.grant(READ, reader, LONG, True) is None
            self.wait(self.ttl)
            assert store.grant(READ, reader, LONG, True) is not None

    def test_a_share_that_was_pushed_ends_no_later_than_it_is_believed(self) -> None:
        with self._opened() as store:
            sent = self.now()
            holder, waiter = new_owner(), new_owner()
            fence = granted(store, permit(1), holder, LONG)
            assert store.grant(permit(1), waiter, LONG, True) is None
            self.wait(self.ttl)
            store.release(permit(1), holder, fence)
            self.wait(self.ttl)
            push = store.wait(permit(1), waiter, 1.0)
            [found] = store.status(permit(1)).holders
            if push is not None:
                assert push.fence == found.fence
                assert sent + push.age + LONG <= self.now() + found.remaining + 0.001

    def test_all_who_are_admitted_are_woken(self) -> None:
        with self._opened() as store:
            writer, *readers = (new_owner() for _ in range(3))
            fence = granted(store, WRITE, writer, LONG)
            woken = [threading.Event() for _ in readers]
            threads = []
            for reader, event in zip(readers, woken, strict=True):
                assert store.grant(READ, reader, LONG, True) is None
                threads.append(
                    threading.Thread(target=wait_once, args=(store, READ, reader, 2 * self.patience, event))
                )
                threads[-1].start()
            try:
                assert not woken[0].wait(0.2)
                store.release(WRITE, writer, fence)
                assert all(event.wait(self.patience) for event in woken), "one slept on"
            finally:
                for thread in threads:
                    thread.join(10)


def share_of(store: LockStore, name: Shared, owner: str) -> int:
    """Return the fence of a share that was granted to one who waited."""
    fences = [one.fence for one in store.status(name).holders if one.owner == owner]
    assert fences, "there was room for the one whose turn it was, and it did not get it"
    push = store.wait(name, owner, 1.0)
    assert store.grant(name, owner, LONG, True) == fences[0]
    assert push is None or push.fence == fences[0]
    return fences[0]
