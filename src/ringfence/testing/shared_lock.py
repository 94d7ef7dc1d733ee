# ruff: noqa: D102 -- the name of a test says what it shows
"""What a store must do for locks that several hold at once; run beside `LockStoreSuite`, where `store.shared` is True.

::

    class TestMyStore(SharedLockSuite, LockStoreSuite):
        def open(self) -> LockStore:
            return MyStore(...)
"""

from __future__ import annotations

import pickle
import random

from ringfence._core.leases import new_owner
from ringfence.locks.stores import Claim, LockStore, Shared
from ringfence.testing.shared_queue import READ, WRITE, SharedQueueSuite, permit, share_of
from ringfence.testing.store_suite import LONG, ask_at_once, granted


class SharedLockSuite(SharedQueueSuite):
    """No more is held than there is: readers and writers, and permits.

    Attributes:
        rounds: how many random plays to make.
    """

    rounds = 3

    def test_shares_are_granted_until_all_are_held(self) -> None:
        with self._opened() as store:
            for _ in range(3):
                granted(store, permit(3), new_owner(), LONG)
            assert store.grant(permit(3), new_owner(), LONG) is None

    def test_larger_shares_count_for_what_they_are(self) -> None:
        with self._opened() as store:
            granted(store, permit(5, 3), new_owner(), LONG)
            assert store.grant(permit(5, 3), new_owner(), LONG) is None
            granted(store, permit(5, 2), new_owner(), LONG)
            assert store.grant(permit(5), new_owner(), LONG) is None

    def test_readers_share_and_a_writer_does_not(self) -> None:
        with self._opened() as store:
            granted(store, READ, new_owner(), LONG)
            granted(store, READ, new_owner(), LONG)
            assert store.grant(WRITE, new_owner(), LONG) is None

    def test_a_writer_keeps_everyone_out(self) -> None:
        with self._opened() as store:
            granted(store, WRITE, new_owner(), LONG)
            assert store.grant(READ, new_owner(), LONG) is None
            assert store.grant(WRITE, new_owner(), LONG) is None

    def test_each_asker_reckons_with_its_own_number_of_shares(self) -> None:
        with self._opened() as store:
            granted(store, permit(1), new_owner(), LONG)
            assert store.grant(permit(1), new_owner(), LONG) is None
            granted(store, permit(2), new_owner(), LONG)
            assert store.grant(permit(2), new_owner(), LONG) is None

    def test_the_plain_lock_of_the_name_is_another(self) -> None:
        with self._opened() as store:
            plain, writer = new_owner(), new_owner()
            first, second = granted(store, "x", plain, LONG), granted(store, WRITE, writer, LONG)
            assert store.grant("x", new_owner(), LONG, True) is None
            assert store.grant(READ, new_owner(), LONG, True) is None
            assert [one.owner for one in store.status("x").holders] == [plain]
            assert [one.owner for one in store.status(READ).holders] == [writer]
            assert store.renew([Claim("x", writer, second, LONG), Claim(WRITE, plain, first, LONG)]) == [
                False,
                False,
            ]
            assert store.release("x", writer, second) is False
            assert store.release(WRITE, plain, first) is False
            assert store.release("x", plain, first) is True
            assert store.release(WRITE, writer, second) is True

    def test_a_share_that_was_released_is_free(self) -> None:
        with self._opened() as store:
            owner = new_owner()
            fence = granted(store, permit(1), owner, LONG)
            assert store.release(permit(1), owner, fence) is True
            assert store.release(permit(1), owner, fence) is False
            granted(store, permit(1), new_owner(), LONG)

    def test_only_the_shares_of_the_dead_end(self) -> None:
        with self._opened() as store:
            granted(store, permit(2), new_owner(), self.ttl)
            granted(store, permit(2), new_owner(), LONG)
            self.wait(self.ttl * 1.2)
            assert len(store.status(permit(2)).holders) == 1
            granted(store, permit(2), new_owner(), LONG)
            assert store.grant(permit(2), new_owner(), LONG) is None

    def test_a_share_stands_for_its_ttl_and_longer_when_renewed(self) -> None:
        with self._opened() as store:
            owner = new_owner()
            fence = granted(store, permit(1), owner, self.ttl * 4)
            self.wait(self.ttl)
            assert store.grant(permit(1), new_owner(), LONG) is None
            assert store.renew([Claim(permit(1), owner, fence, LONG)]) == [True]
            self.wait(self.ttl * 4)
            assert store.grant(permit(1), new_owner(), LONG) is None

    def test_neither_a_renewal_nor_asking_again_shortens(self) -> None:
        with self._opened() as store:
            owner = new_owner()
            fence = granted(store, permit(1), owner, LONG)
            assert store.renew([Claim(permit(1), owner, fence, self.ttl)]) == [True]
            assert granted(store, permit(1), owner, self.ttl) == fence
            self.wait(self.ttl * 1.2)
            assert store.grant(permit(1), new_owner(), LONG) is None

    def test_an_ended_share_is_neither_renewed_nor_released(self) -> None:
        with self._opened() as store:
            owner = new_owner()
            fence = granted(store, permit(1), owner, self.ttl)
            self.wait(self.ttl * 1.2)
            assert store.renew([Claim(permit(1), owner, fence, LONG)]) == [False]
            assert store.release(permit(1), owner, fence) is False
            granted(store, permit(1), new_owner(), LONG)

    def test_only_owner_and_fence_together_renew_and_release_a_share(self) -> None:
        with self._opened() as store:
            owner, other = new_owner(), new_owner()
            fence, beside = granted(store, permit(2), owner, self.ttl), granted(store, permit(2), other, LONG)
            for who, which in ((owner, beside), (other, fence), (new_owner(), fence)):
                assert store.release(permit(2), who, which) is False
                assert store.renew([Claim(permit(2), who, which, LONG)]) == [False]
            assert store.grant(permit(2), new_owner(), LONG) is None
            self.wait(self.ttl * 1.2)
            granted(store, permit(2), new_owner(), LONG)

    def test_shares_and_plain_locks_are_renewed_in_one_batch(self) -> None:
        with self._opened() as store:
            owner = new_owner()
            names = ("x", permit(1), Shared("y", 2, 2))
            claims = [Claim(name, owner, granted(store, name, owner, LONG), LONG) for name in names]
            store.release(permit(1), owner, claims[1].fence)
            assert store.renew(claims) == [True, False, True]

    def test_every_share_has_a_greater_fence(self) -> None:
        with self._opened() as store:
            owners = [new_owner() for _ in range(12)]
            fences = [granted(store, permit(4), owner, LONG) for owner in owners[:4]]
            for owner in owners[4:]:
                assert store.grant(permit(4), owner, LONG, True) is None
            for number in range(8):
                assert store.release(permit(4), owners[number], fences[number]) is True
                fences.append(share_of(store, permit(4), owners[number + 4]))
            assert fences == sorted(set(fences)), fences

    def test_as_many_fences_are_issued_with_a_share_as_were_asked_for(self) -> None:
        with self._opened() as store:
            first, waiter = new_owner(), new_owner()
            fence = store.grant(permit(2), first, LONG, False, 32)
            assert fence is not None
            second = granted(store, permit(2), new_owner(), LONG)
            assert second >= fence + 32
            store.grant(permit(2), waiter, LONG, True, 32)
            store.release(permit(2), first, fence)
            assert share_of(store, permit(2), waiter) > second

    def test_fences_of_shares_go_on_upward_after_a_restart(self) -> None:
        store = self.open()
        owner = new_owner()
        first = granted(store, permit(1), owner, LONG)
        store.release(permit(1), owner, first)
        store = self.restart(store)
        try:
            assert granted(store, permit(1), new_owner(), LONG) > first
        finally:
            store.close()

    def test_an_owner_that_asks_again_has_one_share_under_one_fence(self) -> None:
        with self._opened() as store:
            owner = new_owner()
            assert granted(store, permit(2), owner, LONG) == granted(store, permit(2), owner, LONG)
            granted(store, permit(2), new_owner(), LONG)
            assert granted(store, permit(2), owner, LONG) == share_of(store, permit(2), owner)

    def test_withdrawing_frees_the_share_of_this_owner_alone(self) -> None:
        with self._opened() as store:
            owner, other, waiter = new_owner(), new_owner(), new_owner()
            granted(store, permit(2), owner, LONG)
            granted(store, permit(2), other, LONG)
            assert store.grant(permit(2), waiter, LONG, True) is None
            store.withdraw(permit(2), new_owner())
            assert store.grant(permit(2), waiter, LONG, True) is None
            store.withdraw(permit(2), owner)
            share_of(store, permit(2), waiter)
            assert {one.owner for one in store.status(permit(2)).holders} == {other, waiter}

    def test_holders_and_waiters_are_named(self) -> None:
        with self._opened() as store:
            owners = [new_owner() for _ in range(4)]
            fences = [granted(store, permit(2), owner, LONG) for owner in owners[:2]]
            for owner in owners[2:]:
                store.grant(permit(2), owner, LONG, True)
            status = store.status(Shared("x", 1, 1))
            assert [(one.name, one.owner, one.fence) for one in status.holders] == [
                ("x", owner, fence) for owner, fence in zip(owners[:2], fences, strict=True)
            ]
            assert all(0 < one.remaining <= LONG for one in status.holders)
            assert status.waiting == (tuple(owners[2:]) if self.shows_queue else ())

    def test_shares_are_listed_among_the_leases(self) -> None:
        with self._opened() as store:
            store.grant("b", new_owner(), LONG)
            for name in (Shared("c/ü", 2, 5), Shared("a", 1, 2), Shared("a", 1, 2)):
                granted(store, name, new_owner(), LONG)
            store.grant(Shared("over", 1, 2), new_owner(), self.ttl)
            self.wait(self.ttl * 1.2)
            held = store.leases()
            assert [one.name for one in held] == ["a", "a", "b", "c/ü"]
            assert [isinstance(one.name, Shared) for one in held] == [True, True, False, True]
            assert held[0].fence < held[1].fence
            assert (held[3].name.asked, held[3].name.of) == (2, 5)  # type: ignore[attr-defined]
            assert pickle.loads(pickle.dumps(held)) == held

    def test_of_many_threads_as_many_are_granted_as_there_are_shares(self) -> None:
        with self._opened() as store:
            for number in range(10):
                grants = ask_at_once(store, Shared(f"x{number}", 1, 3), 8)
                assert sum(fence is not None for fence in grants) == 3, grants
                assert len(set(grants)) == 4, grants

    def test_never_is_more_held_than_there_is(self) -> None:
        with self._opened() as store:
            for seed in range(self.rounds):
                Play(store, Shared(f"x{seed}", 1, 5), random.Random(seed)).play(60)


class Play:
    """Owners ask, give back and withdraw at random, beside a model of what must come of it."""

    def __init__(self, store: LockStore, name: Shared, chance: random.Random) -> None:
        self.store = store
        self.name = name
        self.chance = chance
        self.held: dict[str, tuple[int, int]] = {}
        self.queue: dict[str, int] = {}
        self.newest = 0

    def play(self, steps: int) -> None:
        """Take some steps, and look after each."""
        for _ in range(steps):
            self.chance.choice((self.ask, self.ask, self.release, self.withdraw))()
            self.admit()
            assert {one.owner: one.fence for one in self.store.status(self.name).holders} == {
                owner: fence for owner, (_, fence) in self.held.items()
            }

    def ask(self) -> None:
        owner, asked = new_owner(), self.chance.choice((1, 1, 1, 2, self.name.of))
        queue = self.chance.random() < 0.8
        room = not self.queue and self.taken() + asked <= self.name.of
        fence = self.store.grant(Shared(self.name, asked, self.name.of), owner, LONG, queue)
        assert (fence is not None) == room
        if fence is not None:
            self.hold(owner, asked, fence)
        elif queue:
            self.queue[owner] = asked

    def release(self) -> None:
        if self.held:
            owner = self.chance.choice(list(self.held))
            asked, fence = self.held.pop(owner)
            assert self.store.release(Shared(self.name, asked, self.name.of), owner, fence) is True

    def withdraw(self) -> None:
        owners = [*self.held, *self.queue]
        if owners:
            owner = self.chance.choice(owners)
            self.held.pop(owner, None)
            self.queue.pop(owner, None)
            self.store.withdraw(self.name, owner)

    def admit(self) -> None:
        """Move from the head of the queue as many as fit to where the store should have them by now."""
        while self.queue:
            owner, asked = next(iter(self.queue.items()))
            if self.taken() + asked > self.name.of:
                return
            del self.queue[owner]
            self.hold(owner, asked, share_of(self.store, Shared(self.name, asked, self.name.of), owner))

    def hold(self, owner: str, asked: int, fence: int) -> None:
        assert fence > self.newest
        self.newest = fence
        self.held[owner] = asked, fence

    def taken(self) -> int:
        return sum(asked for asked, _ in self.held.values())
