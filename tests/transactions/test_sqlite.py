import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from ringfence import _sqlite
from ringfence.errors import (
    BackendUnavailable,
    InvalidValue,
    OutcomeUnknown,
    StoreDamaged,
    StoreError,
    StoreTimeout,
)


def test_a_file_is_opened_durable(tmp_path: Path) -> None:
    connection = _sqlite.connect(tmp_path / "a.db", timeout=1)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    connection.close()


@pytest.mark.parametrize("path", ["", ":memory:"])
def test_a_path_must_name_a_file(path: str) -> None:
    with pytest.raises(InvalidValue, match="names no file"):
        _sqlite.connect(path, timeout=1)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match=f"create the folder '{tmp_path}/no' first"):
        _sqlite.connect(tmp_path / "no" / "a.db", timeout=1)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match="must be a file"):
        _sqlite.connect(tmp_path, timeout=1)


def test_a_damaged_file_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreDamaged, match="is not a sound SQLite file"):
        _sqlite.connect(path, timeout=1)
    assert path.read_bytes() == b"no database at all" * 100


def test_a_locked_file_times_out(tmp_path: Path) -> None:
    holder = _sqlite.connect(tmp_path / "a.db", timeout=1)
    waiter = _sqlite.connect(tmp_path / "a.db", timeout=0.01)
    with _sqlite.immediate(holder), pytest.raises(StoreTimeout, match="stayed locked"):
        _sqlite.begin(waiter)
    holder.close()
    waiter.close()


def test_errors_of_the_sql_pass(tmp_path: Path) -> None:
    connection = _sqlite.connect(tmp_path / "a.db", timeout=1)
    with pytest.raises(sqlite3.OperationalError, match="no such table"), _sqlite.translating("a.db"):
        connection.execute("SELECT * FROM missing")
    connection.close()


def test_immediate_commits_or_rolls_back(tmp_path: Path) -> None:
    connection = _sqlite.connect(tmp_path / "a.db", timeout=1)
    with _sqlite.immediate(connection):
        connection.execute("CREATE TABLE t (x)")
    with pytest.raises(sqlite3.OperationalError), _sqlite.immediate(connection):
        connection.execute("INSERT INTO t VALUES (1)").connection.execute("SELECT * FROM missing")
    assert connection.execute("SELECT * FROM t").fetchall() == []
    connection.close()


class FailingCommit(_sqlite.Connection):
    def execute(self, sql: str, *args: object) -> sqlite3.Cursor:
        if sql == "COMMIT":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        return super().execute(sql, *args)  # type: ignore[arg-type]


def test_a_disk_failing_at_commit_leaves_the_outcome_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sqlite, "CONNECTION", FailingCommit)
    connection = _sqlite.connect(tmp_path / "a.db", timeout=1)
    with pytest.raises(OutcomeUnknown, match="may or may not"), _sqlite.immediate(connection):
        connection.execute("CREATE TABLE t (x)")
    assert not connection.in_transaction
    connection.close()


def test_a_pool_reuses_connections_and_prepares_each_once(tmp_path: Path) -> None:
    prepared: list[_sqlite.Connection] = []
    pool = _sqlite.Pool(str(tmp_path / "a.db"), timeout=1, prepare=prepared.append)
    first, second = pool.take(), pool.take()
    pool.give(first)
    assert pool.take() is first
    assert prepared == [first, second]
    pool.give(first)
    pool.close()
    pool.give(second)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        second.execute("SELECT 1")
    with pytest.raises(StoreError, match="was closed"):
        pool.take()


def test_a_pool_keeps_no_connection_that_is_in_a_transaction(tmp_path: Path) -> None:
    """An interrupt can leave one so, and what others then wrote on it would not be committed."""
    pool = _sqlite.Pool(str(tmp_path / "a.db"), timeout=1)
    connection = pool.take()
    connection.execute("BEGIN")
    pool.give(connection)
    with pool.borrow() as other:
        assert not other.in_transaction
    pool.close()


def test_a_pool_stays_with_its_file_when_the_folder_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    pool = _sqlite.Pool("a.db", timeout=1)
    first = pool.take()
    monkeypatch.chdir(tmp_path / "elsewhere")
    second = pool.take()
    assert first.file == second.file
    pool.give(first)
    pool.give(second)
    pool.close()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def in_child(work: Callable[[], bool]) -> bool:
    child = os.fork()
    if child == 0:
        os._exit(0 if work() else 1)
    return os.waitpid(child, 0)[1] == 0


def test_a_forked_child_opens_what_its_parent_had_not(tmp_path: Path) -> None:
    pool = _sqlite.Pool(str(tmp_path / "a.db"), timeout=1)
    connection = pool.take()
    pool.give(connection)
    pool.close()
    fresh = _sqlite.Pool(str(tmp_path / "a.db"), timeout=1)
    assert in_child(lambda: not fresh.take().in_transaction)


def test_a_forked_child_does_not_open_what_its_parent_has(tmp_path: Path) -> None:
    """SQLite would let it, and lose its commits when the parent closes."""
    pool = _sqlite.Pool(str(tmp_path / "a.db"), timeout=1)
    pool.give(pool.take())
    (tmp_path / "b.db").symlink_to(tmp_path / "a.db")

    def refused() -> bool:
        with pytest.raises(BackendUnavailable, match="was open when this process was forked"):
            pool.take()
        with pytest.raises(BackendUnavailable, match="spawn method"):
            _sqlite.connect(tmp_path / "b.db", timeout=1)
        return True

    assert in_child(refused)
    pool.close()
    assert in_child(lambda: _sqlite.connect(tmp_path / "a.db", timeout=1) is not None)
