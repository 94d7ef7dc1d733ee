"""The protocols of release and renewal, under every kind of missing answer."""

from typing import Any

import pytest

from ringfence._core.leases import LeaseTable
from ringfence.errors import OutcomeUnknown, StoreDamaged, StoreTimeout
from ringfence.locks.acquire import acquire, release
from ringfence.locks.renewal import extend, keep, renew_due
from ringfence.locks.stores import Claim
from ringfence.locks.stores.memory import MemoryStore
from ringfence.protocol import Call
from tests.locks.world import World, deliver, lose_answer, lose_request, take


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
