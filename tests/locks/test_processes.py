"""Locks between real processes: killed, stopped and forked."""

import itertools
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from ringfence.errors import (
    BackendUnavailable,
    FenceRejected,
    LeaseLost,
    LockError,
    StoreDamaged,
    StoreTimeout,
)
from ringfence.locks.guards import Guard
from ringfence.locks.lease import Lease
from ringfence.locks.manager import LockManager
from ringfence.locks.stores.memory import MemoryStore
from ringfence.locks.stores.sqlite import SqliteStore
from ringfence.locks.stores.sqlite.rows import boot_id
from tests.locks.waiters import wait_until

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/locks.db"


def taken(lease: Lease | None) -> Lease:
    assert lease is not None
    return lease


def hammer(url: str, counter: str, rounds: int) -> None:
    """Increase a number in a file, which is safe under a lock only; note the fence of each write."""
    with LockManager.from_url(url) as manager, Guard(counter, "counter") as guard:
        for _ in range(rounds):
            with manager.lock("counter", ttl=30) as lease, closing(sqlite3.connect(counter)) as reader:
                [(number,)] = reader.execute("SELECT count(*) FROM history")
                with guard.write(lease) as connection:
                    connection.execute("INSERT INTO history VALUES (?, ?)", (number, lease.fence))


def test_eight_processes_hammer_one_lock(url: str, tmp_path: Path) -> None:
    counter = str(tmp_path / "counter.db")
    with closing(sqlite3.connect(counter)) as connection:
        connection.execute("CREATE TABLE history (number INTEGER, fence INTEGER)")
    processes = [SPAWN.Process(target=hammer, args=(url, counter, 6)) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    with closing(sqlite3.connect(counter)) as connection:
        history = connection.execute("SELECT number, fence FROM history ORDER BY rowid").fetchall()
    assert [number for number, _ in history] == list(
        range(48)
    )  # nobody read what another was about to change
    fences = [fence for _, fence in history]
    assert fences == sorted(set(fences))
    with LockManager.from_url(url) as manager:
        assert manager.leases() == []


def hold(url: str, ttl: float, pipe: Connection) -> None:
    """Take the lock and keep it; report the loss, and then try a guarded write."""
    manager = LockManager.from_url(url)
    lease = taken(manager.lock("x", ttl=ttl).acquire())
    pipe.send(lease.fence)
    while lease.valid:
        time.sleep(0.001)
    try:
        lease.check()
    except LeaseLost:
        pipe.send("lost")
    database = pipe.recv()
    try:
        with Guard(database, "x").write(lease.fence) as connection:
            connection.execute("INSERT INTO history VALUES ('stale')")
    except FenceRejected as error:
        pipe.send((error.fence, error.mark))


@contextmanager
def holder(url: str, ttl: float) -> Iterator[tuple[Any, Connection]]:
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=hold, args=(url, ttl, theirs))
    process.start()
    try:
        yield process, ours
    finally:
        process.kill()
        process.join()
        ours.close()
        theirs.close()


def test_the_lock_of_a_killed_holder_is_taken_over_after_its_ttl(url: str) -> None:
    with holder(url, 1.0) as (process, pipe), LockManager.from_url(url) as manager:
        first = pipe.recv()
        assert manager.lock("x").acquire(timeout=1.5) is None  # it is renewed
        os.kill(process.pid, signal.SIGKILL)
        killed = time.monotonic()
        lease = taken(manager.lock("x").acquire(timeout=30))
        assert time.monotonic() - killed < 1.0 + 5.0  # its ttl, and what a slow machine takes
        assert lease.fence > first


def test_a_stopped_holder_sees_the_loss_when_it_wakes_and_cannot_write(url: str, tmp_path: Path) -> None:
    database = tmp_path / "app.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE history (who TEXT)")
    with holder(url, 0.5) as (process, pipe), LockManager.from_url(url) as manager:
        first = pipe.recv()
        os.kill(process.pid, signal.SIGSTOP)
        lease = taken(manager.lock("x").acquire(timeout=5))
        with Guard(database, "x") as guard, guard.write(lease) as connection:
            connection.execute("INSERT INTO history VALUES ('new')")
        os.kill(process.pid, signal.SIGCONT)
        assert pipe.poll(2.0)
        assert pipe.recv() == "lost"
        pipe.send(str(database))
        assert pipe.poll(5)
        assert pipe.recv() == (first, lease.fence)
        lease.check()
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT * FROM history").fetchall() == [("new",)]


def test_fences_go_on_upward_after_a_restart_and_after_the_file_was_lost(url: str, tmp_path: Path) -> None:
    fences = []
    for lost in (False, False, True, False):
        if lost:
            for path in tmp_path.glob("locks.db*"):
                path.unlink()
        with LockManager.from_url(url) as manager, manager.lock("x") as lease:
            fences.append(lease.fence)
    assert fences == sorted(set(fences))


def test_a_clock_set_back_does_not_send_fences_back(tmp_path: Path) -> None:
    fences = []
    for wall in (2e9, 1.7e9, 1.0):
        store = SqliteStore(tmp_path / "locks.db", wall=lambda: wall)  # noqa: B023
        fence = store.grant("x", str(wall), 10.0)
        assert fence is not None
        store.release("x", str(wall), fence)
        store.close()
        fences.append(fence)
    assert fences == [fences[0], fences[0] + 1, fences[0] + 2]


def test_leases_end_with_the_boot_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(tmp_path / "locks.db", clock=lambda: 1e6)
    assert store.grant("x", "before", 3600.0) is not None
    assert store.grant("x", "same boot", 10.0) is None
    monkeypatch.setattr("ringfence.locks.stores.sqlite.rows.boot_id", lambda: "another boot")
    assert store.leases() == []
    assert store.grant("x", "after", 10.0) is not None
    store.close()


def test_leases_end_with_the_boot_where_the_system_does_not_tell_it(tmp_path: Path) -> None:
    clock = 1e6
    store = SqliteStore(tmp_path / "locks.db", clock=lambda: clock)
    assert store.grant("x", "before", 3600.0) is not None
    clock = 100.0  # it began anew
    assert store.grant("x", "after", 10.0) is not None
    store.close()


def test_the_boot_is_known_on_linux() -> None:
    assert len(boot_id()) == 36 or not sys.platform.startswith("linux")


def test_a_damaged_file_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "locks.db"
    path.write_bytes(b"this is no database" * 500)
    with (
        LockManager.from_url(f"sqlite:///{path}") as manager,
        pytest.raises(StoreDamaged, match=r"locks\.db"),
    ):
        manager.lock("x").acquire()
    assert path.read_bytes() == b"this is no database" * 500


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with LockManager.from_url(f"sqlite:///{tmp_path}/missing/locks.db") as manager:
        lock = manager.lock("x")
        with pytest.raises(BackendUnavailable, match="missing"):
            lock.acquire()


def test_a_locked_file_times_out_and_nothing_is_lost(url: str, tmp_path: Path) -> None:
    with LockManager.from_url(url) as manager, closing(sqlite3.connect(tmp_path / "locks.db")) as other:
        lease = taken(manager.lock("x", ttl=4.5).acquire())
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        with pytest.raises(StoreTimeout):
            manager.lock("y").acquire(timeout=2.0)
        assert time.monotonic() - started < 4.5  # not the 5 s that the store would wait
        other.execute("ROLLBACK")
        time.sleep(3.5)
        lease.check()  # renewals were tried again
        assert lease.release() is True


def test_a_file_locked_past_the_deadline_loses_the_lease_in_time(url: str, tmp_path: Path) -> None:
    with LockManager.from_url(url) as manager, closing(sqlite3.connect(tmp_path / "locks.db")) as other:
        lost: list[float] = []
        started = time.monotonic()
        lease = taken(manager.lock("x", ttl=0.6).acquire())
        lease.on_lost(lambda which: lost.append(time.monotonic() - started))
        other.execute("BEGIN IMMEDIATE")
        wait_until(lambda: lost)
        other.execute("ROLLBACK")
        assert len(lost) == 1
        assert lost[0] > 0.5


def in_child(work: Any) -> Any:
    """Fork, do `work` in the child, and return what it returned."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    child = os.fork()
    if child == 0:
        try:
            theirs.send(work())
        except BaseException as error:
            theirs.send(repr(error))
        os._exit(0)
    assert ours.poll(10), "the child hangs"
    answer = ours.recv()
    os.waitpid(child, 0)
    ours.close()
    theirs.close()
    return answer


@pytest.mark.parametrize("scheme", ["memory", "sqlite"])
def test_a_forked_child_neither_has_nor_gives_back_the_parents_lease(scheme: str, url: str) -> None:
    with LockManager.from_url(url if scheme == "sqlite" else "memory://forked") as manager:
        lock = manager.lock("x")

        def child() -> tuple[Any, ...]:
            errors = []
            for ask in (lease.check, lease.extend, lambda: lock.__exit__(None, None, None)):
                try:
                    ask()
                except LockError as error:
                    errors.append(type(error).__name__)
            answer = lease.valid, lease.remaining(), lease.release(), errors
            manager.close()
            return answer

        with lock as lease:
            assert in_child(child) == (False, 0.0, False, ["LeaseLost"] * 3)
            lease.check()
            lease.extend()  # the store agrees
            assert len(manager.leases()) == 1


def test_a_forked_child_asks_the_store_nothing_about_the_parents_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with LockManager.from_url("memory://asked") as manager, manager.lock("x") as lease:

        def child() -> bool:
            monkeypatch.delattr(MemoryStore, "release")
            return lease.release()

        assert in_child(child) is False


def test_a_forked_child_can_use_an_unopened_manager(url: str) -> None:
    with LockManager.from_url(url) as manager:

        def child() -> int:
            with manager.lock("x") as lease:
                time.sleep(0.05)
                return lease.fence

        first = in_child(child)
        with manager.lock("x") as lease:
            assert lease.fence > first


def test_a_forked_child_can_use_a_memory_manager_afresh() -> None:
    with LockManager.from_url("memory://afresh") as manager:

        def child() -> bool:
            inner = taken(manager.lock("x", ttl=0.2).acquire(blocking=False))
            time.sleep(0.5)
            return inner.valid and inner.fence > lease.fence

        with manager.lock("x") as lease:
            time.sleep(0.05)
            assert in_child(child) is True


def test_a_leaked_manager_neither_blocks_the_exit_nor_warns(url: str) -> None:
    program = f"""
        from ringfence.locks.manager import LockManager
        import time
        managers = [LockManager.from_url({url!r}), LockManager.from_url("memory://")]
        leases = [manager.lock("x", ttl=1).acquire() for manager in managers]
        time.sleep(1.2)
        assert all(lease.valid for lease in leases)
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")


def stand_in_line(url: str, number: int, pipe: Connection) -> None:
    """Wait for the lock when told to, and tell when it was had."""
    with LockManager.from_url(url) as manager:
        pipe.send("ready")
        pipe.recv()
        with manager.lock("x") as lease:
            pipe.send((lease.fence, number))


def test_processes_are_served_in_the_order_in_which_they_came(url: str) -> None:
    pipes = [SPAWN.Pipe() for _ in range(4)]
    processes = [
        SPAWN.Process(target=stand_in_line, args=(url, number, theirs))
        for number, (_, theirs) in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    try:
        with LockManager.from_url(url) as manager:
            first = taken(manager.lock("x").acquire())
            for number, (ours, _) in enumerate(pipes):
                assert ours.poll(30), "it did not start"
                ours.recv()
                ours.send("go")
                wait_for_places(url, number + 1)
            first.release()
            turns = [ours.recv() for ours, _ in pipes if ours.poll(30)]
        assert [number for _, number in sorted(turns)] == [0, 1, 2, 3]
    finally:
        for process in processes:
            process.kill()
            process.join(30)
        for pipe in itertools.chain(*pipes):
            pipe.close()


def wait_for_places(url: str, count: int) -> None:
    end = time.monotonic() + 30
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        while connection.execute("SELECT count(*) FROM ringfence_queue").fetchall() != [(count,)]:
            assert time.monotonic() < end, "it does not stand in line"
            time.sleep(0.01)
