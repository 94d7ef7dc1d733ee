# ruff: noqa: D102 -- the name of a test says what it shows
"""What every lock store must do, as a suite that anyone can run over a store of their own.

With pytest, subclass it under a name that starts with `Test`::

    class TestMyStore(LockStoreSuite):
        def open(self) -> LockStore:
            return MyStore(...)

It needs no pytest: `ringfence.testing.suites.failures(suite)` runs it and returns what failed.
"""

from __future__ import annotations

import itertools

from ringfence._core.leases import new_owner
from ringfence.locks.stores import Claim
from ringfence.testing.lock_queue import QueueSuite
from ringfence.testing.shared_lock import SharedLockSuite
from ringfence.testing.store_suite import LONG, StoreSuite, ask_at_once, granted, take_and_free


class LeaseSuite(StoreSuite):
    """What also a store must do in which nobody can queue, and whoever asks first is first served.

    Attributes:
        ttl: seconds after which the leases end that are to end during a test; raise it for a slow store.
    """

    def test_one_owner_holds_at_a_time(self) -> None:
        with self._opened() as store:
            assert store.grant("x", new_owner(), LONG) is not None
            assert store.grant("x", new_owner(), LONG) is None

    def test_names_are_independent(self) -> None:
        with self._opened() as store:
            assert store.grant("x", new_owner(), LONG) is not None
            assert store.grant("y", new_owner(), LONG) is not None

    def test_a_grant_stands_for_its_ttl(self) -> None:
        with self._opened() as store:
            store.grant("x", new_owner(), self.ttl * 4)
            self.wait(self.ttl)
            assert store.grant("x", new_owner(), LONG) is None

    def test_a_grant_ends_after_its_ttl(self) -> None:
        with self._opened() as store:
            store.grant("x", new_owner(), self.ttl)
            self.wait(self.ttl * 1.2)
            assert store.status("x").holder is None
            assert store.grant("x", new_owner(), LONG) is not None

    def test_every_grant_has_a_greater_fence(self) -> None:
        with self._opened() as store:
            fences = [take_and_free(store, "x") for _ in range(20)]
            assert all(isinstance(fence, int) for fence in fences)
            assert all(later > earlier for earlier, later in itertools.pairwise(fences)), fences

    def test_a_grant_after_an_expiry_has_a_greater_fence(self) -> None:
        with self._opened() as store:
            first = granted(store, "x", new_owner(), self.ttl)
            self.wait(self.ttl * 1.2)
            assert granted(store, "x", new_owner(), LONG) > first

    def test_an_owner_who_lost_the_lease_gets_a_greater_fence(self) -> None:
        with self._opened() as store:
            owner = new_owner()
            first = granted(store, "x", owner, self.ttl)
            self.wait(self.ttl * 1.2)
            assert granted(store, "x", owner, LONG) > first

    def test_fences_go_on_upward_after_a_restart(self) -> None:
        store = self.open()
        first = take_and_free(store, "x")
        store = self.restart(store)
        try:
            assert take_and_free(store, "x") > first
        finally:
            store.close()

    def test_the_owner_gets_the_same_fence_when_it_asks_again(self) -> None:
        with self._opened() as store:
            owner = new_owner()
            assert granted(store, "x", owner, LONG) == granted(store, "x", owner, LONG)

    def test_asking_again_extends(self) -> None:
        with self._opened() as store:
            owner = new_owner()
            store.grant("x", owner, self.ttl)
            store.grant("x", owner, LONG)
            self.wait(self.ttl * 1.2)
            assert store.grant("x", new_owner(), LONG) is None

    def test_a_renewal_extends(self) -> None:
        with self._opened() as store:
            owner = new_owner()
            fence = granted(store, "x", owner, self.ttl)
            assert store.renew([Claim("x", owner, fence, LONG)]) == [True]
            self.wait(self.ttl * 1.2)
            assert store.grant("x", new_owner(), LONG) is None

    def test_a_renewal_never_shortens(self) -> None:
        with self._opened() as store:
            owner = new_owner()
            fence = granted(store, "x", owner, LONG)
            assert store.renew([Claim("x", owner, fence, self.ttl)]) == [True]
            self.wait(self.ttl * 1.2)
            assert store.grant("x", new_owner(), LONG) is None

    def test_asking_again_never_shortens(self) -> None:
        with self._opened() as store:
            owner = new_owner()
            store.grant("x", owner, LONG)
            store.grant("x", owner, self.ttl)
            self.wait(self.ttl * 1.2)
            assert store.grant("x", new_owner(), LONG) is None

    def test_an_ended_lease_cannot_be_renewed(self) -> None:
        with self._opened() as store:
            owner = new_owner()
            fence = granted(store, "x", owner, self.ttl)
            self.wait(self.ttl * 1.2)
            assert store.renew([Claim("x", owner, fence, LONG)]) == [False]
            assert store.grant("x", new_owner(), LONG) is not None

    def test_only_owner_and_fence_together_renew(self) -> None:
        with self._opened() as store:
            owner = new_owner()
            fence = granted(store, "x", owner, self.ttl)
            assert store.renew([Claim("x", new_owner(), fence, LONG)]) == [False]
            assert store.renew([Claim("x", owner, fence - 1, LONG)]) == [False]
            self.wait(self.ttl * 1.2)
            assert store.grant("x", new_owner(), LONG) is not None

    def test_a_batch_is_answered_in_order(self) -> None:
        with self._opened() as store:
            owner = new_owner()
            claims = [Claim(name, owner, granted(store, name, owner, LONG), LONG) for name in "abc"]
            store.release("b", owner, claims[1].fence)
            assert store.renew([*claims, claims[0]]) == [True, False, True, True]
            assert store.renew([]) == []

    def test_a_release_frees(self) -> None:
        with self._opened() as store:
            owner = new_owner()
            fence = granted(store, "x", owner, LONG)
            assert store.release("x", owner, fence) is True
            assert store.status("x").holder is None
            assert store.grant("x", new_owner(), LONG) is not None

    def test_a_second_release_says_no(self) -> None:
        with self._opened() as store:
            owner = new_owner()
            fence = granted(store, "x", owner, LONG)
            store.release("x", owner, fence)
            assert store.release("x", owner, fence) is False

    def test_only_owner_and_fence_together_release(self) -> None:
        with self._opened() as store:
            owner = new_owner()
            fence = granted(store, "x", owner, LONG)
            assert store.release("x", new_owner(), fence) is False
            assert store.release("x", owner, fence - 1) is False
            assert store.grant("x", new_owner(), LONG) is None

    def test_a_late_release_leaves_the_next_holder_alone(self) -> None:
        with self._opened() as store:
            late, owner = new_owner(), new_owner()
            stale = granted(store, "x", late, self.ttl)
            self.wait(self.ttl * 1.2)
            fence = granted(store, "x", owner, LONG)
            assert store.release("x", late, stale) is False
            assert store.renew([Claim("x", late, stale, LONG)]) == [False]
            assert store.renew([Claim("x", owner, fence, LONG)]) == [True]

    def test_releasing_an_ended_lease_says_no(self) -> None:
        with self._opened() as store:
            owner = new_owner()
            fence = granted(store, "x", owner, self.ttl)
            self.wait(self.ttl * 1.2)
            assert store.release("x", owner, fence) is False

    def test_withdrawing_frees_whatever_was_granted(self) -> None:
        with self._opened() as store:
            owner = new_owner()
            store.grant("x", owner, LONG)
            store.withdraw("x", owner)
            store.withdraw("x", owner)
            assert store.grant("x", new_owner(), LONG) is not None

    def test_withdrawing_leaves_others_alone(self) -> None:
        with self._opened() as store:
            store.grant("x", new_owner(), LONG)
            store.withdraw("x", new_owner())
            assert store.grant("x", new_owner(), LONG) is None

    def test_the_holder_is_named(self) -> None:
        with self._opened() as store:
            owner = new_owner()
            fence = granted(store, "x", owner, LONG)
            holder = store.status("x").holder
            assert holder is not None
            assert holder[:3] == ("x", owner, fence)
            assert 0 < holder.remaining <= LONG
            assert store.status("y").holder is None

    def test_all_leases_are_listed_by_name(self) -> None:
        with self._opened() as store:
            for name in ("b", "a", "ü/∞ c"):
                store.grant(name, new_owner(), LONG)
            store.grant("over", new_owner(), self.ttl)
            self.wait(self.ttl * 1.2)
            assert [holder.name for holder in store.leases()] == ["a", "b", "ü/∞ c"]

    def test_of_many_threads_one_is_granted(self) -> None:
        with self._opened() as store:
            for number in range(10):
                grants = ask_at_once(store, f"x{number}", 8)
                assert sum(fence is not None for fence in grants) == 1, grants

    def test_a_store_that_carries_shared_locks_passes_their_suite_too(self) -> None:
        with self._opened() as store:
            assert store.shared == isinstance(self, SharedLockSuite)

    def test_closing_twice_is_harmless(self) -> None:
        store = self.open()
        store.close()
        store.close()


class LockStoreSuite(LeaseSuite, QueueSuite):
    """The conformance suite of lock stores."""
