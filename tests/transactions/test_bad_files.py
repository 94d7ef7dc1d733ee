"""Files that are damaged, locked, read-only, not there, or given twice: a clear error, and nothing lost."""

import os
import sqlite3
from functools import partial
from pathlib import Path

import pytest

from ringfence.errors import (
    Aborted,
    BackendUnavailable,
    InvalidValue,
    StoreDamaged,
    StoreError,
)
from ringfence.transactions import Outcome, TransactionManager

from .bank import Acknowledge, Bank, forked, transfer


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


def test_a_damaged_page_of_the_intents_is_noticed(bank: Bank) -> None:
    with bank.manager() as tm:
        transfer(tm)
    connection = sqlite3.connect(bank.folder / "east.db")
    sought = "SELECT rootpage FROM sqlite_master WHERE name = 'ringfence_intent'"
    [(page,)] = connection.execute(sought).fetchall()
    connection.close()
    with (bank.folder / "east.db").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    with bank.manager() as tm, pytest.raises(StoreDamaged, match="malformed"), tm.transaction() as tx:
        tx["east"].execute("SELECT 1")


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
        assert tm.participants["east"].recover() == [tx.gid]


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
