"""The protocols of acquire, release and renewal, under every kind of missing answer."""

from collections.abc import Callable
from typing import Any

import pytest

from ringfence._core.leases import LeaseTable
from ringfence.errors import OutcomeUnknown, StoreDamaged, StoreTimeout
from ringfence.locks.acquire import Granted, acquire, release, withdraw
from ringfence.locks.renewal import extend, keep, renew_due
from ringfence.locks.stores import Claim
from ringfence.locks.stores.memory import MemoryStore
from ringfence.protocol import Call, Effects, Now, Sleep


class World:
    """Performs effects on a clock of its own; `faults` says what happens to the nth call of an operation."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []
        self.slept: list[float] = []
        self.faults: dict[tuple[str, int], Callable[[Call], Any]] = {}
        self.latency = 0.0
        self.interrupted_at = 0  # the number of the effect after which the driver is interrupted

    def clock(self) -> float:
        return self.now

    def run(self, steps: Effects[Any]) -> Any:
        resume, value = steps.send, None
        while True:
            try:
                effect = resume(value)
            except StopIteration as stop:
                return stop.value
            try:
                value, resume = self.perform(effect), steps.send
                self.interrupt()
            except BaseException as error:
                value, resume = error, steps.throw

    def interrupt(self) -> None:
        self.interrupted_at -= 1
        if self.interrupted_at == 0:
            raise KeyboardInterrupt

    def perform(self, effect: Any) -> Any:
        match effect:
            case Now():
                return self.now
            case Sleep(seconds):
                self.slept.append(seconds)
                self.now += seconds
                return None
            case Call():
                return self.call(effect)
        raise AssertionError(effect)

    def call(self, call: Call) -> Any:
        self.calls.append(call.operation)
        fault = self.faults.get((call.operation, self.calls.count(call.operation)))
        if fault is not None:
            return fault(call)
        answer = deliver(call)
        self.now += self.latency
        return answer


def deliver(call: Call) -> Any:
    return getattr(call.target, call.operation)(*call.args)


def lose_answer(error: BaseException) -> Callable[[Call], Any]:
    """The request is carried out; its answer is lost."""

    def fault(call: Call) -> Any:
        deliver(call)
        raise error

    return fault


def lose_request(error: BaseException) -> Callable[[Call], Any]:
    def fault(call: Call) -> Any:
        raise error

    return fault


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def store(world: World) -> MemoryStore:
    return MemoryStore(world.clock, lambda: 1.7e9)


def take(world: World, store: MemoryStore, owner: str = "me", timeout: float | None = 0.0) -> Granted | None:
    granted: Granted | None = world.run(acquire(store, "x", owner, 10.0, timeout, lambda: 0.0))
    return granted


def test_a_free_lock_costs_one_request(world: World, store: MemoryStore) -> None:
    granted = take(world, store)
    assert granted is not None
    assert granted.claim[:2] == ("x", "me")
    assert world.calls == ["grant"]


def test_the_deadline_counts_from_before_the_request(world: World, store: MemoryStore) -> None:
    world.latency = 3.0
    granted = take(world, store)
    assert granted is not None
    assert granted.deadline == 10.0


def test_a_grant_that_comes_too_late_is_not_used(world: World, store: MemoryStore) -> None:
    world.latency = 10.0
    with pytest.raises(OutcomeUnknown, match="too late"):
        take(world, store)
    assert store.leases() == []


def test_without_waiting_a_held_lock_is_asked_for_once(world: World, store: MemoryStore) -> None:
    store.grant("x", "other", 60.0)
    assert take(world, store) is None
    assert world.calls == ["grant"]
    assert world.slept == []


def test_waiting_keeps_to_its_timeout(world: World, store: MemoryStore) -> None:
    store.grant("x", "other", 60.0)
    assert take(world, store, timeout=0.5) is None
    assert world.now == pytest.approx(0.5)


def test_waiting_ends_with_the_other_holder(world: World, store: MemoryStore) -> None:
    store.grant("x", "other", 2.0)
    granted = take(world, store, timeout=None)
    assert granted is not None
    assert 2.0 <= world.now <= 2.03
    assert max(world.slept) <= 0.025


def test_an_unanswered_grant_is_asked_for_again_and_is_the_same_grant(
    world: World, store: MemoryStore
) -> None:
    world.faults["grant", 1] = lose_answer(OutcomeUnknown("lost"))
    world.faults["grant", 2] = lose_request(StoreTimeout("busy"))
    granted = take(world, store, timeout=1.0)
    assert granted is not None
    assert world.calls == ["grant"] * 3
    assert store.leases()[0].fence == granted.claim.fence


def test_the_deadline_of_a_repeated_grant_counts_from_the_request_that_was_answered(
    world: World, store: MemoryStore
) -> None:
    world.faults["grant", 1] = lose_answer(OutcomeUnknown("lost"))
    granted = take(world, store, timeout=1.0)
    assert granted is not None
    assert granted.deadline == world.now + 10.0
    assert store.leases()[0].remaining == 10.0


def test_a_grant_never_answered_is_withdrawn(world: World, store: MemoryStore) -> None:
    world.faults["grant", 1] = lose_answer(OutcomeUnknown("lost"))
    with pytest.raises(OutcomeUnknown):
        take(world, store)
    assert world.calls == ["grant", "withdraw"]
    assert store.leases() == []


def test_an_unknown_outcome_is_remembered_over_later_timeouts(world: World, store: MemoryStore) -> None:
    world.faults["grant", 1] = lose_answer(OutcomeUnknown("lost"))
    for number in range(2, 50):
        world.faults["grant", number] = lose_request(StoreTimeout("busy"))
    with pytest.raises(OutcomeUnknown):
        take(world, store, timeout=0.5)
    assert store.leases() == []


def test_a_busy_store_is_reported_in_time(world: World, store: MemoryStore) -> None:
    for number in range(1, 50):
        world.faults["grant", number] = lose_request(StoreTimeout("busy"))
    with pytest.raises(StoreTimeout):
        take(world, store, timeout=0.5)
    assert world.now == pytest.approx(0.5)
    assert "withdraw" not in world.calls


def test_a_damaged_store_is_reported_at_once(world: World, store: MemoryStore) -> None:
    world.faults["grant", 1] = lose_request(StoreDamaged("bad"))
    with pytest.raises(StoreDamaged):
        take(world, store, timeout=None)


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, MemoryError])
def test_an_interrupted_waiter_holds_nothing(
    world: World, store: MemoryStore, error: type[BaseException]
) -> None:
    world.faults["grant", 1] = lose_answer(error())
    with pytest.raises(error):
        take(world, store, timeout=None)
    if error is not GeneratorExit:  # a driver that was thrown away can perform nothing more
        assert store.leases() == []


@pytest.mark.parametrize("effect", range(1, 30))
def test_a_waiter_interrupted_at_any_effect_holds_nothing(
    world: World, store: MemoryStore, effect: int
) -> None:
    store.grant("x", "other", 0.01)
    world.faults["grant", 6] = lose_answer(OutcomeUnknown("lost"))
    world.interrupted_at = effect
    try:
        granted = take(world, store, timeout=None)
    except KeyboardInterrupt:
        granted = None
    assert [holder.owner for holder in store.leases() if holder.owner != "other"] == ["me"] * bool(granted)


def test_an_interrupted_waiter_leaves_the_holder_alone(world: World, store: MemoryStore) -> None:
    store.grant("x", "other", 60.0)
    world.faults["grant", 3] = lose_answer(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        take(world, store, timeout=None)
    assert [holder.owner for holder in store.leases()] == ["other"]


def test_a_withdrawal_is_tried_again_and_then_left_to_the_ttl(world: World, store: MemoryStore) -> None:
    for number in range(1, 200):
        world.faults["withdraw", number] = lose_request(StoreTimeout("busy"))
    world.run(withdraw(store, "x", "me"))
    assert 1.0 <= world.now <= 1.1


def held(world: World, store: MemoryStore) -> tuple[Claim, float]:
    granted = take(world, store)
    assert granted is not None
    return granted


def test_a_release_costs_one_request(world: World, store: MemoryStore) -> None:
    assert world.run(release(store, *held(world, store))) is True
    assert world.calls == ["grant", "release"]
    assert store.leases() == []


def test_a_release_whose_answer_was_lost_still_says_that_it_was_held(
    world: World, store: MemoryStore
) -> None:
    claim, deadline = held(world, store)
    world.faults["release", 1] = lose_answer(OutcomeUnknown("lost"))
    assert world.run(release(store, claim, deadline)) is True
    assert world.calls.count("release") == 2


def test_a_release_says_no_when_another_has_the_lock(world: World, store: MemoryStore) -> None:
    claim, deadline = held(world, store)
    world.now = 11.0
    store.grant("x", "other", 60.0)
    assert world.run(release(store, claim, deadline)) is False
    assert [holder.owner for holder in store.leases()] == ["other"]


def test_a_release_that_is_never_answered_is_an_error_and_may_be_repeated(
    world: World, store: MemoryStore
) -> None:
    claim, deadline = held(world, store)
    for number in range(1, 200):
        world.faults["release", number] = lose_request(StoreTimeout("busy"))
    with pytest.raises(StoreTimeout):
        world.run(release(store, claim, deadline))
    assert 1.0 <= world.now <= 1.1
    world.faults.clear()
    assert world.run(release(store, claim, deadline)) is True


def kept(world: World, store: MemoryStore) -> tuple[LeaseTable, Claim]:
    table = LeaseTable()
    granted = take(world, store)
    assert granted is not None
    keep(table, granted, renew=True)
    return table, granted.claim


def tick(world: World, store: MemoryStore, table: LeaseTable) -> list[Claim]:
    """Let time pass until something is due, and do it."""
    world.now = max(world.now, table.next_due())
    lost: list[Claim] = world.run(renew_due(store, table))
    return lost


def test_a_lease_is_renewed_after_a_third_of_its_ttl(world: World, store: MemoryStore) -> None:
    table, claim = kept(world, store)
    for _ in range(10):
        assert tick(world, store, table) == []
    assert world.now == pytest.approx(10 * 10.0 / 3)
    assert table.deadline(claim) == pytest.approx(world.now + 10.0)


def test_all_leases_that_are_due_are_renewed_in_one_request(world: World, store: MemoryStore) -> None:
    table = LeaseTable()
    for name in "abc":
        keep(table, world.run(acquire(store, name, name, 10.0)), renew=True)
    tick(world, store, table)
    assert world.calls.count("renew") == 1


def test_a_renewed_deadline_counts_from_before_the_request(world: World, store: MemoryStore) -> None:
    table, claim = kept(world, store)
    world.latency = 2.0
    tick(world, store, table)
    assert table.deadline(claim) == pytest.approx(world.now - 2.0 + 10.0)


@pytest.mark.parametrize("error", [StoreTimeout("busy"), OutcomeUnknown("lost"), StoreDamaged("bad")])
def test_a_failed_renewal_is_tried_again_and_the_lease_lost_at_its_deadline_only(
    world: World, store: MemoryStore, error: Exception
) -> None:
    table, claim = kept(world, store)
    for number in range(1, 200):
        world.faults["renew", number] = lose_request(error)
    lost: list[Claim] = []
    while not lost:
        assert world.now < 10.0
        lost = tick(world, store, table)
    assert lost == [claim]
    assert world.now == 10.0
    assert world.calls.count("renew") > 10


def test_a_failed_renewal_does_no_harm_when_the_next_succeeds(world: World, store: MemoryStore) -> None:
    table, claim = kept(world, store)
    world.faults["renew", 1] = lose_request(StoreTimeout("busy"))
    assert tick(world, store, table) == tick(world, store, table) == []
    assert table.deadline(claim) > 13.0


def test_a_lease_the_store_no_longer_knows_is_lost_at_once(world: World, store: MemoryStore) -> None:
    table, claim = kept(world, store)
    store.withdraw("x", "me")
    assert tick(world, store, table) == [claim]
    assert world.now < 4.0
    assert len(table) == 0


def test_a_lease_released_while_it_is_renewed_is_not_reported_as_lost(
    world: World, store: MemoryStore
) -> None:
    table, claim = kept(world, store)

    def release_meanwhile(call: Call) -> Any:
        table.discard(claim)
        store.release(claim.name, claim.owner, claim.fence)
        return deliver(call)

    world.faults["renew", 1] = release_meanwhile
    assert tick(world, store, table) == []
    assert len(table) == 0


def test_an_extension_counts_from_before_the_request(world: World, store: MemoryStore) -> None:
    table, claim = kept(world, store)
    world.latency = 1.0
    world.now = 2.0
    assert world.run(extend(store, table, claim, 60.0, renew=True)) is True
    assert table.deadline(claim) == 62.0
    assert store.leases()[0].remaining == 59.0


def test_an_unanswered_extension_changes_nothing(world: World, store: MemoryStore) -> None:
    table, claim = kept(world, store)
    world.faults["renew", 1] = lose_answer(OutcomeUnknown("lost"))
    with pytest.raises(OutcomeUnknown):
        world.run(extend(store, table, claim, 60.0, renew=False))
    assert table.deadline(claim) == 10.0


def test_what_another_holds_cannot_be_extended(world: World, store: MemoryStore) -> None:
    table, claim = kept(world, store)
    world.now = 11.0
    store.grant("x", "other", 60.0)
    assert world.run(extend(store, table, claim, 60.0, renew=True)) is False
