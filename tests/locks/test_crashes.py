"""SIGKILL before every single SQL statement of a lock store: the file stays consistent and fences only rise."""

import itertools
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ringfence import _sqlite
from ringfence.locks.guards import Guard
from ringfence.locks.stores import Claim, Shared
from ringfence.locks.stores.sqlite import SqliteStore

LONG = 3600.0
Work = Callable[[SqliteStore], object]


class Bomb(_sqlite.Connection):
    """A connection whose process is killed before the statement numbered `fuse`, from 1."""

    fuse = 0

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.set_trace_callback(self.burn)

    @classmethod
    def burn(cls, statement: str) -> None:
        cls.fuse -= 1
        if cls.fuse == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def killed(path: Path, prepare: Work, work: Work, statement: int) -> bool:
    """Do `work` in a child that is killed before its nth statement; False if it has fewer."""
    child = os.fork()
    if child == 0:
        _sqlite.CONNECTION = Bomb
        store = SqliteStore(path)
        prepare(store)
        Bomb.fuse = statement
        work(store)
        Bomb.fuse = 0
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def newest_fence(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        [(last,)] = connection.execute("SELECT coalesce(max(last), 0) FROM ringfence_fence").fetchall()
        leases = connection.execute("SELECT fence FROM ringfence_lease").fetchall()
        assert all(fence <= last for (fence,) in leases)
        return int(last)


def grant(store: SqliteStore) -> None:
    store.grant("x", "first", LONG)


def queue(store: SqliteStore) -> None:
    store.grant("x", "second", LONG, True, 32)


def grant_and_queue(store: SqliteStore) -> None:
    grant(store)
    queue(store)


def fence_of(store: SqliteStore) -> int:
    holder = store.status("x").holder
    assert holder is not None
    return holder.fence


STEPS: dict[str, tuple[Work, Work]] = {
    "open and grant": (lambda store: None, grant),
    "grant": (lambda store: store.leases(), grant),
    "grant again": (grant, lambda store: store.grant("x", "first", 2 * LONG)),
    "renew": (grant, lambda store: store.renew([Claim("x", "first", fence_of(store), 2 * LONG)])),
    "release": (grant, lambda store: store.release("x", "first", fence_of(store))),
    "queue": (grant, queue),
    "queue again": (grant_and_queue, queue),
    "hand on": (grant_and_queue, lambda store: store.release("x", "first", fence_of(store))),
    "withdraw and hand on": (grant_and_queue, lambda store: store.withdraw("x", "first")),
    "leave the queue": (grant_and_queue, lambda store: store.withdraw("x", "second")),
    "withdraw": (grant, lambda store: store.withdraw("x", "first")),
}


READ = Shared("x", 1, 9)
WRITE = Shared("x", 9, 9)


def write_and_queue(store: SqliteStore) -> None:
    store.grant(WRITE, "writer", LONG)
    for reader in ("first", "second"):
        store.grant(READ, reader, LONG, True)


def fence_of_the_writer(store: SqliteStore) -> int:
    return store.status(WRITE).holders[0].fence


SHARED_STEPS: dict[str, Work] = {
    "release": lambda store: store.release(WRITE, "writer", fence_of_the_writer(store)),
    "withdraw": lambda store: store.withdraw(WRITE, "writer"),
}


@pytest.mark.parametrize("step", SHARED_STEPS)
def test_a_kill_before_any_statement_admits_all_readers_or_none(step: str, tmp_path: Path) -> None:
    for statement in itertools.count(1):
        path = tmp_path / f"{statement}.db"
        went_off = killed(path, write_and_queue, SHARED_STEPS[step], statement)
        with closing(SqliteStore(path)) as store:
            held = [holder.owner for holder in store.status(READ).holders]
            assert held in (["writer"], ["first", "second"])
            store.withdraw(WRITE, "writer")
            fences = [store.grant(READ, reader, LONG, True) for reader in ("first", "second", "third")]
            assert None not in fences
            assert len(set(fences)) == 3
        if not went_off:
            break
    assert statement > 3
    assert held == ["first", "second"]


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_before_any_statement_leaves_the_file_consistent(step: str, tmp_path: Path) -> None:
    prepare, work = STEPS[step]
    before = 0
    for statement in itertools.count(1):
        path = tmp_path / f"{statement}.db"
        went_off = killed(path, prepare, work, statement)
        store = SqliteStore(path)
        holder = store.status("x").holder
        assert holder is None or (holder.owner in ("first", "second") and holder.remaining > 0)
        assert holder is not None or "hand on" not in step, "the waiter was forgotten"
        after_crash = newest_fence(path)
        store.withdraw("x", "second")
        store.withdraw("x", "first")
        fence = store.grant("x", "next", LONG)
        assert fence is not None
        assert fence > max(before, after_crash)
        before = fence
        store.close()
        if not went_off:
            break
    assert statement > 3


def test_kills_again_and_again_on_one_file_send_no_fence_back(tmp_path: Path) -> None:
    path = tmp_path / "locks.db"
    newest = 0
    for statement in range(1, 30):
        killed(path, lambda store: store.leases(), three_cycles, statement)
        store = SqliteStore(path)
        store.withdraw("x", "first")
        fence = store.grant("x", "first", LONG)
        assert fence is not None
        assert fence > newest
        newest = newest_fence(path)
        store.close()


def three_cycles(store: SqliteStore) -> None:
    for _ in range(3):
        fence = store.grant("x", "first", LONG)
        assert fence is not None
        store.release("x", "first", fence)


def test_a_kill_before_any_statement_of_a_guarded_write_leaves_mark_and_write_together(
    tmp_path: Path,
) -> None:
    for statement in itertools.count(1):
        path = tmp_path / f"{statement}.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE history (fence INTEGER)")
        went_off = killed(path, lambda store: None, write_guarded, statement)
        with Guard(path, "x") as guard, closing(sqlite3.connect(path)) as connection:
            written = connection.execute("SELECT fence FROM history").fetchall()
            assert written == ([(7,)] if guard.mark() == 7 else [])
            assert guard.mark() in (0, 7)
        if not went_off:
            break
    assert statement > 5
    assert written == [(7,)]


def write_guarded(store: SqliteStore) -> None:
    with Guard(store.path, "x") as guard, guard.write(7) as connection:
        connection.execute("INSERT INTO history VALUES (7)")
