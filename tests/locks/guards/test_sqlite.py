"""The guard: lower fences never write, whatever their holder believes."""

import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ringfence.errors import (
    FenceRejected,
    InvalidType,
    InvalidValue,
    LeaseLost,
    NotHeld,
    StoreDamaged,
    StoreError,
    StoreTimeout,
)
from ringfence.locks import rules
from ringfence.locks.guards import Guard
from ringfence.locks.manager import LockManager
from ringfence.locks.stores.memory import MemoryStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE history (fence INTEGER)")
        connection.commit()
    return path


@pytest.fixture
def guard(path: Path) -> Iterator[Guard]:
    with Guard(path, "x") as guard:
        yield guard


def history(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [fence for (fence,) in connection.execute("SELECT fence FROM history ORDER BY rowid")]


def put(guard: Guard, fence: int) -> None:
    with guard.write(fence) as connection:
        connection.execute("INSERT INTO history VALUES (?)", (fence,))


def test_fences_may_rise_and_repeat_but_never_fall(guard: Guard, path: Path) -> None:
    assert guard.mark() == 0
    for fence in (5, 5, 9):
        put(guard, fence)
    with pytest.raises(FenceRejected) as caught:
        put(guard, 8)
    assert (caught.value.resource, caught.value.fence, caught.value.mark) == ("x", 8, 9)
    assert history(path) == [5, 5, 9]
    assert guard.mark() == 9


def test_without_the_rule_a_stale_write_would_get_through(
    guard: Guard, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "admits", lambda mark, fence: True)
    put(guard, 9)
    put(guard, 8)
    assert history(path) == [9, 8]


def test_an_exception_rolls_back_write_and_mark(guard: Guard, path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        fail(guard)
    assert history(path) == []
    assert guard.mark() == 0
    put(guard, 3)


def fail(guard: Guard) -> None:
    with guard.write(7) as connection:
        connection.execute("INSERT INTO history VALUES (7)")
        raise ZeroDivisionError


def test_errors_of_the_callers_own_sql_pass_unchanged(guard: Guard) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"), guard.write(1) as connection:
        connection.execute("INSERT INTO missing VALUES (1)")


def test_resources_of_one_database_are_independent(guard: Guard, path: Path) -> None:
    put(guard, 9)
    with Guard(path, "other") as other:
        put(other, 1)


def test_the_mark_outlives_the_guard(path: Path) -> None:
    with Guard(f"sqlite:///{path}", "x") as first:
        put(first, 9)
    with Guard(str(path), "x") as second, pytest.raises(FenceRejected):
        put(second, 8)


def test_a_lease_is_as_good_as_its_fence(guard: Guard) -> None:
    with LockManager(MemoryStore()) as manager, manager.lock("x") as lease:
        with guard.write(lease) as connection:
            connection.execute("INSERT INTO history VALUES (1)")
        assert guard.mark() == lease.fence


def test_a_lost_lease_is_refused_even_if_nobody_else_has_written(guard: Guard, path: Path) -> None:
    with LockManager(MemoryStore()) as manager:
        lease = manager.lock("x", ttl=0.05, renew=False).acquire()
        assert lease is not None
        lost = threading.Event()
        lease.on_lost(lambda which: lost.set())
        assert lost.wait(2)
        with pytest.raises(LeaseLost), guard.write(lease):
            pass
        newer = manager.lock("x").acquire()
        assert newer is not None
        put(guard, newer.fence)
        with pytest.raises(FenceRejected), guard.write(lease):
            pass
        newer.release()
        with pytest.raises(NotHeld), guard.write(newer):
            pass
    assert history(path) == [newer.fence]


def test_a_connection_of_the_callers_is_used_and_left_open(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        guard = Guard(connection, "x")
        put(guard, 4)
        guard.close()
        assert connection.execute("SELECT * FROM history").fetchall() == [(4,)]
        assert not connection.in_transaction


def test_a_connection_inside_a_transaction_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO history VALUES (1)")
        with pytest.raises(InvalidValue, match="transaction already"), Guard(connection, "x").write(1):
            pass
        connection.rollback()


def test_committing_inside_the_block_is_an_error(guard: Guard) -> None:
    with pytest.raises(StoreError, match="inside its block"), guard.write(1) as connection:
        connection.execute("COMMIT")


@pytest.mark.parametrize("fence", ["1", 1.0, None, True])
def test_a_holder_is_a_lease_or_an_int(guard: Guard, fence: Any) -> None:
    with pytest.raises(InvalidType), guard.write(fence):
        pass


def test_a_negative_fence_is_refused(guard: Guard) -> None:
    with pytest.raises(InvalidValue), guard.write(-1):
        pass


@pytest.mark.parametrize("database", [None, 1, b"x", "memory://"])
def test_a_database_is_a_url_a_path_or_a_connection(database: Any) -> None:
    with pytest.raises((InvalidType, InvalidValue)):
        Guard(database, "x")


def test_a_locked_database_times_out_and_nothing_is_lost(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other, Guard(path, "x", timeout=0.05) as guard:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreTimeout):
            put(guard, 1)
        other.execute("ROLLBACK")
        put(guard, 1)
    assert history(path) == [1]


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreDamaged, match=r"bad\.db"), Guard(path, "x").write(1):
        pass
    assert path.read_bytes() == b"no database at all" * 100


def test_writers_in_any_order_leave_a_rising_history(path: Path) -> None:
    fences = list(range(1, 41))
    random.Random(1).shuffle(fences)
    refused: list[FenceRejected] = []
    with Guard(path, "x") as guard:

        def work(mine: list[int]) -> None:
            for fence in mine:
                try:
                    put(guard, fence)
                except FenceRejected as error:
                    refused.append(error)

        threads = [threading.Thread(target=work, args=(fences[start::4],)) for start in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    written = history(path)
    assert written == sorted(set(written))
    assert written[-1] == 40
    assert all(error.mark > error.fence for error in refused)
    assert len(written) + len(refused) == 40


def test_a_commit_inside_the_block_is_noticed_when_the_connection_begins_by_itself(path: Path) -> None:
    with closing(
        sqlite3.connect(path)
    ) as connection:  # begins a transaction before an INSERT, if there is none
        guard = Guard(connection, "x")
        newer = Guard(path, "x")

        def overtaken() -> None:
            with guard.write(5):
                connection.commit()
                with newer.write(6):
                    pass
                connection.execute("INSERT INTO history VALUES (5)")

        with newer, pytest.raises(StoreError, match="inside its block"):
            overtaken()
        assert not connection.in_transaction
        assert connection.execute("SELECT * FROM history").fetchall() == []


def test_rows_of_a_given_connection_may_be_of_any_kind(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = lambda cursor, row: dict(
            zip([name for name, *_ in cursor.description], row, strict=True)
        )
        guard = Guard(connection, "x")
        for fence in (5, 6):
            with guard.write(fence):
                pass
        assert guard.mark() == 6
        assert guard.path == str(path)
