"""The decision log: conformance, threads that share a sync, other processes, forks."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ringfence.errors import InvalidValue, OutcomeUnknown, StoreDamaged, StoreError
from ringfence.testing.decision_store import DecisionStoreSuite
from ringfence.transactions import Outcome, TransactionManager
from ringfence.transactions.decisions import DecisionStore, from_url
from ringfence.transactions.decisions.file import FileDecisions
from ringfence.transactions.decisions.file.disk import Disk
from tests.transactions.test_conformance import InFolders

COMMITTED, ABORTED = Outcome.COMMITTED, Outcome.ABORTED


class TestFileDecisions(InFolders, DecisionStoreSuite):
    def open(self) -> DecisionStore:
        return FileDecisions(self.file())

    def restart(self, store: DecisionStore) -> DecisionStore:
        assert isinstance(store, FileDecisions)
        store.close()
        return FileDecisions(store.path)


class TestSmallSegments(TestFileDecisions):
    def open(self) -> DecisionStore:
        return FileDecisions(self.file(), segment=64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "decisions"


@pytest.fixture
def store(folder: Path) -> Iterator[FileDecisions]:
    opened = FileDecisions(folder)
    opened.begin_epoch("main")
    yield opened
    opened.close()


def test_a_url_names_it(folder: Path) -> None:
    store = from_url(f"file://{folder}", 1.0)
    assert isinstance(store, FileDecisions)
    assert store.path == str(folder)
    store.close()


@pytest.mark.parametrize("url", ["file://relative", "file:///", "file://"])
def test_a_url_is_absolute(url: str) -> None:
    with pytest.raises(InvalidValue, match="write file:///absolute/path"):
        from_url(url, 1.0)


def test_a_transaction_manager_decides_there(folder: Path, tmp_path: Path) -> None:
    stores = {name: f"sqlite:///{tmp_path}/{name}.db" for name in ("east", "west")}
    with TransactionManager(f"file://{folder}", stores) as tm:
        with tm.transaction() as tx:
            for name in stores:
                tx[name].execute("CREATE TABLE kept (value)")
        assert tm.outcome(tx.gid) is COMMITTED
        gid = tx.gid
    with TransactionManager(f"file://{folder}", stores) as tm:
        assert tm.outcome(gid) is COMMITTED


def test_only_one_object_has_it_open(folder: Path, store: FileDecisions) -> None:
    with pytest.raises(StoreError, match=f"is open in process {os.getpid()}"):
        FileDecisions(folder)
    store.close()
    FileDecisions(folder).close()


HOLD = """
import sys, time
from ringfence.transactions.decisions.file import FileDecisions
store = FileDecisions(sys.argv[1])
print(store.begin_epoch("other"), flush=True)
sys.stdin.read()
"""


def test_a_process_that_was_killed_lets_go(folder: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(folder)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "1\n"
        with pytest.raises(StoreError, match=f"is open in process {holder.pid}"):
            FileDecisions(folder)
    finally:
        holder.kill()
        holder.communicate(timeout=60)
    store = FileDecisions(folder)
    assert store.epoch("other") == 1
    store.close()


FORK = """
import os, sys
from ringfence.errors import StoreError
from ringfence.transactions import Outcome
from ringfence.transactions.decisions.file import FileDecisions

store = FileDecisions(sys.argv[1])
store.begin_epoch("main")
ready, up = os.pipe()
gone, go = os.pipe()
if os.fork():
    os.close(gone)
    os.read(ready, 1)  # the child runs, so it has let go of the folder
    store.close()
    FileDecisions(sys.argv[1]).close()
    print("opened again", flush=True)
    os.close(go)
    os.wait()
else:  # it outlives the parent's store, and must not keep the folder
    os.close(go)
    os.write(up, b"x")
    os.read(gone, 1)
    for ask in (lambda: store.put_if_absent("main.1.1", Outcome.COMMITTED), lambda: store.get("main.1.1")):
        try:
            ask()
        except StoreError as error:
            print(error, flush=True)
    store.close()
    os._exit(0)
"""


def test_a_forked_child_has_no_part_in_it(folder: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FORK, str(folder)], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.stderr == ""
    refused = f"'{folder}' is open in the process that forked this one; only that one uses it"
    assert ended.stdout.splitlines() == ["opened again", refused, refused]


def test_threads_share_syncs(store: FileDecisions, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, gate = threading.Event(), threading.Event()
    syncs = []

    def slow(disk: Disk, name: str) -> None:
        syncs.append(name)
        entered.set()
        assert gate.wait(60)

    monkeypatch.setattr(Disk, "sync", slow)
    gids = [f"main.1.{number}" for number in range(1, 18)]
    threads = [threading.Thread(target=store.put_if_absent, args=(gid, COMMITTED)) for gid in gids]
    threads[0].start()
    assert entered.wait(60)
    for thread in threads[1:]:
        thread.start()
    while len(store._deciding) < len(gids):
        pass
    gate.set()
    for thread in threads:
        thread.join(60)
    assert len(syncs) == 2
    assert [store.get(gid) for gid in gids] == [COMMITTED] * len(gids)


def test_one_who_reads_a_decision_waits_for_its_sync(
    store: FileDecisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, gate = threading.Event(), threading.Event()

    def slow(disk: Disk, name: str) -> None:
        entered.set()
        assert gate.wait(60)

    monkeypatch.setattr(Disk, "sync", slow)
    answers: list[object] = []
    ask: list[Any] = [lambda: store.put_if_absent("main.1.1", COMMITTED), lambda: store.get("main.1.1")]
    threads = [threading.Thread(target=lambda job=job: answers.append(job())) for job in ask]
    threads[0].start()
    assert entered.wait(60)
    threads[1].start()
    threads[1].join(0.1)
    assert answers == []
    gate.set()
    for thread in threads:
        thread.join(60)
    assert answers == [COMMITTED, COMMITTED]


def test_a_failed_sync_decides_nothing_more(
    folder: Path, store: FileDecisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put_if_absent("main.1.1", COMMITTED)

    def fail(disk: Disk, name: str) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Disk, "sync", fail)
        with pytest.raises(OutcomeUnknown, match="Input/output error"):
            store.put_if_absent("main.1.2", COMMITTED)
    with pytest.raises(StoreError, match="no more decisions in this process"):
        store.put_if_absent("main.1.3", COMMITTED)
    with pytest.raises(OutcomeUnknown):
        store.get("main.1.2")
    assert store.get("main.1.1") is COMMITTED
    store.close()
    again = FileDecisions(folder)
    with pytest.raises(StoreError, match="no more decisions in this process"):
        again.put_if_absent("main.1.2", ABORTED)
    again.close()


def test_a_full_disk_loses_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileDecisions(folder, segment=512)
    store.begin_epoch("main")
    write = Disk.write

    def full(disk: Disk, name: str, data: bytes, at: int = 0) -> None:
        if name.endswith(".new"):
            raise OSError(28, "No space left on device")
        write(disk, name, data, at)

    gids = [f"main.1.{number}" for number in range(1, 20)]
    with monkeypatch.context() as patch:
        patch.setattr(Disk, "write", full)
        failures = [failure(store, gid) for gid in gids]
        room = failures.index(StoreError)
        assert failures == [None] * room + [StoreError] * (len(gids) - room)
        assert [store.get(gid) for gid in gids] == [COMMITTED] * room + [None] * (len(gids) - room)
    assert store.put_if_absent(gids[room], ABORTED) is ABORTED
    store.close()
    again = FileDecisions(folder)
    assert [again.get(gid) for gid in gids[: room + 2]] == [COMMITTED] * room + [ABORTED, None]
    again.close()


def test_names_are_synced_when_no_file_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment that has its name already is not given up for want of a file descriptor."""
    with closing(Disk(tmp_path)) as disk:
        disk.sync_names()

        def none_left(*_: object) -> int:
            raise OSError(24, "Too many open files")

        with monkeypatch.context() as patch:
            patch.setattr(os, "open", none_left)
            disk.sync_names()


def failure(store: FileDecisions, gid: str) -> type[StoreError] | None:
    """Commit, and return the class of what was raised."""
    try:
        store.put_if_absent(gid, COMMITTED)
    except StoreError as error:
        return None if "nothing was recorded" not in str(error) else type(error)
    return None


def test_an_interrupt_in_a_write_is_no_answer(store: FileDecisions, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(disk: Disk, name: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Disk, "sync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.put_if_absent("main.1.1", COMMITTED)
    with pytest.raises(OutcomeUnknown):
        store.get("main.1.1")


def test_what_is_no_log_is_refused(folder: Path) -> None:
    folder.mkdir()
    (folder / "00000001.log").write_bytes(b"something else")
    with pytest.raises(StoreDamaged, match="damaged at byte 0, it does not begin as"):
        FileDecisions(folder)


def test_closed_it_decides_nothing(store: FileDecisions) -> None:
    store.close()
    with pytest.raises(StoreError, match="was closed"):
        store.put_if_absent("main.1.1", COMMITTED)
