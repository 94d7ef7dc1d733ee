"""A real process killed at every named step of a log on a real disk: what it told is there, nothing else is decided."""

import subprocess
import sys
from pathlib import Path

import pytest

from ringfence.transactions import Outcome
from ringfence.transactions.decisions.file import DecisionLog, FileDecisions
from ringfence.transactions.merkle import Checkpoint

CHILD = """
import os, signal, sys
from ringfence.transactions import Outcome
from ringfence.transactions.decisions.file import DecisionLog, FileDecisions
from ringfence.transactions.decisions.file.disk import Disk

folder, step, where = sys.argv[1:]

class Deadly(Disk):
    def write(self, name, data, at=0):
        die = self.at("write", name)
        super().write(name, data[: len(data) // 2] if die and where == "half" else data, at)
        self.end(die)

    def sync(self, name):
        die = self.at("sync", name)
        super().sync(name)
        self.end(die)

    def rename(self, old, new):
        die = self.at("rename", new)
        super().rename(old, new)
        self.end(die)

    def remove(self, name):
        die = name in self.names() and self.at("remove", name)
        super().remove(name)
        self.end(die)

    def sync_names(self):
        die = self.at("sync", "names")
        super().sync_names()
        self.end(die)

    def at(self, operation, name):
        steps.append(f"{operation} {name}")
        die = f"{operation} {name}" == step and steps.count(step) == (2 if step == "sync names" else 1)
        if die and where == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        return die

    def end(self, die):
        if die:
            os.kill(os.getpid(), signal.SIGKILL)

def tell(words):
    os.write(1, words.encode() + b"\\n")

steps = []
store = FileDecisions(folder, segment=512, disk=Deadly(folder))
tell(f"epoch {store.begin_epoch('main')}")
for seq in range(1, 40):
    gid = f"main.1.{seq}"
    tell(f"asked {gid}")
    tell(f"{store.put_if_absent(gid, Outcome.COMMITTED)} {gid}")
    if seq % 8 == 0:
        tell("checkpoint " + DecisionLog(folder).checkpoint().text().replace(chr(10), " "))
"""

POINTS = [
    ("half a record", "write 00000001.log", "half"),
    ("a record not synced", "sync 00000001.log", "before"),
    ("a record synced, not told", "sync 00000001.log", "after"),
    ("half a segment", "write 00000002.log.new", "half"),
    ("a segment not synced", "sync 00000002.log.new", "before"),
    ("a segment without its name", "rename 00000002.log", "before"),
    ("a segment, the folder not synced", "rename 00000002.log", "after"),
    ("a segment, nothing in it", "sync names", "after"),
    ("half a pack", "write 00000001.pack.new", "half"),
    ("a pack not synced", "sync 00000001.pack.new", "before"),
    ("a pack beside its segment", "remove 00000001.log", "before"),
    ("a pack in place of its segment", "remove 00000001.log", "after"),
    ("a record behind a pack", "write 00000002.log", "half"),
]


@pytest.mark.parametrize(
    ("step", "where"), [point[1:] for point in POINTS], ids=[point[0] for point in POINTS]
)
def test_a_process_is_killed(tmp_path: Path, step: str, where: str) -> None:
    folder = tmp_path / "decisions"
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), step, where],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == -9, ended.stderr
    told = [line.split(" ", 1) for line in ended.stdout.splitlines()]
    asked = {gid for kind, gid in told if kind == "asked"}
    acknowledged = {gid: Outcome.COMMITTED for kind, gid in told if kind == "committed"}
    store = FileDecisions(folder, segment=512)
    found = dict(store.decisions())
    assert acknowledged.items() <= found.items()
    assert found.keys() <= asked
    assert store.begin_epoch("main") > sum(kind == "epoch" for kind, _ in told)
    store.close()
    log = DecisionLog(folder)
    for kind, text in told:
        if kind == "checkpoint":
            old = Checkpoint.parse(text.replace(" ", "\n"))
            log.check(old)
            log.prove_growth(old).check(old, log.checkpoint())
