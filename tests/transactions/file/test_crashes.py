"""Crashes at every step a log takes on its disk: what was acknowledged is there, and nothing else is decided."""

import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from ringfence.errors import OutcomeUnknown, StoreError
from ringfence.testing.disk import Crashed, SimulatedDisk
from ringfence.transactions import Outcome
from ringfence.transactions.decisions.file import FileDecisions
from ringfence.transactions.decisions.file.segments import read_all
from ringfence.transactions.decisions.file.tree import LogTree

COMMITTED, ABORTED = Outcome.COMMITTED, Outcome.ABORTED
SEGMENT = 512


@dataclass
class Told:
    """What was asked of a store, and what it has answered."""

    asked: dict[str, Outcome] = field(default_factory=dict)
    decided: dict[str, Outcome] = field(default_factory=dict)
    epoch: int = 0
    reported: set[str] = field(default_factory=set)
    roots: dict[int, bytes] = field(default_factory=dict)
    stores: list[FileDecisions] = field(default_factory=list)


def opened(disk: SimulatedDisk) -> FileDecisions:
    return FileDecisions("", segment=SEGMENT, disk=disk)


def work(disk: SimulatedDisk, told: Told, count: int = 40) -> None:
    """Decide, report and checkpoint over several segments, which are packed meanwhile."""
    store = opened(disk)
    told.stores.append(store)
    told.epoch = store.begin_epoch("main")
    for seq in range(1, count + 1):
        outcome = ABORTED if seq % 5 == 0 else COMMITTED
        rows = [(f"main.{told.epoch}.{10 * seq + more}", outcome) for more in range(1 + seq % 3)]
        told.asked.update(rows)
        told.decided.update(zip(dict(rows), store.put_many(rows), strict=True))
        if seq % 10 == 0:
            store.report(rows[0][0], "east", "rolled back")
            told.reported.add(rows[0][0])
            tree = LogTree(read_all(disk))
            told.roots[len(tree)] = tree.root()


def check(disk: SimulatedDisk, told: Told) -> None:
    """The oracle; it ends with a log that goes on."""
    store = opened(disk)
    found = dict(store.decisions())
    assert {gid: found.get(gid) for gid in told.decided} == told.decided
    assert found.items() <= told.asked.items()
    assert {gid: store.get(gid) for gid in told.asked} == {gid: found.get(gid) for gid in told.asked}
    assert store.epoch("main") >= told.epoch
    assert {each.gid for each in store.heuristics()} >= told.reported
    tree = LogTree(read_all(disk))
    tree.check()
    assert {size: tree.root(size) for size in told.roots} == told.roots
    assert not any(name.endswith(".new") for name in disk.names())
    assert store.begin_epoch("main") > told.epoch


def steps() -> list[str]:
    """The steps of `work` on a disk that does not fail."""
    disk = SimulatedDisk(random.Random(0))
    work(disk, Told())
    return disk.steps


STEPS = steps()
SEEDS = range(3)


def crashes() -> Iterator[tuple[int, str]]:
    """Every step, and where in it the process dies."""
    for number, step in enumerate(STEPS, 1):
        yield number, "before"
        yield number, "after"
        if step.startswith("write"):
            yield number, "half"


def test_all_kinds_of_steps_are_there() -> None:
    kinds = {step.split(".")[0].rstrip("0123456789") for step in STEPS}
    assert kinds == {"write ", "sync ", "sync names", "rename ", "remove "}
    assert sum("pack.new" in step and "write" in step for step in STEPS) >= 3


@pytest.mark.parametrize("seed", SEEDS)
def test_the_power_fails_at_any_step(seed: int) -> None:
    for number, where in crashes():
        told = Told()
        disk = SimulatedDisk(random.Random(f"{seed} {number} {where}"), {number: where})
        with pytest.raises(Crashed):
            work(disk, told)
        disk.faults = {}
        disk.cut_power()
        check(disk, told)


def test_the_process_is_killed_at_any_step_and_the_power_fails_later() -> None:
    """What the next process finds in the system's cache it tells; so it must not be lost any more."""
    for number, where in crashes():
        told = Told()
        disk = SimulatedDisk(random.Random(f"{number} {where}"), {number: where})
        with pytest.raises(Crashed):
            work(disk, told)
        disk.faults = {}
        disk.kill()
        told.decided |= dict(opened(disk).decisions())
        disk.cut_power()
        check(disk, told)


def test_the_power_fails_twice() -> None:
    """Also in what an opening does to a log that was torn."""
    rng = random.Random(5)
    for number, where in crashes():
        told = Told()
        disk = SimulatedDisk(rng, {number: where})
        with pytest.raises(Crashed):
            work(disk, told)
        disk.cut_power()
        disk.faults = {rng.randint(1, 8): rng.choice(("before", "after", "half"))}
        try:
            check(disk, told)
        except Crashed:
            disk.faults = {}
            disk.cut_power()
            check(disk, told)


def test_the_process_is_killed_twice_around_a_pack_and_the_power_fails() -> None:
    """A segment goes only when the name of its pack is on the disk, whoever made that."""
    for number, step in enumerate(STEPS, 1):
        if "pack" in step and "new" not in step:
            for again in range(1, 12):
                told = Told()
                disk = SimulatedDisk(random.Random(f"{number} {again}"), {number: "after"})
                with pytest.raises(Crashed):
                    work(disk, told)
                disk.kill()
                disk.faults = {again: "after"}
                with suppress(Crashed):
                    start_again(disk, told)
                disk.faults = {}
                disk.cut_power()
                check(disk, told)


def failing_syncs() -> Iterator[int]:
    """The steps that put records on the disk, or make room for them; what goes wrong with a pack undoes nothing."""
    for number, step in enumerate(STEPS, 1):
        behind_a_pack = step == "sync names" and ".pack" in STEPS[number - 2]
        if step.startswith("sync") and "pack" not in step and not behind_a_pack:
            yield number


def test_a_sync_fails_at_any_step_and_nothing_more_is_decided() -> None:
    for number in failing_syncs():
        told = Told()
        disk = SimulatedDisk(random.Random(number), {number: "fails"})
        with pytest.raises(StoreError):
            work(disk, told)
        for store in told.stores:
            with pytest.raises(StoreError, match="no more decisions in this process"):
                store.put_if_absent("main.1.1000", COMMITTED)
        disk.faults = {}
        disk.cut_power()
        check(disk, told)


def test_a_sync_fails_and_what_the_next_process_tells_outlasts_a_power_failure() -> None:
    """It finds in the system's cache what is not on the disk, and no sync brings it there unless it is written."""
    for number in failing_syncs():
        told = Told()
        disk = SimulatedDisk(random.Random(number), {number: "fails"})
        with pytest.raises(StoreError):
            work(disk, told)
        disk.faults = {}
        disk.kill()
        start_again(disk, told)
        disk.cut_power()
        check(disk, told)


def start_again(disk: SimulatedDisk, told: Told) -> None:
    """Tell everything that is found, and decide once more."""
    store = opened(disk)
    told.decided |= dict(store.decisions())
    told.epoch = store.begin_epoch("main")
    gid = f"main.{told.epoch}.1"
    told.asked[gid] = COMMITTED
    told.decided[gid] = store.put_if_absent(gid, COMMITTED)


def test_a_sync_of_a_pack_fails_and_decisions_go_on() -> None:
    packs = sorted({*range(1, len(STEPS) + 1)} - {*failing_syncs()})
    packs = [number for number in packs if STEPS[number - 1].startswith("sync")]
    assert len(packs) >= 6
    for number in packs:
        told = Told()
        disk = SimulatedDisk(random.Random(number), {number: "fails"})
        work(disk, told)
        disk.faults = {}
        if number % 2:
            disk.kill()
            start_again(disk, told)
        disk.cut_power()
        check(disk, told)


def test_the_disk_is_full_when_a_segment_gets_its_name() -> None:
    """Its name may be there then, so nothing more is put into the one before it."""
    for number, step in enumerate(STEPS, 1):
        names = step == "sync names" and STEPS[number - 2].endswith(".log")
        if number > len(STEPS) // 4 and (names or (step.startswith("rename") and step.endswith(".log"))):
            told = Told()
            disk = SimulatedDisk(random.Random(number), {number: "full"})
            with pytest.raises(OutcomeUnknown):
                work(disk, told)
            with pytest.raises(StoreError, match="no more decisions in this process"):
                told.stores[0].put_if_absent("main.1.1000", COMMITTED)
            disk.faults = {}
            disk.kill()
            check(disk, told)


def test_the_disk_is_full_when_a_segment_is_made() -> None:
    """Where a new segment finds no room, nothing was recorded, and it may be tried again."""
    for number, step in enumerate(STEPS, 1):
        if step.startswith(("write", "sync")) and ".log.new" in step and number > len(STEPS) // 4:
            told = Told()
            disk = SimulatedDisk(random.Random(number), {number: "full"})
            with pytest.raises(StoreError, match="nothing was recorded"):
                work(disk, told)
            store = told.stores[0]
            lost = [gid for gid in told.asked if gid not in told.decided]
            assert store.put_many([(gid, ABORTED) for gid in lost]) == [ABORTED] * len(lost)
            told.asked |= dict.fromkeys(lost, ABORTED)
            told.decided |= dict.fromkeys(lost, ABORTED)
            disk.cut_power()
            check(disk, told)


def test_the_disk_is_full_in_the_middle_of_a_record() -> None:
    """As on a file system that writes nothing in place: what is there is not known, and nothing more is decided."""
    for number, step in enumerate(STEPS, 1):
        if step.startswith("write") and step.endswith(".log"):
            told = Told()
            disk = SimulatedDisk(random.Random(number), {number: "full"})
            with pytest.raises(OutcomeUnknown):
                work(disk, told)
            with pytest.raises(StoreError, match="no more decisions in this process"):
                told.stores[0].put_if_absent("main.1.1000", COMMITTED)
            disk.faults = {}
            disk.cut_power()
            check(disk, told)


class Careless(SimulatedDisk):
    """A disk whose log leaves out one kind of sync."""

    left_out = "nothing"

    def sync(self, name: str) -> None:
        if not name.endswith(self.left_out):
            super().sync(name)

    def sync_names(self) -> None:
        if self.left_out != "names":
            super().sync_names()


@pytest.mark.parametrize("left_out", [".log", ".log.new", ".pack.new", "names"])
def test_a_sync_that_is_left_out_is_noticed(left_out: str) -> None:
    """Each of the syncs is needed, and the oracle sees it."""
    assert any(loses(left_out, seed) for seed in range(200))


def loses(left_out: str, seed: int) -> bool:
    """Return whether something is lost when the power fails."""
    told = Told()
    disk = Careless(random.Random(seed), {seed + 1: "after"})
    disk.left_out = left_out
    with suppress(Crashed):
        work(disk, told)
    disk.faults = {}
    disk.cut_power()
    try:
        check(disk, told)
    except (AssertionError, StoreError):
        return True
    return False
