"""Disks that fill up or fail, files that are locked, damaged, read-only or not there."""

import os
import sqlite3
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ringfence import _sqlite
from ringfence.errors import (
    Aborted,
    BackendUnavailable,
    InDoubt,
    InvalidValue,
    StoreDamaged,
    StoreError,
)
from ringfence.transactions import Outcome, TransactionManager
from ringfence.transactions.decisions.sqlite import SqliteDecisions
from ringfence.transactions.participants.sqlite import SqliteParticipant

from .bank import Acknowledge, Bank, forked, transfer

GID = "main.1.1"


class FailingDisk:
    """Makes the next commit on one file fail like a disk: before it happened, or after it did."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = ""
        self.happens = False
        self.failed = 0
        disk = self

        class Connection(_sqlite.Connection):
            def execute(self, sql: str, *arguments: object) -> sqlite3.Cursor:
                if sql == "COMMIT" and self.path.endswith(f"/{disk.file}.db"):
                    disk.fail(super().execute)
                return super().execute(sql, *arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(_sqlite, "CONNECTION", Connection)

    def fail(self, execute: Callable[[str], object]) -> None:
        self.file = ""
        self.failed += 1
        execute("COMMIT" if self.happens else "ROLLBACK")
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise error


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FailingDisk:
    return FailingDisk(monkeypatch)


@pytest.mark.parametrize("happens", [True, False])
def test_after_a_failed_fsync_of_a_decision_this_process_decides_nothing_more(
    bank: Bank, disk: FailingDisk, happens: bool
) -> None:
    tm = bank.manager(timeout=0.05)
    tx = tm.transaction()
    for name, change in (("east", -10), ("west", 10)):
        tx[name].execute("UPDATE account SET balance = balance + ?", (change,))
    disk.file, disk.happens = "decisions", happens
    with pytest.raises(InDoubt, match="no more decisions in this process"):
        tx.commit()
    assert disk.failed == 1
    assert tm.participants["east"].prepared() == tm.participants["west"].prepared() == [tx.gid]
    with pytest.raises(StoreError, match=r"start a new one: .*disk I/O error"):
        tm.decisions.put_if_absent("main.1.9", Outcome.COMMITTED)
    [left, _] = tm.recover().unresolved
    assert "no more decisions" in str(left)
    with pytest.raises(StoreError, match="no more decisions"):
        bank.manager("same-process").decisions.put_if_absent("main.1.9", Outcome.COMMITTED)
    tm.close()

    status, _ = forked(lambda _: bank.check_recovery(tx.gid, happens))
    assert status == 0


def test_one_branch_commits_without_the_decision_store(bank: Bank, disk: FailingDisk) -> None:
    with bank.manager() as tm:
        tm.recover()
        disk.file = "decisions"
        with tm.transaction() as tx:
            tx["east"].execute("UPDATE account SET balance = 90")
        assert disk.failed == 0
    assert bank.balances() == (90, 100)


@pytest.mark.parametrize("happens", [True, False])
def test_an_unknown_one_phase_commit_is_settled(bank: Bank, disk: FailingDisk, happens: bool) -> None:
    with bank.manager() as tm:
        tx = tm.transaction()
        tx["east"].execute("UPDATE account SET balance = 90")
        disk.file, disk.happens = "east", happens
        if happens:
            tx.commit()
        else:
            with pytest.raises(Aborted, match=r"did not commit: .*disk I/O error"):
                tx.commit()
        assert disk.failed == 1
        bank.check_recovery(tx.gid, happens, (90, 100))


def test_a_one_phase_commit_that_cannot_be_settled_is_in_doubt(
    bank: Bank, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bank.manager() as tm:
        tx = tm.transaction()
        tx["east"].execute("UPDATE account SET balance = 90")
        disk.file, disk.happens = "east", True
        with monkeypatch.context() as broken:
            broken.setattr(SqliteParticipant, "settle", unreachable)
            with pytest.raises(InDoubt, match="'east' did not answer"):
                tx.commit()
            with pytest.raises(StoreError):
                tm.outcome(tx.gid)
        assert tm.outcome(tx.gid) == "committed"


def unreachable(*_: object) -> None:
    raise StoreError("out of reach")


@pytest.mark.parametrize("happens", [True, False])
def test_a_disk_that_fails_while_preparing_aborts(bank: Bank, disk: FailingDisk, happens: bool) -> None:
    with bank.manager() as tm:
        tm.recover()
        disk.file, disk.happens = "west", happens
        with pytest.raises(Aborted, match=r"'west' voted against it: .*disk I/O error"):
            transfer(tm)
        bank.check_recovery(GID, acknowledged=False)


def test_a_disk_that_fails_while_committing_is_asked_again(
    bank: Bank, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bank.manager() as tm:
        put = tm.decisions.put_if_absent

        def fail_next(gid: str, outcome: Outcome) -> Outcome:
            answer = put(gid, outcome)
            disk.file, disk.happens = "west", False
            return answer

        monkeypatch.setattr(tm.decisions, "put_if_absent", fail_next)
        transfer(tm)
        assert disk.failed == 1
        assert bank.balances() == (90, 110)


def test_a_branch_that_stays_out_of_reach_is_committed_by_recovery(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bank.manager() as tm:
        with monkeypatch.context() as broken:
            broken.setattr(tm.participants["west"], "commit", unreachable)
            gid = transfer(tm)
        assert bank.balances() == (90, 100)
        assert tm.outcome(gid) == "committed"
        assert str(tm.recover()) == f"1 committed, 0 rolled back, 0 left\n{gid} committed on west"
        assert bank.balances() == (90, 110)


def fill_up(file: str, bank: Bank, acknowledge: Acknowledge) -> None:
    """Let `file` grow no further, as on a full disk, from just before the commit on."""
    tm = bank.manager(timeout=0.05)
    tx = tm.transaction()
    for name, change in (("east", -10), ("west", 10)):
        tx[name].execute("UPDATE account SET balance = balance + ?", (change,))

    class Full(_sqlite.Connection):
        def execute(self, sql: str, *arguments: object) -> sqlite3.Cursor:
            if sql.startswith("INSERT INTO ringfence") and self.path.endswith(f"/{file}.db"):
                [(pages,)] = super().execute("PRAGMA page_count")
                super().execute(f"PRAGMA max_page_count = {pages}")
                super().execute("CREATE TABLE filler (x)")
            return super().execute(sql, *arguments)  # type: ignore[arg-type]

    _sqlite.CONNECTION = Full
    tm.decisions.close()
    tm.decisions = tm._coordinator.decisions = SqliteDecisions(f"{bank.folder}/decisions.db")
    for branch in tx._branches.begun.values():
        branch.connection.__class__ = Full
    with pytest.raises(Aborted, match="full"):
        tx.commit()
    with pytest.raises(Aborted, match="no more decisions" if file == "decisions" else "full"):
        transfer(tm)
    tm.close()


@pytest.mark.parametrize("file", ["decisions", "west"])
def test_a_full_disk_aborts(bank: Bank, file: str) -> None:
    assert forked(partial(fill_up, file, bank)) == (0, False)
    bank.check_recovery(GID, acknowledged=False)


def grow_to(limit: int, bank: Bank, acknowledge: Acknowledge) -> None:
    """Let no file of this process grow beyond `limit` bytes: real writes fail, at whatever point they reach it."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        transfer(bank.manager())
    except (Aborted, InDoubt, StoreError):
        return
    acknowledge()


def test_files_that_cannot_grow_at_any_point(bank: Bank, folder: Path) -> None:
    seen = set()
    for limit in range(8 << 10, 200 << 10, 8 << 10):
        copy = bank.copy(folder / "copy")
        status, acknowledged = forked(partial(grow_to, limit, copy))
        assert status == 0
        seen.add((copy.check_recovery(GID, acknowledged), acknowledged))
        if acknowledged:
            break
    assert {("aborted", False), ("committed", True)} <= seen


@pytest.mark.parametrize("name", ["decisions", "east"])
def test_a_damaged_file_is_refused_and_kept(bank: Bank, name: str) -> None:
    path = bank.folder / f"{name}.db"
    path.write_bytes(b"this is no database " * 300)
    with bank.manager() as tm:
        with pytest.raises(StoreDamaged, match=f"{name}.db' is not a sound SQLite file"):
            transfer(tm)
        assert path.read_bytes() == b"this is no database " * 300
        if name == "east":
            assert tm.outcome("main.1.1") == "aborted"
            [unresolved] = tm.recover().unresolved
            assert (unresolved.gid, unresolved.branch) == (None, "east")
            assert "everything left on east" in str(unresolved)


def test_a_damaged_page_is_noticed(bank: Bank) -> None:
    connection = sqlite3.connect(bank.folder / "east.db")
    connection.execute(
        "CREATE TABLE big AS SELECT zeroblob(500) AS x FROM (VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9))"
    )
    connection.close()
    with (bank.folder / "east.db").open("r+b") as file:
        file.seek(2 * 4096)
        file.write(b"\xff" * 4096)
    with bank.manager() as tm, pytest.raises(StoreDamaged, match="malformed"), tm.transaction() as tx:
        tx["east"].execute("SELECT * FROM big")


def test_a_damaged_decision_is_not_guessed(bank: Bank) -> None:
    with bank.manager() as tm:
        gid = transfer(tm)
        connection = sqlite3.connect(bank.folder / "decisions.db")
        connection.execute("UPDATE ringfence_decision SET outcome = 'perhaps'")
        connection.commit()
        connection.close()
        with bank.manager("other") as other, pytest.raises(StoreDamaged, match="'perhaps', which is none"):
            other.outcome(gid)


def test_a_damaged_intent_is_kept(bank: Bank) -> None:
    with bank.manager() as tm:
        tx = tm.transaction()
        tx["east"].execute("UPDATE account SET balance = 1")
        tm.participants["east"].prepare(tx.gid)
        connection = sqlite3.connect(bank.folder / "east.db")
        connection.execute("UPDATE ringfence_intent SET redo = '[['")
        connection.commit()
        connection.close()
        tm.decisions.put_if_absent(tx.gid, Outcome.COMMITTED)
        tm._coordinator.running.clear()
        [left] = tm.recover().unresolved
        assert "its intent is kept" in str(left)
        assert tm.participants["east"].prepared() == [tx.gid]


@pytest.mark.parametrize("name", ["decisions", "east"])
def test_a_locked_file_aborts_and_loses_nothing(bank: Bank, name: str) -> None:
    with bank.manager(timeout=0.02) as tm:
        gid = transfer(tm)
        locker = sqlite3.connect(bank.folder / f"{name}.db", isolation_level=None)
        locker.execute("BEGIN IMMEDIATE")
        with pytest.raises(Aborted, match="stayed locked"):
            transfer(tm)
        locker.execute("ROLLBACK")
        locker.close()
        assert tm.outcome(gid) == "committed"
        transfer(tm)
    assert bank.balances() == (80, 120)


def read_only(bank: Bank, name: str, acknowledge: Acknowledge) -> None:
    (bank.folder / f"{name}.db").chmod(0o444)
    bank.folder.chmod(0o777)
    if os.getuid() == 0:
        os.setuid(65534)  # root may write to anything
    tm = bank.manager()
    with pytest.raises(StoreError, match=f"{name}.db' cannot be written"):
        transfer(tm)
    acknowledge()


@pytest.mark.parametrize("name", ["decisions", "east"])
def test_a_read_only_file_is_named(bank: Bank, name: str) -> None:
    for file in ("decisions", "east", "west"):
        sqlite3.connect(bank.folder / f"{file}.db").close()
        (bank.folder / f"{file}.db").touch()
        (bank.folder / f"{file}.db").chmod(0o666)
    bank.folder.parent.chmod(0o755)
    assert forked(partial(read_only, bank, name)) == (0, True)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    missing = f"sqlite:///{tmp_path}/no/a.db"
    for decisions, participant in (("memory://", missing), (missing, "memory://")):
        tm = TransactionManager(decisions, {"a": participant})
        with pytest.raises(BackendUnavailable, match=f"create the folder '{tmp_path}/no' first"):
            tm.transaction()["a"]
        tm.close()


def test_a_link_to_the_same_file_is_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "b.db").symlink_to(tmp_path / "a.db")
    with pytest.raises(InvalidValue, match="'a' and 'b' are the same store"):
        TransactionManager("memory://", {name: f"sqlite:///{tmp_path}/{name}.db" for name in "ab"})


def in_child(tm: TransactionManager, tx: object, acknowledge: Acknowledge) -> None:
    with pytest.raises(InvalidValue, match="make one in this process"):
        tm.transaction()
    with pytest.raises(Aborted, match="was forked"):
        tx["east"].execute("SELECT 1")  # type: ignore[index]
    tx.rollback()  # type: ignore[attr-defined]
    own = TransactionManager("memory://", {"east": f"sqlite:///{tm.participants['east'].path}"})  # type: ignore[attr-defined]
    with pytest.raises(BackendUnavailable, match="was open when this process was forked"):
        own.transaction()["east"]
    acknowledge()


def test_a_forked_child_harms_nothing(bank: Bank) -> None:
    with bank.manager() as tm:
        transfer(tm)
        with tm.transaction() as tx:
            tx["east"].execute("UPDATE account SET balance = balance - 10")
            assert forked(partial(in_child, tm, tx)) == (0, True)
            tx["west"].execute("UPDATE account SET balance = balance + 10")
        assert bank.balances() == (80, 120)


def deposit(tm: TransactionManager, times: int) -> None:
    for _ in range(times):
        with tm.transaction() as tx:
            for name in ("east", "west"):
                [(balance,)] = tx[name].execute("SELECT balance FROM account")
                tx[name].execute("UPDATE account SET balance = ?", (balance + 1,))


def together(works: list[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_threads_lose_no_update(bank: Bank) -> None:
    with bank.manager(timeout=30) as tm:
        together([partial(deposit, tm, 5)] * 4)
    assert bank.balances() == (120, 120)


def test_processes_lose_no_update(bank: Bank) -> None:
    def child(name: str, acknowledge: Acknowledge) -> None:
        deposit(bank.manager(name, timeout=30), 5)
        acknowledge()

    together([partial(forked, partial(child, f"child-{number}")) for number in range(4)])
    assert bank.balances() == (120, 120)


def test_two_that_wait_for_each_other_end(bank: Bank) -> None:
    barrier = threading.Barrier(2)
    outcomes: list[str] = []

    def cross(tm: TransactionManager, first: str, second: str) -> None:
        try:
            with tm.transaction() as tx:
                tx[first].execute("UPDATE account SET balance = balance + 1")
                barrier.wait()
                tx[second].execute("UPDATE account SET balance = balance + 1")
            outcomes.append("committed")
        except Aborted:
            outcomes.append("aborted")

    with bank.manager(timeout=0.2) as tm:
        together([partial(cross, tm, "east", "west"), partial(cross, tm, "west", "east")])
        committed = outcomes.count("committed")
        assert committed < 2
        assert bank.balances() == (100 + committed, 100 + committed)
