"""Transactions over several keys and shards."""

from __future__ import annotations

from typing import Any

import pytest

from ringfence.errors import (
    Aborted,
    InDoubt,
    InvalidType,
    InvalidValue,
    NotHeld,
    OutcomeUnknown,
    StoreTimeout,
)
from ringfence.transactions.outcome import Outcome

Store = Any


def test_several_keys_change_together(store: Store) -> None:
    cluster = store.open()
    with cluster.transaction() as tx:
        for number in range(20):
            tx.put(f"k{number}", str(number))
    assert [cluster.get(f"k{number}") for number in range(20)] == [str(number) for number in range(20)]


def test_it_sees_its_own_writes_and_nobody_else_does(store: Store) -> None:
    cluster = store.open()
    cluster.put("gone", "v")
    with cluster.transaction() as tx:
        tx.put("k", "new")
        assert tx.get("k") == "new"
        assert tx.delete("gone") is True
        assert tx.delete("gone") is False
        assert tx.get("gone", "default") == "default"
        assert cluster.get("k") is None
        assert cluster.get("gone") == "v"
    assert cluster.get("k") == "new"
    assert cluster.get("gone") is None


def test_an_exception_rolls_back(store: Store) -> None:
    cluster = store.open()

    def fail() -> None:
        with cluster.transaction() as tx:
            for number in range(20):
                tx.put(f"k{number}", "v")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(cluster.keys()) == []
    cluster.put("k1", "the shards are free again")


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_it_can_be_ended_inside_its_block(store: Store, end: str) -> None:
    cluster = store.open()
    with cluster.transaction() as tx:
        for number in range(20):
            tx.put(f"k{number}", "v")
        getattr(tx, end)()
        with pytest.raises(NotHeld):
            tx.commit()
    assert len(list(cluster.keys())) == (20 if end == "commit" else 0)


def test_what_is_in_doubt_is_not_rolled_back_at_the_end_of_the_block(file_store: Store) -> None:
    """Its decision was written, and only the answer was lost."""
    cluster = file_store.open()
    decisions = cluster._view.coordinator.decisions
    put = decisions.put_if_absent

    def unanswered(gid: str, outcome: Outcome) -> Outcome:
        put(gid, outcome)
        raise OutcomeUnknown("no answer")

    def transfer() -> None:
        with cluster.transaction() as tx:
            for number in range(20):
                tx.put(f"k{number}", "v")
            decisions.put_if_absent = unanswered
            tx.commit()

    with pytest.raises(InDoubt):
        transfer()
    decisions.put_if_absent = put
    assert cluster.recover().aborted == 0
    assert len(list(cluster.keys())) == 20


def test_an_operation_that_failed_cannot_be_overlooked(store: Store) -> None:
    cluster = store.open()
    other = store.open(name="other", timeout=0.05)
    ring = cluster.ring
    here, there = "k0", next(f"k{number}" for number in range(50) if ring[f"k{number}"] != ring["k0"])

    def overlook() -> None:
        with other.transaction() as tx:
            tx.put(there, "half")
            with pytest.raises(StoreTimeout):
                tx.put(here, "other half")

    with cluster.transaction() as tx:
        tx.put(here, "v")
        with pytest.raises(Aborted, match="an operation in it failed"):
            overlook()
    assert cluster.get(there) is None


def test_a_wrong_key_is_refused_and_does_no_harm(store: Store) -> None:
    cluster = store.open()
    with cluster.transaction() as tx:
        with pytest.raises(InvalidType):
            tx.put(1.5, "v")
        tx.put("k", "v")
    assert cluster.get("k") == "v"


def test_it_cannot_be_used_when_it_is_over(store: Store) -> None:
    cluster = store.open()
    with cluster.transaction() as tx:
        tx.put("k", "v")
    with pytest.raises(NotHeld):
        tx.get("k")


def test_an_empty_one_is_fine(store: Store) -> None:
    with store.open().transaction() as tx:
        assert tx.gid.startswith("main.")


def test_two_that_wait_for_each_other_do_not_wait_for_ever(store: Store) -> None:
    cluster = store.open()
    other = store.open(name="other", timeout=0.05)
    ring = cluster.ring
    here, there = "k0", next(f"k{number}" for number in range(50) if ring[f"k{number}"] != ring["k0"])

    def cross() -> None:
        with other.transaction() as second:
            second.put(there, "second")
            first.put(here, "first")
            second.put(here, "second")

    with cluster.transaction() as first:
        with pytest.raises(StoreTimeout):
            cross()
        first.put(there, "first")
    assert (cluster.get(here), cluster.get(there)) == ("first", "first")


def test_its_outcome_can_be_asked_for(store: Store) -> None:
    cluster = store.open()
    with cluster.transaction() as tx:
        for number in range(10):
            tx.put(f"k{number}", "v")
        assert cluster.outcome(tx.gid) == "in doubt"
    with pytest.raises(ZeroDivisionError), cluster.transaction() as given_up:
        raise ZeroDivisionError
    assert cluster.outcome(tx.gid) == "committed"
    assert cluster.outcome(given_up.gid) == "aborted"
    with pytest.raises(InvalidValue):
        cluster.outcome("nonsense")


def test_a_forked_child_needs_a_cluster_of_its_own(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = store.open()
    monkeypatch.setattr("os.getpid", lambda: -1)
    with pytest.raises(InvalidValue, match="open the manager or cluster anew"), cluster.transaction():
        pass
