"""Disks that fail or fill up while something is prepared, decided or committed."""

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ringfence import _sqlite
from ringfence.errors import (
    Aborted,
    InDoubt,
    StoreError,
)
from ringfence.transactions import Outcome
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
    assert tm.participants["east"].recover() == tm.participants["west"].recover() == [tx.gid]
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
    tm.decisions = tm._coordinator.ending.decisions = SqliteDecisions(f"{bank.folder}/decisions.db")
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
