"""Connections of sqlite3 as branches: alone, with the decisions in their file, or refused."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest

from ringfence import TransactionManager
from ringfence.bindings.dbapi import participant
from ringfence.errors import Aborted, InvalidValue, RingfenceError
from ringfence.transactions import Outcome

from .pairs import Pair, new_name


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "here.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, cents INTEGER)")
        connection.execute("INSERT INTO account VALUES (1, 1000)")
        connection.commit()
    return path


def cents(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT cents FROM account").fetchone()[0])


def test_an_sqlite_file_that_alone_is_written(file: Path, postgresql: Pair, decisions: str) -> None:
    here = participant(f"sqlite:///{file}", lambda: sqlite3.connect(file))
    east = participant(postgresql.east, lambda: psycopg.connect(postgresql.east))
    with TransactionManager(decisions, {"here": here, "east": east}, name=new_name()) as tm:
        with tm.transaction() as tx:
            tx["east"].cursor().execute("SELECT * FROM account")
            tx["here"].cursor().execute("UPDATE account SET cents = 5")
        assert tm.outcome(tx.gid) is Outcome.COMMITTED
        assert cents(file) == 5
        tx = tm.transaction()
        tx["here"].cursor().execute("UPDATE account SET cents = 6")
        with suppress(sqlite3.Error):
            tx["here"].cursor().execute("SELECT * FROM missing")
        with pytest.raises(Aborted):
            tx.commit()
    assert cents(file) == 5


def test_a_script_of_sqlite_commits_nothing(file: Path, decisions: str) -> None:
    here = participant(f"sqlite:///{file}", lambda: sqlite3.connect(file))
    with TransactionManager(decisions, {"here": here}, name=new_name()) as tm:
        tx = tm.transaction()
        cursor = tx["here"].cursor()
        cursor.execute("UPDATE account SET cents = 5")
        with pytest.raises(InvalidValue, match="executescript"):
            cursor.executescript("SELECT 1; SELECT 2")
        tx.rollback()
    assert cents(file) == 1000


class Autocommitting(sqlite3.Connection):
    """As in a mode of Python 3.12, in which `rollback` does nothing."""

    def rollback(self) -> None:
        """Do nothing."""


def test_what_sqlite_rolls_back_is_rolled_back_in_any_mode(file: Path, decisions: str) -> None:
    with closing(sqlite3.connect(file, factory=Autocommitting)) as connection:
        here = participant(f"sqlite:///{file}", lambda: connection, lambda _: None)
        with TransactionManager(decisions, {"here": here}, name=new_name()) as tm:
            tx = tm.transaction()
            tx["here"].cursor().execute("UPDATE account SET cents = 5")
            tx.rollback()
            assert not connection.in_transaction
            with tm.transaction() as tx:
                tx["here"].cursor().execute("SELECT 1")
    assert cents(file) == 1000


@pytest.mark.parametrize("write", [False, True])
def test_a_stale_fence_aborts_also_where_nothing_was_written(tmp_path: Path, file: Path, write: bool) -> None:
    other = tmp_path / "other.db"
    sides = {
        "here": participant(f"sqlite:///{file}", lambda: sqlite3.connect(file)),
        "there": participant(f"sqlite:///{other}", lambda: sqlite3.connect(other)),
    }
    with TransactionManager(f"sqlite:///{other}", sides, name=new_name()) as tm:
        with tm.transaction() as tx:
            tx["here"].cursor().execute("UPDATE account SET cents = 5")
            sides["here"].guard(tx.gid, "stock", 7)  # type: ignore[attr-defined]
        tx = tm.transaction()
        tx["here"].cursor().execute("SELECT * FROM account")
        if write:
            tx["there"].cursor().execute("CREATE TABLE thing (id INTEGER)")
        sides["here"].guard(tx.gid, "stock", 6)  # type: ignore[attr-defined]
        with pytest.raises(Aborted, match="stale"):
            tx.commit()


def in_child(work: Callable[[], object]) -> str:
    """What became of `work` in a forked child: "done" or "refused"."""
    child = os.fork()
    if not child:
        try:
            work()
            os._exit(0)
        except RingfenceError:
            os._exit(1)
        finally:
            os._exit(2)
    return ("done", "refused", "failed")[waited(child)]


def waited(child: int) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise TimeoutError("the child hangs")


def test_a_forked_child_leaves_the_branch_alone(file: Path, decisions: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        here = participant(f"sqlite:///{file}", lambda: connection, lambda _: None)
        with TransactionManager(decisions, {"here": here}, name=new_name()) as tm, tm.transaction() as tx:
            cursor = tx["here"].cursor()
            cursor.execute("UPDATE account SET cents = 5")
            for refused in (
                lambda: here.prepare(tx.gid),
                lambda: here.one_phase(tx.gid),
                lambda: here.guard(tx.gid, "stock", 1),  # type: ignore[attr-defined]
                lambda: cursor.execute("UPDATE account SET cents = 6"),
            ):
                assert in_child(refused) == "refused"
            assert in_child(here.close) == "done"
            assert cents(file) == 1000
    assert cents(file) == 5


def test_an_sqlite_file_that_cannot_be_prepared_says_so(file: Path, postgresql: Pair, decisions: str) -> None:
    here = participant(f"sqlite:///{file}", lambda: sqlite3.connect(file))
    east = participant(postgresql.east, lambda: psycopg.connect(postgresql.east))
    with TransactionManager(decisions, {"here": here, "east": east}, name=new_name()) as tm:
        tx = tm.transaction()
        tx["east"].cursor().execute("UPDATE account SET cents = 5")
        tx["here"].cursor().execute("UPDATE account SET cents = 5")
        with pytest.raises(Aborted, match="SQLite prepares nothing"):
            tx.commit()
    assert postgresql.moved() == 0
    assert cents(file) == 1000


def test_an_sqlite_file_that_holds_the_decisions(file: Path, postgresql: Pair) -> None:
    here = participant(f"sqlite:///{file}", lambda: sqlite3.connect(file))
    east = participant(postgresql.east, lambda: psycopg.connect(postgresql.east))
    with TransactionManager(f"sqlite:///{file}", {"here": here, "east": east}, name=new_name()) as tm:
        with tm.transaction() as tx:
            tx["east"].cursor().execute("UPDATE account SET cents = 5")
            tx["here"].cursor().execute("UPDATE account SET cents = 5")
        assert tm.decisions.get(tx.gid) is Outcome.COMMITTED
        assert (postgresql.cents()[0], cents(file)) == (5, 5)
        tx = tm.transaction()
        tm.decisions.put_if_absent(tx.gid, Outcome.ABORTED)  # recovery was faster
        tx["east"].cursor().execute("UPDATE account SET cents = 6")
        tx["here"].cursor().execute("UPDATE account SET cents = 6")
        with pytest.raises(Aborted):
            tx.commit()
        assert (postgresql.cents()[0], cents(file)) == (5, 5)
    assert postgresql.prepared() == 0
