"""What the decision log costs: the processor's time of a decision, and the syncs of many clients."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from statistics import median

import pytest

from benchmarks.report import shown
from ringfence.transactions import Outcome
from ringfence.transactions.decisions.file import FileDecisions
from ringfence.transactions.decisions.file.disk import Disk
from ringfence.transactions.merkle import MerkleTree

Note = Callable[[str, str, str, bool], None]

DECISIONS = 2000
ROUNDS = 15
CLIENTS = 16
A_DECISION = 15e-6
A_LEAF = 5e-6
SYNCS = 0.2


@contextmanager
def opened(folder: Path) -> Iterator[FileDecisions]:
    with closing(FileDecisions(folder)) as store:
        store.begin_epoch("main")
        yield store


def seconds(work: Callable[[], object]) -> float:
    """Return the processor's time for one of many."""
    start = time.process_time()
    for _ in range(DECISIONS):
        work()
    return (time.process_time() - start) / DECISIONS


def test_a_decision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note: Note) -> None:
    """Without the sync, whose time is the disk's; with the packing of what is full."""
    monkeypatch.setattr(Disk, "sync", lambda _disk, _name: None)
    numbers = count(1)
    with opened(tmp_path / "log") as store:
        spent = median(
            seconds(lambda: store.put_if_absent(f"main.1.{next(numbers)}", Outcome.COMMITTED))
            for _ in range(ROUNDS)
        )
    note("decision log's CPU, a decision", shown(spent), f"<= {shown(A_DECISION)}", spent <= A_DECISION)


def test_a_leaf(note: Note) -> None:
    tree = MerkleTree()
    spent = median(seconds(lambda: tree.append(b"committed main.1.12345")) for _ in range(ROUNDS))
    note("Merkle tree's CPU, a leaf", shown(spent), f"<= {shown(A_LEAF)}", spent <= A_LEAF)


def test_sixteen_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note: Note) -> None:
    syncs, sync = [], Disk.sync

    def counted(disk: Disk, name: str) -> None:
        syncs.append(name)
        sync(disk, name)

    with opened(tmp_path / "log") as store:
        monkeypatch.setattr(Disk, "sync", counted)
        threads = [threading.Thread(target=decide, args=(store, client)) for client in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(600)
    each = len(syncs) / DECISIONS
    note("syncs of a decision, 16 clients", f"{each:.3f}", f"< {SYNCS}", each < SYNCS)


def decide(store: FileDecisions, client: int) -> None:
    for number in range(client, DECISIONS, CLIENTS):
        store.put_if_absent(f"main.1.{number + 1}", Outcome.COMMITTED)
