"""The protocol of acquire, under every kind of missing answer."""

import pytest

from ringfence.errors import OutcomeUnknown, StoreDamaged, StoreTimeout
from ringfence.locks.acquire import withdraw
from ringfence.locks.stores.memory import MemoryStore
from tests.locks.world import World, lose_answer, lose_request, take


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
    assert world.now == 2.0
    assert world.slept == []
    assert world.calls == ["grant", "wait"]


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
