"""Several processes on the same files: writers beside a rebalance, and rebalancers, killed and stopped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ringfence import protocol
from ringfence.cluster import Cluster, Rebalance, rebalance
from ringfence.errors import RingfenceError, StaleRing
from ringfence.locks.lease import Lease
from ringfence.locks.manager import LockManager
from ringfence.placement import HashRing

from .conftest import files
from .processes import Child

NAMES = "abcd"
KEYS = [f"k{number}" for number in range(60)]
OLD = HashRing(["a", "b", "c"])
NEW = HashRing(["b", "c", "d"], epoch=1)
Tell = Callable[[str], object]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(rebalance, "BATCH_KEYS", 2)
    yield
    Child.end_all()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cluster on files, with every key at "0"; no file is open."""
    with opened(tmp_path, "founder", ring=OLD) as cluster:
        for key in KEYS:
            cluster.put(key, "0")
    return tmp_path


def opened(folder: Path, name: str, **options: Any) -> Cluster:
    store = files(folder)
    shards = {name: store.urls[name] for name in NAMES}
    return Cluster(shards, decisions=store.decisions, locks=store.locks, name=name, timeout=10.0, **options)


def check(folder: Path, ring: HashRing) -> dict[str, str]:
    """Each key exactly once, on the shard that the ring names; nothing in doubt, no lease left. Returns all."""
    store = files(folder)
    assert sorted(store.placed(NAMES)) == sorted((ring[key], key) for key in KEYS)
    with opened(folder, "checker") as cluster:
        assert cluster.ring == ring
        assert not cluster.migrating
        assert sorted(map(str, cluster.keys())) == sorted(KEYS)
        found = cluster.recover()
        assert not found.resolved
        assert not found.unresolved
    with LockManager.from_url(store.locks) as locks:
        assert not locks.leases()
    return {key: value for name in NAMES for key, value in store.contents(name).items()}


def writing(folder: Path, number: int, tell: Tell) -> None:
    """Count up keys of its own, read others, until the file "stop" is there; then tell the last counts."""
    counts = dict.fromkeys(KEYS[number::3], 0)
    with opened(folder, f"writer{number}") as cluster:
        tell("ready")
        while not (folder / "stop").exists():
            for key in counts:
                cluster.put(key, str(counts[key] + 1))
                counts[key] += 1
                assert cluster.get(key) == str(counts[key])
                assert cluster.get(KEYS[counts[key] % len(KEYS)]) is not None
    for key, count in counts.items():
        tell(f"{key} {count}")
    tell("epoch " + str(cluster.ring.epoch))


def rebalancing(
    folder: Path, tell: Tell, ttl: float = 10.0, progress: Callable[[Rebalance], None] | None = None
) -> None:
    with opened(folder, f"rebalancer-{os.getpid()}") as cluster:
        tell("ready")
        try:
            tell(f"moved {cluster.rebalance(NEW, ttl=ttl, progress=progress).keys}")
        except RingfenceError as error:
            tell(f"refused {type(error).__name__}")


@pytest.fixture
def writers(folder: Path) -> Iterator[list[Child]]:
    children = [Child(partial(writing, folder, number)) for number in range(2)]
    for child in children:
        child.wait_for("ready")
    yield children
    (folder / "stop").touch()
    for child in children:
        assert child.end() == 0


def final_counts(folder: Path, writers: list[Child]) -> dict[str, str]:
    (folder / "stop").touch()
    return {
        key: child.wait_for(key) for number, child in enumerate(writers) for key in KEYS[number::3]
    } | dict.fromkeys(KEYS[2::3], "0")


def test_writers_beside_a_rebalance(folder: Path, writers: list[Child]) -> None:
    child = Child(partial(rebalancing, folder))
    moved = int(child.wait_for("moved"))
    assert (
        0 < moved <= sum(OLD[key] != NEW[key] for key in KEYS)
    )  # writers bring keys to their new owners too
    assert child.end() == 0
    counts = final_counts(folder, writers)
    assert check(folder, NEW) == counts
    assert min(map(int, (counts[key] for key in KEYS[0::3]))) > 0


def test_a_rebalancer_that_is_killed_again_and_again_beside_writers(
    folder: Path, writers: list[Child]
) -> None:
    for seconds in (0.005, 0.02, 0.05, 0.08):
        child = Child(partial(rebalancing, folder, ttl=0.2))  # its successor waits for that long
        child.wait_for("ready")
        time.sleep(seconds)
        child.end(signal.SIGKILL)
    child = Child(partial(rebalancing, folder))
    child.wait_for("moved")
    assert child.end() == 0
    counts = final_counts(folder, writers)
    assert check(folder, NEW) == counts


def test_two_rebalancers_at_once(folder: Path) -> None:
    children = [Child(partial(rebalancing, folder)) for _ in range(2)]
    moved = [int(child.wait_for("moved")) for child in children]
    assert [child.end() for child in children] == [0, 0]
    assert sum(moved) == sum(OLD[key] != NEW[key] for key in KEYS)
    assert min(moved) == 0
    check(folder, NEW)


TTL_OF_THE_PAUSED = 1.0
"""Long enough that it does not renew, which locks the file of the locks, at the moment when it stops."""


def stop_after_two_batches(report: Rebalance) -> None:
    if report.batches == 2:
        os.kill(os.getpid(), signal.SIGSTOP)


def stopping_before_the_decision(folder: Path, tell: Tell) -> None:
    """Stop with both branches of the fourth transaction prepared."""
    perform, seen = protocol._call, []

    def stopping(call: protocol.Call) -> Any:
        if call.operation == "put_if_absent":
            seen.append(call)
            if len(seen) == 4:
                os.kill(os.getpid(), signal.SIGSTOP)
        return perform(call)

    protocol._call = stopping
    rebalancing(folder, tell, TTL_OF_THE_PAUSED)


def believing_in_its_lease(folder: Path, tell: Tell) -> None:
    Lease.check = lambda self: None  # type: ignore[method-assign]
    rebalancing(folder, tell, TTL_OF_THE_PAUSED, stop_after_two_batches)


@pytest.mark.parametrize(
    ("work", "refused"),
    [
        (partial(rebalancing, ttl=TTL_OF_THE_PAUSED, progress=stop_after_two_batches), {"LeaseLost"}),
        (stopping_before_the_decision, {"LeaseLost", "FenceRejected"}),
        (believing_in_its_lease, {"FenceRejected"}),
    ],
)
def test_a_paused_rebalancer_is_overtaken(folder: Path, work: Any, refused: set[str]) -> None:
    paused = Child(partial(work, folder))
    paused.wait_until_stopped()
    successor = Child(partial(rebalancing, folder))
    assert int(successor.wait_for("moved")) > 0
    assert successor.end() == 0
    before = check(folder, NEW)
    paused.signal(signal.SIGCONT)
    assert paused.wait_for("refused") in refused
    assert paused.end() == 0
    assert check(folder, NEW) == before == dict.fromkeys(KEYS, "0")


def test_a_shard_refuses_a_writer_with_an_old_ring(folder: Path) -> None:
    with opened(folder, "old") as old, opened(folder, "new") as new:
        new.rebalance(NEW)
        key = next(key for key in KEYS if OLD[key] == NEW[key])
        shard = old._view.shard(OLD[key])
        for use in (
            lambda: shard.write(key, "late", OLD.epoch),
            lambda: shard.erase(key, OLD.epoch),
            lambda: shard.read(key, OLD.epoch),
            lambda: shard.page(OLD.epoch, ""),
        ):
            with pytest.raises(StaleRing):
                use()
        assert new.get(key) == "0"
