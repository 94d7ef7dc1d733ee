"""Stores that hold shares of locks with the usual mistakes: the suite must reject each, by the test that names it."""

import math
import time
from collections.abc import Callable
from typing import Any

import pytest

from ringfence.locks import rules
from ringfence.locks.stores import LockStore, Push, Shared
from ringfence.locks.stores.memory import MemoryStore
from ringfence.locks.stores.memory_shared import Place, Share, SharedLocks
from ringfence.locks.waiter import ThreadWaiter, Waiter
from ringfence.testing.shared_lock import SharedLockSuite
from ringfence.testing.suites import failures


class CountsHolders(SharedLocks):
    """Counts who holds, not how much."""

    def _put(self, lock: Any, name: Shared, *rest: Any) -> Share:
        share = super()._put(lock, name, *rest)
        lock.taken = len(lock.held)
        return share


class StarvesWriters(SharedLocks):
    """Whoever fits gets in, whoever waits."""

    def grant(self, name: Shared, owner: str, ttl: float, queue: bool, fences: int) -> int | None:
        lock = self._settled(name)
        if owner not in lock.held and rules.fits(lock.taken, name.asked, name.of):
            return self._put(lock, name, owner, ttl, fences).fence
        return super().grant(name, owner, ttl, queue, fences)


class LetsTheSmallPass(SharedLocks):
    """What is freed goes to whomever it suffices for, not to the head of the queue."""

    def _pass_on(self, lock: Any) -> None:
        for place in list(lock.queue.values()):
            if rules.fits(lock.taken, place.name.asked, place.name.of):
                del lock.queue[place.owner]
                self._put(lock, place.name, place.owner, place.ttl, place.fences)


class AdmitsOne(SharedLocks):
    """A release grants the lock to one waiter, however much was freed."""

    def _pass_on(self, lock: Any) -> None:
        rest = list(lock.queue.values())[1:]
        for place in rest:
            del lock.queue[place.owner]
        super()._pass_on(lock)
        lock.queue.update((place.owner, place) for place in rest)


class LastComeFirstServed(SharedLocks):
    def _line_up(self, lock: Any, name: Shared, owner: str, *rest: Any) -> None:
        super()._line_up(lock, name, owner, *rest)
        lock.queue = {owner: lock.queue.pop(owner), **lock.queue}


class ForgetsThoseBehindTheWithdrawn(SharedLocks):
    """A waiter that leaves the queue lets nobody pass who stood behind it."""

    def withdraw(self, name: str, owner: str) -> None:
        lock = self._locks.get(name)
        if lock is not None and owner in lock.queue:
            del lock.queue[owner]
        else:
            super().withdraw(name, owner)

    def _settled(self, name: str) -> Any:
        lock = self._locks.get(name)
        if lock is not None and lock.held and math.isfinite(lock.ends):
            return lock if not rules.is_over(lock.ends, self._clock()) else super()._settled(name)
        return super()._settled(name)


class OneFence(SharedLocks):
    """Those who hold together have one fence."""

    def _put(self, lock: Any, *rest: Any) -> Share:
        last = self._last
        share = super()._put(lock, *rest)
        if len(lock.held) > 1:
            share.fence, self._last = next(iter(lock.held.values())).fence, last
        return share


class CountsWhoAsksAgain(SharedLocks):
    """An owner that asks again takes another share."""

    def grant(self, name: Shared, owner: str, ttl: float, queue: bool, fences: int) -> int | None:
        lock = self._settled(name)
        if owner in lock.held:
            lock.taken += name.asked
        return super().grant(name, owner, ttl, queue, fences)


class EndsAllAtOnce(SharedLocks):
    """One deadline for all who hold, that of the first."""

    def _end(self, lock: Any) -> None:
        for share in list(lock.held.values()):
            self._take_away(lock, share)
        lock.ends = math.inf


class NeverEnds(SharedLocks):
    def _end(self, lock: Any) -> None:
        """Keep what has ended."""


class LooksAtTheOwnerAlone(SharedLocks):
    def _held(self, name: str, owner: str, fence: int) -> Share | None:
        return self._settled(name).held.get(owner)


class LooksAtTheFenceAlone(SharedLocks):
    def _held(self, name: str, owner: str, fence: int) -> Share | None:
        held = self._settled(name).held.values()
        return next((share for share in held if share.fence == fence), None)


class WaitsForTheDead(SharedLocks):
    def _line_up(self, lock: Any, name: Shared, owner: str, *rest: Any) -> None:
        super()._line_up(lock, name, owner, *rest)
        lock.queue[owner].until = math.inf


class WakesOne(SharedLocks):
    """Of those who are admitted at once, the first is woken."""

    def _pass_on(self, lock: Any) -> None:
        waiting: list[Place] = list(lock.queue.values())
        for place in waiting[1:]:
            place.waiter = None
        super()._pass_on(lock)


class SleepsOn(SharedLocks):
    def look(self, name: Shared, owner: str, waiter: Waiter) -> Push | float:
        return super().look(name, owner, ThreadWaiter())


class LooksThenTakes(SharedLocks):
    """Two steps, and others may come between them."""

    def grant(self, name: Shared, owner: str, ttl: float, queue: bool, fences: int) -> int | None:
        lock = self._settled(name)
        fits = owner not in lock.held and not lock.queue and rules.fits(lock.taken, name.asked, name.of)
        time.sleep(0.001)  # the round trip
        return (
            self._put(lock, name, owner, ttl, fences).fence
            if fits
            else super().grant(name, owner, ttl, queue, fences)
        )


class SellsNumbersTwice(SharedLocks):
    """A grant takes one number, however many were asked for."""

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        super().__init__(clock, lambda: 0.0)

    def _put(self, *arguments: Any) -> Share:
        lock, name, owner, ttl, _, *rest = arguments
        return super()._put(lock, name, owner, ttl, 1, *rest)


class Suite(SharedLockSuite):
    """The suite over a store in memory whose shares are kept by something else."""

    rounds = 1
    patience = 0.3

    def __init__(self, sharing: type[SharedLocks]) -> None:
        self.time = 100.0
        self.sharing = sharing

    def open(self) -> LockStore:
        store = MemoryStore(self.now)
        store._shares = self.sharing(self.now, time.time)
        return store

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += seconds


@pytest.mark.parametrize(
    ("mutant", "expected"),
    [
        (CountsHolders, {"test_larger_shares_count_for_what_they_are", "test_a_writer_keeps_everyone_out"}),
        (
            StarvesWriters,
            {"test_a_waiting_writer_stops_new_readers", "test_a_small_share_does_not_overtake_a_large_one"},
        ),
        (LetsTheSmallPass, {"test_never_is_more_held_than_there_is"}),
        (AdmitsOne, {"test_one_release_admits_as_many_as_fit"}),
        (LastComeFirstServed, {"test_waiters_that_queue_behind_a_release_come_in_their_order"}),
        (ForgetsThoseBehindTheWithdrawn, {"test_a_writer_that_withdraws_lets_those_behind_it_pass"}),
        (OneFence, {"test_every_share_has_a_greater_fence"}),
        (CountsWhoAsksAgain, {"test_an_owner_that_asks_again_has_one_share_under_one_fence"}),
        (EndsAllAtOnce, {"test_only_the_shares_of_the_dead_end"}),
        (NeverEnds, {"test_an_ended_share_is_neither_renewed_nor_released"}),
        (LooksAtTheOwnerAlone, {"test_only_owner_and_fence_together_renew_and_release_a_share"}),
        (LooksAtTheFenceAlone, {"test_only_owner_and_fence_together_renew_and_release_a_share"}),
        (WaitsForTheDead, {"test_a_writer_that_died_in_the_queue_is_skipped"}),
        (WakesOne, {"test_all_who_are_admitted_are_woken"}),
        (SleepsOn, {"test_all_who_are_admitted_are_woken"}),
        (LooksThenTakes, {"test_of_many_threads_as_many_are_granted_as_there_are_shares"}),
        (SellsNumbersTwice, {"test_as_many_fences_are_issued_with_a_share_as_were_asked_for"}),
    ],
)
def test_the_suite_rejects(mutant: type[SharedLocks], expected: set[str]) -> None:
    failed = failures(Suite(mutant))
    assert expected <= set(failed), sorted(failed)


class MixesThemWithPlainLocks(MemoryStore):
    """One lock under one name, whatever is asked of it."""

    def grant(self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1) -> int | None:
        asked = name if isinstance(name, Shared) else Shared(name, 1, 1)
        return super().grant(asked, owner, ttl, queue, fences)


def test_the_suite_rejects_one_lock_for_two() -> None:
    suite = Suite(SharedLocks)
    suite.open = lambda: MixesThemWithPlainLocks(suite.now)  # type: ignore[method-assign]
    assert "test_the_plain_lock_of_the_name_is_another" in failures(suite)


def test_the_suite_accepts_shares_without_mistakes() -> None:
    suite = Suite(SharedLocks)
    suite.patience = SharedLockSuite.patience
    assert failures(suite) == {}
