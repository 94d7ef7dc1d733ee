# ruff: noqa: D102 -- the name of a test says what it shows
"""What every lock store must do for those who wait; part of the suite in `ringfence.testing.lock_store`."""

from __future__ import annotations

import itertools
import threading
from contextlib import AbstractContextManager

from ringfence._core.leases import new_owner
from ringfence.locks import rules
from ringfence.locks.stores import LockStore
from ringfence.testing.store_suite import LONG, StoreSuite, granted
from ringfence.testing.switches.replaced import replaced


class QueueSuite(StoreSuite):
    """Waiting is fair, and ends when the lock is had."""

    def test_waiters_are_granted_the_lock_in_the_order_in_which_they_came(self) -> None:
        with self._opened() as store:
            holder, waiters = held_and_waited_for(store, 4)
            fence = granted(store, "x", holder, LONG)
            for waiter in waiters:
                assert store.release("x", holder, fence) is True
                holder, fence = waiter, heard(store, waiter)

    def test_a_newcomer_never_overtakes(self) -> None:
        with self._opened() as store:
            holder, [waiter] = held_and_waited_for(store, 1)
            store.release("x", holder, granted(store, "x", holder, LONG))
            assert store.grant("x", new_owner(), LONG) is None
            assert store.grant("x", new_owner(), LONG, True) is None
            heard(store, waiter)

    def test_a_newcomer_never_overtakes_after_an_expiry(self) -> None:
        with self._opened() as store:
            waiter = new_owner()
            granted(store, "x", new_owner(), self.ttl)
            assert store.grant("x", waiter, LONG, True) is None
            self.wait(self.ttl * 1.2)
            assert store.grant("x", new_owner(), LONG) is None
            heard(store, waiter)

    def test_a_newcomer_that_only_asks_takes_no_place(self) -> None:
        with self._opened() as store:
            holder = new_owner()
            fence = granted(store, "x", holder, LONG)
            assert store.grant("x", new_owner(), LONG) is None
            store.release("x", holder, fence)
            assert store.status("x").holder is None

    def test_asking_again_keeps_the_place(self) -> None:
        with self._opened() as store:
            holder, [first, second] = held_and_waited_for(store, 2)
            assert store.grant("x", first, LONG, True) is None
            store.release("x", holder, granted(store, "x", holder, LONG))
            heard(store, first)
            assert store.grant("x", second, LONG, True) is None

    def test_a_waiter_that_died_is_skipped(self) -> None:
        with self._opened() as store, self._short_places():
            holder, [_, second] = held_and_waited_for(store, 2)
            self.wait(self.ttl * 1.5)
            assert store.grant("x", second, LONG, True) is None
            self.wait(self.ttl)
            store.release("x", holder, granted(store, "x", holder, LONG))
            heard(store, second)

    def test_a_waiter_that_asks_again_is_not_taken_for_dead(self) -> None:
        with self._opened() as store, self._short_places():
            holder, [first, second] = held_and_waited_for(store, 2)
            for _ in range(2):
                self.wait(self.ttl * 1.5)
                for waiter in (first, second):
                    assert store.grant("x", waiter, LONG, True) is None
            store.release("x", holder, granted(store, "x", holder, LONG))
            heard(store, first)

    def test_a_waiter_that_withdrew_never_ends_up_holding(self) -> None:
        with self._opened() as store:
            holder, [first, second] = held_and_waited_for(store, 2)
            store.withdraw("x", first)
            store.withdraw("x", first)
            store.release("x", holder, granted(store, "x", holder, LONG))
            heard(store, second)

    def test_what_the_last_waiter_left_is_free(self) -> None:
        with self._opened() as store:
            holder, [waiter] = held_and_waited_for(store, 1)
            store.withdraw("x", waiter)
            store.release("x", holder, granted(store, "x", holder, LONG))
            assert store.status("x").holder is None

    def test_a_withdrawn_grant_goes_to_the_next(self) -> None:
        with self._opened() as store:
            holder, [first, second] = held_and_waited_for(store, 2)
            store.withdraw("x", holder)
            store.withdraw("x", first)
            heard(store, second)

    def test_a_grant_that_nobody_uses_ends_with_its_ttl(self) -> None:
        with self._opened() as store:
            holder, dead, waiter = new_owner(), new_owner(), new_owner()
            fence = granted(store, "x", holder, LONG)
            store.grant("x", dead, self.ttl, True)
            store.grant("x", waiter, LONG, True)
            store.release("x", holder, fence)
            self.wait(self.ttl * 1.2)
            assert store.grant("x", waiter, LONG, True) is not None

    def test_each_lock_has_its_own_queue(self) -> None:
        with self._opened() as store:
            holder, [waiter] = held_and_waited_for(store, 1)
            granted(store, "y", new_owner(), LONG)
            assert store.grant("y", waiter, LONG, True) is None
            store.release("x", holder, granted(store, "x", holder, LONG))
            heard(store, waiter)
            assert store.grant("y", waiter, LONG, True) is None

    def test_waiters_get_greater_fences(self) -> None:
        with self._opened() as store:
            holder, waiters = held_and_waited_for(store, 3)
            fences = [granted(store, "x", holder, LONG)]
            for before, waiter in itertools.pairwise([holder, *waiters]):
                store.release("x", before, fences[-1])
                fences.append(heard(store, waiter))
            assert fences == sorted(set(fences))

    def test_as_many_fences_are_issued_as_were_asked_for(self) -> None:
        with self._opened() as store:
            holder, waiter, last = new_owner(), new_owner(), new_owner()
            first = store.grant("x", holder, LONG, False, 32)
            assert first is not None
            store.grant("x", waiter, LONG, True, 32)
            store.grant("x", last, LONG, True)
            store.release("x", holder, first)
            second = heard(store, waiter)
            assert second >= first + 32
            store.release("x", waiter, second)
            assert heard(store, last) >= second + 32

    def test_those_who_wait_are_named_in_their_order(self) -> None:
        with self._opened() as store, self._short_places():
            _, waiters = held_and_waited_for(store, 3)
            assert store.status("x").waiting == (tuple(waiters) if self.shows_queue else ())
            self.wait(self.ttl * 1.5)
            assert store.grant("x", waiters[1], LONG, True) is None
            self.wait(self.ttl)
            assert store.status("x").waiting == ((waiters[1],) if self.shows_queue else ())

    def test_a_lease_that_was_pushed_ends_no_later_than_it_is_believed(self) -> None:
        with self._opened() as store:
            sent = self.now()
            holder, [waiter] = held_and_waited_for(store, 1)
            self.wait(self.ttl)
            store.release("x", holder, granted(store, "x", holder, LONG))
            self.wait(self.ttl)
            push = store.wait("x", waiter, 1.0)
            found = store.status("x").holder
            assert found is not None
            if push is not None:
                assert push.fence == found.fence
                assert sent + push.age + LONG <= self.now() + found.remaining + 0.001

    def test_a_waiter_is_woken(self) -> None:
        with self._opened() as store:
            holder, [waiter] = held_and_waited_for(store, 1)
            woken = threading.Event()
            thread = threading.Thread(target=wait_once, args=(store, "x", waiter, 2 * self.patience, woken))
            thread.start()
            try:
                assert not woken.wait(0.2)
                store.release("x", holder, granted(store, "x", holder, LONG))
                assert woken.wait(self.patience), "it slept on"
            finally:
                thread.join(10)

    def test_a_wait_ends_with_its_time(self) -> None:
        with self._opened() as store:
            _, [waiter] = held_and_waited_for(store, 1)
            assert store.wait("x", waiter, 0.01) is None

    def _short_places(self) -> AbstractContextManager[None]:
        return replaced(rules, "PLACE", self.ttl * 2)


def held_and_waited_for(store: LockStore, count: int) -> tuple[str, list[str]]:
    """Take the lock, and have others wait for it; return the holder and the waiters."""
    holder, *waiters = (new_owner() for _ in range(count + 1))
    granted(store, "x", holder, LONG)
    for waiter in waiters:
        assert store.grant("x", waiter, LONG, True) is None
    return holder, waiters


def heard(store: LockStore, waiter: str) -> int:
    """Return the fence of a grant that was made to a waiter."""
    found = store.status("x").holder
    assert found is not None, "the lock was freed, and the waiter whose turn it was did not get it"
    assert found.owner == waiter, "another got the lock than the waiter whose turn it was"
    push = store.wait("x", waiter, 1.0)
    fence = store.grant("x", waiter, LONG, True)
    assert fence == found.fence
    assert push is None or push.fence == fence
    return fence


def wait_once(store: LockStore, name: str, waiter: str, seconds: float, woken: threading.Event) -> None:
    """Wait for a lock, and tell when that is over."""
    store.wait(name, waiter, seconds)
    woken.set()
