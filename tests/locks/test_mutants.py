"""Stores with the well-known mistakes: the conformance suite must reject each, by the test that names it.

The first two are the snippets of widely read tutorials: Redis's `SET` followed by `DEL` (no NX, no owner, a release
that deletes anyone's key), and ZooKeeper's sequence node whose number nobody looks at.
"""

import itertools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ringfence.locks.stores import Claim, Holder, LockStore, Push, Status
from ringfence.locks.stores.memory import MemoryStore
from ringfence.locks.waiter import ThreadWaiter, Waiter
from ringfence.testing.lock_store import LockStoreSuite
from ringfence.testing.shared_lock import SharedLockSuite
from ringfence.testing.suites import failures

ONE_HOLDER = "test_one_owner_holds_at_a_time"
ARRIVAL = "test_waiters_are_granted_the_lock_in_the_order_in_which_they_came"
LATE_RELEASE = "test_a_late_release_leaves_the_next_holder_alone"


class SetThenDelete:
    """acquire: `SET lock 1`; `DEL lock`. release: `DEL lock`. There is no NX, no owner, no fence and no ttl."""

    shared = False

    def __init__(self, clock: Callable[[], float]) -> None:
        self.keys: dict[str, str] = {}

    def grant(self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1) -> int | None:
        self.keys[name] = "1"
        del self.keys[name]
        return 1

    def wait(self, name: str, owner: str, seconds: float) -> Push | None:
        return None

    def renew(self, claims: Sequence[Claim]) -> list[bool]:
        return [True for _ in claims]

    def release(self, name: str, owner: str, fence: int) -> bool:
        return self.keys.pop(name, None) is not None

    def withdraw(self, name: str, owner: str) -> None:
        self.keys.pop(name, None)

    def status(self, name: str) -> Status:
        return Status((), ())

    def leases(self) -> list[Holder]:
        return []

    def close(self) -> None:
        pass


class SequenceNode(SetThenDelete):
    """create(ephemeral, sequence), and the number that comes back is thrown away: everybody has the lock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.numbers = itertools.count(1)
        self.nodes: dict[str, list[tuple[str, int]]] = {}

    def grant(self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1) -> int | None:
        number = next(self.numbers)
        self.nodes.setdefault(name, []).append((owner, number))
        return number

    def release(self, name: str, owner: str, fence: int) -> bool:
        return self.nodes.pop(name, None) is not None


class SetWithoutOwner(MemoryStore):
    """`SET NX PX`, and a release that deletes the key whoever holds it."""

    def release(self, name: str, owner: str, fence: int) -> bool:
        with self._lock:
            return self._rows.pop(name, None) is not None


class OwnerWithoutFence(MemoryStore):
    """Release and renewal look at the owner alone."""

    def release(self, name: str, owner: str, fence: int) -> bool:
        holder = self.status(name).holder
        return super().release(name, owner, holder.fence if holder else fence)

    def renew(self, claims: Sequence[Claim]) -> list[bool]:
        return [self._renew_owner(claim) for claim in claims]

    def _renew_owner(self, claim: Claim) -> bool:
        holder = self.status(claim.name).holder
        return super().renew([claim._replace(fence=holder.fence if holder else claim.fence)])[0]


class RenewsForAnyone(MemoryStore):
    """`PEXPIRE` without looking at the owner."""

    def renew(self, claims: Sequence[Claim]) -> list[bool]:
        holders = [(claim, self.status(claim.name).holder) for claim in claims]
        return super().renew(
            [
                claim._replace(owner=holder.owner, fence=holder.fence) if holder else claim
                for claim, holder in holders
            ]
        )


class NoFence(MemoryStore):
    """Every grant has the same fence."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock, wall=lambda: 0.0)

    def grant(self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1) -> int | None:
        self._last = 0
        return super().grant(name, owner, ttl, queue, fences)


class CountsInMemory(MemoryStore):
    """The fence is a bare counter, as durable as the process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock, wall=lambda: 0.0)


class NoTtl(MemoryStore):
    """A lock without an end."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(lambda: 0.0)


class ForgetsWhoAsked(MemoryStore):
    """A lost answer to a grant cannot be asked for again."""

    def grant(self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1) -> int | None:
        return None if self.status(name).holder else super().grant(name, owner, ttl, queue, fences)


class RestartsTheTimer(MemoryStore):
    """A renewal sets the deadline, also to an earlier one."""

    def _renew(self, claim: Claim) -> bool:
        row = self._alive(claim.name)
        held = super()._renew(claim)
        if held and row is not None:
            row.deadline = self._clock() + claim.ttl
        return held


class RevivesTheDead(MemoryStore):
    """A renewal takes an ended lease up again, after its holder was told that it is lost."""

    def _renew(self, claim: Claim) -> bool:
        row = self._rows.get(claim.name)
        if row is not None and row.owner == claim.owner and row.fence == claim.fence:
            row.deadline = max(row.deadline, self._clock() + claim.ttl)
            return True
        return False


class WithdrawsForAnyone(MemoryStore):
    def withdraw(self, name: str, owner: str) -> None:
        self._rows.pop(name, None)


class LooksThenTakes(MemoryStore):
    """`GET`, then `SET`: two steps, and another may come between them."""

    def grant(self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1) -> int | None:
        if self.status(name).holder is not None:
            return None
        time.sleep(0.001)  # the round trip
        self._rows.pop(name, None)
        return super().grant(name, owner, ttl, queue, fences)


class Barges(MemoryStore):
    """A freed lock is free for whoever asks first."""

    def _hand_on(self, name: str) -> Any:
        del self._rows[name]


class LastComeFirstServed(MemoryStore):
    def _line_up(self, name: str, owner: str, ttl: float, fences: int) -> None:
        new = self._place(name, owner) is None
        super()._line_up(name, owner, ttl, fences)
        if new:
            self._queues[name].move_to_end(owner, last=False)


class LosesThePlace(MemoryStore):
    """Whoever asks again stands at the end."""

    def _line_up(self, name: str, owner: str, ttl: float, fences: int) -> None:
        super()._line_up(name, owner, ttl, fences)
        self._queues[name].move_to_end(owner)


class WaitsForTheDead(MemoryStore):
    """A place in the queue is for ever."""

    def _line_up(self, name: str, owner: str, ttl: float, fences: int) -> None:
        super()._line_up(name, owner, ttl, fences)
        self._queues[name][owner].until = math.inf


class TakesThePatientForDead(MemoryStore):
    """Asking again does not prolong a place."""

    def _line_up(self, name: str, owner: str, ttl: float, fences: int) -> None:
        if self._place(name, owner) is None:
            super()._line_up(name, owner, ttl, fences)


class KeepsTheWithdrawnInTheQueue(MemoryStore):
    def withdraw(self, name: str, owner: str) -> None:
        queue = self._queues.pop(name, None)
        super().withdraw(name, owner)
        if queue is not None:
            self._queues[name] = queue


class SellsNumbersTwice(MemoryStore):
    """A grant takes one number, however many were asked for."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock, wall=lambda: 0.0)

    def _put(self, name: str, owner: str, ttl: float, fences: int, age: float = 0.0) -> Any:
        return super()._put(name, owner, ttl, 1, age)


class CountsAgeToTheAnswer(MemoryStore):
    """A pushed grant is told as if it were made when it is heard of."""

    def look(self, name: str, owner: str, waiter: Waiter) -> Push | float:
        seen = super().look(name, owner, waiter)
        return seen._replace(age=seen.age + self._clock()) if isinstance(seen, Push) else seen


class SleepsOn(MemoryStore):
    """Nobody wakes the next waiter."""

    def look(self, name: str, owner: str, waiter: Waiter) -> Push | float:
        return super().look(name, owner, ThreadWaiter())


class NamesTheDead(MemoryStore):
    """Whoever ever stood in the queue is told as waiting."""

    def _living(self, name: str) -> Any:
        return self._queues.get(name, {}).values()


class Suite(SharedLockSuite, LockStoreSuite):
    patience = 0.3

    def __init__(self, store: Callable[..., LockStore]) -> None:
        self.time = 100.0
        self.store = store

    def open(self) -> LockStore:
        return self.store(self.now)

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += seconds


@pytest.mark.parametrize(
    ("mutant", "expected"),
    [
        (SetThenDelete, {ONE_HOLDER, LATE_RELEASE, "test_every_grant_has_a_greater_fence"}),
        (SequenceNode, {ONE_HOLDER, "test_of_many_threads_one_is_granted"}),
        (SetWithoutOwner, {LATE_RELEASE, "test_only_owner_and_fence_together_release"}),
        (OwnerWithoutFence, {"test_only_owner_and_fence_together_release"}),
        (RenewsForAnyone, {"test_only_owner_and_fence_together_renew", LATE_RELEASE}),
        (NoFence, {"test_every_grant_has_a_greater_fence"}),
        (CountsInMemory, {"test_fences_go_on_upward_after_a_restart"}),
        (NoTtl, {"test_a_grant_ends_after_its_ttl"}),
        (ForgetsWhoAsked, {"test_the_owner_gets_the_same_fence_when_it_asks_again"}),
        (RestartsTheTimer, {"test_a_renewal_never_shortens"}),
        (RevivesTheDead, {"test_an_ended_lease_cannot_be_renewed"}),
        (LooksThenTakes, {"test_of_many_threads_one_is_granted"}),
        (WithdrawsForAnyone, {"test_withdrawing_leaves_others_alone"}),
        (Barges, {"test_a_newcomer_never_overtakes", "test_a_newcomer_never_overtakes_after_an_expiry"}),
        (LastComeFirstServed, {ARRIVAL, "test_waiters_get_greater_fences"}),
        (LosesThePlace, {"test_asking_again_keeps_the_place"}),
        (WaitsForTheDead, {"test_a_waiter_that_died_is_skipped"}),
        (TakesThePatientForDead, {"test_a_waiter_that_asks_again_is_not_taken_for_dead"}),
        (KeepsTheWithdrawnInTheQueue, {"test_a_waiter_that_withdrew_never_ends_up_holding"}),
        (SellsNumbersTwice, {"test_as_many_fences_are_issued_as_were_asked_for"}),
        (CountsAgeToTheAnswer, {"test_a_lease_that_was_pushed_ends_no_later_than_it_is_believed"}),
        (SleepsOn, {"test_a_waiter_is_woken"}),
        (NamesTheDead, {"test_those_who_wait_are_named_in_their_order"}),
    ],
)
def test_the_suite_rejects(mutant: Callable[..., LockStore], expected: set[str]) -> None:
    failed = failures(Suite(mutant))
    assert expected <= set(failed), sorted(failed)


def test_the_suite_accepts_a_store_without_mistakes() -> None:
    suite = Suite(MemoryStore)
    suite.patience = LockStoreSuite.patience
    assert failures(suite) == {}
