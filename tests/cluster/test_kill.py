"""SIGKILL before every step of a rebalance, and others; then everything is as it should be."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from ringfence.cluster import Cluster, rebalance
from ringfence.errors import InDoubt
from ringfence.placement import HashRing

from .conftest import files
from .processes import Acknowledge, Killer, forked

KEYS = [f"k{number}" for number in range(12)]
OLD = HashRing(["a", "b"])
NEW = HashRing(["b", "c"], epoch=1)
IN_MEMORY = Path("/dev/shm")

Work = Callable[[Cluster], object]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, in memory where possible: an fsync is quick there, and SIGKILL makes no difference."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else tmp_path) as made:
        yield Path(made)


def opened(folder: Path, name: str = "main", timeout: float = 0.0) -> Cluster:
    store = files(folder)
    shards = {name: store.urls[name] for name in "abc"}
    return Cluster(
        shards, decisions=store.decisions, locks="memory://", name=name, timeout=timeout, ring=None
    )


def filled(folder: Path) -> Path:
    folder.mkdir()
    store = files(folder)
    shards = {name: store.urls[name] for name in "abc"}
    with Cluster(shards, decisions=store.decisions, locks="memory://", ring=OLD) as cluster:
        for key in KEYS:
            cluster.put(key, f"value of {key}")
    return folder


def copied(folder: Path, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("*-shm"))
    return to


def killed_at(folder: Path, statements: bool, number: int, work: Work, acknowledge: Acknowledge) -> None:
    killer = Killer(statements)
    with opened(folder) as cluster:
        killer.arm(number)
        work(cluster)
        killer.disarm()
        acknowledge()


def each_kill(start: Path, folder: Path, statements: bool, work: Work) -> Iterator[tuple[Path, bool]]:
    """Copies of `start` in which `work` was killed before its first step, its second …; the last is unhurt."""
    for number in itertools.count(1):
        copy = copied(start, folder / "copy")
        status, acknowledged = forked(partial(killed_at, copy, statements, number, work))
        assert status in (0, -9)
        yield copy, acknowledged
        if status == 0:
            return


def check_nothing_lost(folder: Path, expected: dict[str, str]) -> None:
    """Whoever reads now, before any recovery, sees the truth or is told that it is in doubt."""
    with opened(folder, "reader") as cluster:
        for key, value in expected.items():
            with suppress(InDoubt):
                assert cluster.get(key) == value


def check_placed(folder: Path, ring: HashRing, expected: dict[str, str]) -> None:
    """Each key exactly once, on the shard that the ring names, with the right value; no prepared branch."""
    store = files(folder)
    assert sorted(store.placed("abc")) == sorted((ring[key], key) for key in expected)
    assert {key: value for name in "abc" for key, value in store.contents(name).items()} == expected
    with opened(folder, "reader") as cluster:
        assert sorted(map(str, cluster.keys())) == sorted(expected)
        assert not cluster.recover().resolved


VALUES = {key: f"value of {key}" for key in KEYS}


STEPS = pytest.mark.parametrize("statements", [False, pytest.param(True, marks=pytest.mark.slow)])
"""The named steps of the protocols; and SQL statements, of which there are several in most steps."""


@STEPS
def test_a_rebalance_killed_before_any_step(folder: Path, statements: bool) -> None:
    start = filled(folder / "start")
    seen = set()
    for copy, _ in each_kill(start, folder, statements, lambda cluster: cluster.rebalance(NEW)):
        check_nothing_lost(copy, VALUES)
        with opened(copy, "successor") as cluster:
            seen.add((cluster.ring.epoch, cluster.migrating, bool(cluster.recover())))
            assert {key: cluster.get(key) for key in KEYS} == VALUES
            cluster.rebalance(NEW)
            assert not cluster.migrating
        check_placed(copy, NEW, VALUES)
    assert seen == {
        (0, False, False),
        (0, False, True),
        (1, True, False),
        (1, True, True),
        (1, False, True),
        (1, False, False),
    }


def test_a_first_opening_killed_before_any_step(folder: Path) -> None:
    empty = folder / "empty"
    empty.mkdir()

    def work(folder: Path, number: int, acknowledge: Acknowledge) -> None:
        killer = Killer(statements=False)
        killer.arm(number)
        opened(folder).put("k", "v")
        killer.disarm()
        acknowledge()

    for number in itertools.count(1):
        copy = copied(empty, folder / "copy")
        status, acknowledged = forked(partial(work, copy, number))
        assert status in (0, -9)
        with opened(copy) as cluster:
            assert cluster.ring.nodes == ("a", "b", "c")
            assert cluster.get("k") in ({"v"} if acknowledged else {"v", None})
            cluster.put("k", "w")
        if status == 0:
            break
    assert number > 10


def migrating(folder: Path) -> Path:
    """A migration that was begun, with no key moved yet."""
    with opened(filled(folder)) as cluster, pytest.MonkeyPatch.context() as patch:
        patch.setattr(rebalance, "_migrate", stopped)
        with pytest.raises(InterruptedError):
            cluster.rebalance(NEW)
    return folder


def stopped(mover: object) -> object:
    raise InterruptedError


@STEPS
def test_a_put_and_a_delete_of_moving_keys_killed_before_any_step(folder: Path, statements: bool) -> None:
    start = migrating(folder / "start")
    changed, deleted = [key for key in KEYS if OLD[key] != NEW[key]][:2]

    def work(cluster: Cluster) -> None:
        cluster.put(changed, "new")
        cluster.delete(deleted)

    for copy, acknowledged in each_kill(start, folder, statements, work):
        rest = {key: value for key, value in VALUES.items() if key not in (changed, deleted)}
        check_nothing_lost(copy, rest)
        with opened(copy) as cluster:  # its own name: it recovers when it opens
            found = cluster.get(changed), cluster.get(deleted)
            assert found in {
                (VALUES[changed], VALUES[deleted]),
                ("new", VALUES[deleted]),
                ("new", None),
            }
            assert not acknowledged or found == ("new", None)
            cluster.rebalance()
            assert (cluster.get(changed), cluster.get(deleted)) == found
        expected = {**rest, changed: found[0], **({} if found[1] is None else {deleted: found[1]})}
        check_placed(copy, NEW, {key: str(value) for key, value in expected.items()})
