"""A transaction stopped between its two commits: what others see, and what they would see without the rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ringfence.cluster import listing, rules, single
from ringfence.cluster.cluster import participants_of
from ringfence.cluster.entries import FIRST
from ringfence.cluster.opening import open_cluster
from ringfence.cluster.rebalance import Mover, announce, rebalance
from ringfence.cluster.shards.memory import MemoryShard
from ringfence.cluster.state import RingState
from ringfence.cluster.view import View
from ringfence.errors import Aborted, FenceRejected, InDoubt, StaleRing
from ringfence.placement import HashRing
from ringfence.protocol import Call, Effects, Parallel, _perform, run
from ringfence.transactions.coordinator import Coordinator
from ringfence.transactions.decisions.memory import MemoryDecisions
from ringfence.transactions.participants.memory import MemoryParticipant

OLD = HashRing(["a", "b"])
NEW = HashRing(["b", "c"], epoch=1)
MOVING = next(f"k{number}" for number in range(100) if (OLD[f"k{number}"], NEW[f"k{number}"]) == ("a", "c"))
STAYING = next(f"k{number}" for number in range(100) if OLD[f"k{number}"] == NEW[f"k{number}"])


class Lease:
    def __init__(self, fence: int) -> None:
        self.fence = fence

    def check(self) -> None:
        pass


class Cluster:
    """Three shards in memory, with one moving key, and clients that do not wait."""

    def __init__(self) -> None:
        self.shards = {name: MemoryShard(name, MemoryParticipant(timeout=0)) for name in "abc"}
        self.decisions = MemoryDecisions()
        founder = self.client("founder", OLD)
        run(open_cluster(founder, OLD))
        run(single.put(founder, MOVING, "value"))

    def client(self, name: str, ring: HashRing) -> View:
        coordinator = Coordinator(name, self.decisions, participants_of(self.shards))
        return View(self.shards, coordinator, 0.0, RingState(ring))

    def mover(self, fence: int = 1) -> Mover:
        return Mover(self.client("rebalance", OLD), Lease(fence), lambda report: None)

    def migrating(self) -> Mover:
        mover = self.mover()
        run(announce(mover, NEW))
        return mover


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def until(steps: Effects[Any], reached: Callable[[Any], bool]) -> Any:
    """Drive a protocol until it asks for something; return what it asks for, not done yet."""
    result: Any = None
    while True:
        effect = steps.send(result)
        if reached(effect):
            return effect
        result = _perform(effect)


def committing(effect: Any) -> bool:
    return isinstance(effect, Parallel) and effect.calls[0].operation == "commit"


Between = tuple[Cluster, Callable[[], None]]


@pytest.fixture
def between(cluster: Cluster) -> Between:
    """The moving key is on its way: the source has committed, the target has not. And what ends that."""
    steps = rebalance(cluster.migrating(), None)
    moving = until(steps, lambda effect: committing(effect) and shards_of(effect, cluster) == ["a", "c"])
    from_source, to_target = moving.calls
    _perform(from_source)
    return cluster, lambda: _perform(to_target)


def shards_of(effect: Parallel, cluster: Cluster) -> list[str]:
    return [
        name
        for call in effect.calls
        for name, shard in cluster.shards.items()
        if shard.participant is call.target
    ]


def test_a_reader_between_two_commits_is_told_to_wait(between: Between) -> None:
    cluster, end = between
    reader = cluster.client("reader", NEW)
    reader.state = RingState(NEW, OLD)
    with pytest.raises(InDoubt, match=r"rebalance\."):
        run(single.get(reader, MOVING))
    end()
    assert run(single.get(reader, MOVING)) == "value"


def test_a_lister_between_two_commits_is_told_to_wait(between: Between) -> None:
    cluster, end = between
    lister = cluster.client("lister", NEW)
    with pytest.raises(InDoubt):
        run(listing.stretch(lister, FIRST))
    end()
    assert run(listing.stretch(lister, FIRST)) == ([MOVING], False)


def test_a_writer_between_two_commits_is_told_to_wait(between: Between) -> None:
    cluster, end = between
    writer = cluster.client("writer", NEW)
    writer.state = RingState(NEW, OLD)
    for change in (single.put(writer, MOVING, "new"), single.delete(writer, MOVING)):
        with pytest.raises(InDoubt):
            run(change)
    end()
    run(single.put(writer, MOVING, "new"))
    assert run(single.get(writer, MOVING)) == "new"
    assert run(single.delete(writer, MOVING)) is True


def test_without_waiting_a_reader_would_miss_the_key(
    between: Between, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, _ = between
    reader = cluster.client("reader", NEW)
    reader.state = RingState(NEW, OLD)
    monkeypatch.setattr(rules, "check_settled", lambda shard, pending: None)
    assert run(single.get(reader, MOVING)) is None


def test_a_reader_sees_a_key_that_leaves_its_source_behind_its_back(cluster: Cluster) -> None:
    mover = cluster.migrating()
    reader = cluster.client("reader", NEW)
    reader.state = RingState(NEW, OLD)
    steps = single.get(reader, MOVING)
    until(steps, lambda effect: isinstance(effect, Call) and effect.operation == "read")
    run(rebalance(mover, None))
    assert ended(steps, cluster.shards["a"].read(MOVING, NEW.epoch)) == "value"


def ended(steps: Effects[Any], answer: Any) -> Any:
    """Give a protocol an answer, drive it to its end and return its result."""
    while True:
        try:
            answer = _perform(steps.send(answer))
        except StopIteration as stop:
            return stop.value


def test_a_deleted_key_is_not_brought_back_by_a_mover_that_listed_it(cluster: Cluster) -> None:
    mover = cluster.migrating()
    steps = rebalance(mover, None)
    joining = until(steps, lambda effect: isinstance(effect, Call) and effect.operation == "rows")
    assert joining.args[0] == [MOVING]
    run(until_rolled_back(steps))
    writer = cluster.client("writer", OLD)
    assert run(single.delete(writer, MOVING)) is True
    run(rebalance(cluster.mover(2), None))
    assert run(single.get(writer, MOVING)) is None
    assert all(
        not kept or kept[0] == -1
        for shard in cluster.shards.values()
        for kept in shard.participant.snapshot()
    )


def until_rolled_back(steps: Effects[Any]) -> Effects[None]:
    """The mover is interrupted: it gives its branches up."""
    effect = steps.throw(KeyboardInterrupt())
    while True:
        result = yield effect
        try:
            effect = steps.send(result)
        except KeyboardInterrupt:
            return


def test_a_client_that_still_believes_in_the_migration_does_no_harm(cluster: Cluster) -> None:
    run(rebalance(cluster.migrating(), None))
    late = cluster.client("late", NEW)
    late.state = RingState(NEW, OLD)
    assert run(single.get(late, MOVING)) == "value"
    run(single.put(late, MOVING, "new"))
    assert cluster.shards["c"].read(MOVING, NEW.epoch) == "new"
    assert cluster.shards["a"].read(MOVING, NEW.epoch) is None
    assert run(single.delete(late, MOVING)) is True


def test_a_write_under_the_old_ring_is_refused_after_the_announcement(cluster: Cluster) -> None:
    cluster.migrating()
    for name in ("a", "b"):
        with pytest.raises(StaleRing):
            cluster.shards[name].write(STAYING, "late", OLD.epoch)


def test_without_the_epoch_a_late_write_would_be_lost(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(rebalance(cluster.migrating(), None))
    monkeypatch.setattr(rules, "check_epoch", lambda shard, held, current: None)
    late = cluster.client("late", OLD)
    run(single.put(late, MOVING, "lost"))
    assert run(single.get(cluster.client("reader", NEW), MOVING)) == "value"


def test_an_overtaken_rebalancer_is_refused_in_every_step(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale, newer = cluster.migrating(), cluster.mover(2)
    until(rebalance(newer, None), lambda effect: isinstance(effect, Call) and effect.operation == "page")
    with pytest.raises(FenceRejected, match="fence 1 refused"):
        run(rebalance(stale, None))
    monkeypatch.setattr(rules, "check_fence", lambda shard, fence, mark: None)
    with pytest.raises(Aborted, match="another coordinator"):  # the decision store knows it to be stale, too
        run(rebalance(stale, None))
