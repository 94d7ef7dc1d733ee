"""Histories of thousands of operations, by threads and by processes, in an order in which they can have happened."""

import multiprocessing
import random
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ringfence._core.leases import FenceMarks
from ringfence.locks.lease import Lease
from ringfence.locks.manager import LockManager
from ringfence.locks.stores import LockStore
from ringfence.locks.stores.memory import MemoryStore
from ringfence.locks.stores.sqlite import SqliteStore
from ringfence.protocol import now
from ringfence.testing.linearizability import Operation, fenced_mutex, first_violation, owner_aware_mutex
from tests.locks.mutated import swapped, without_a_release

SPAWN = multiprocessing.get_context("spawn")


def use(lease: Lease, called: float, chance: random.Random) -> list[Operation]:
    """Hold a lease for a moment and release it, or let it end by itself; return what happened."""
    owner = f"{lease.owner}/{lease.fence}"
    done = [Operation("acquire", owner, lease.fence, called, now())]
    end = Operation("expire", owner, lease.fence, now() + lease.remaining())
    if chance.random() < 0.02:
        while lease.valid:
            time.sleep(0.001)
        return [*done, end]
    asked = now()
    held = lease.release()
    return [*done, Operation("release", owner, lease.fence, asked, now(), held), *([] if held else [end])]


def work(manager: LockManager, rounds: int, seed: int) -> list[Operation]:
    chance = random.Random(seed)
    lock = manager.lock("x", ttl=0.25, renew=False)
    history: list[Operation] = []
    for _ in range(rounds):
        called = now()
        lease = lock.acquire(timeout=chance.choice([None, 0.05]))
        if lease is not None:
            history += use(lease, called, chance)
    return history


def work_in_threads(store: LockStore, threads: int, rounds: int, seed: int) -> list[Operation]:
    history: list[Operation] = []
    with LockManager(store) as manager:
        workers = [
            threading.Thread(target=lambda n=number: history.extend(work(manager, rounds, seed + n)))
            for number in range(threads)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(120)
            assert not worker.is_alive()
    return history


def check(history: list[Operation], at_least: int) -> None:
    assert len(history) >= at_least
    assert any(operation.action == "expire" for operation in history)
    assert first_violation(history, fenced_mutex) is None
    assert first_violation(history, owner_aware_mutex) is None
    assert first_violation(swapped(history), fenced_mutex) is not None
    assert first_violation(without_a_release(history), fenced_mutex) is not None


def test_a_history_of_threads_in_memory() -> None:
    check(work_in_threads(MemoryStore(), 8, 250, 1), 2000)


def tell(path: Path, seed: int, answers: Any) -> None:
    answers.put(work_in_threads(SqliteStore(path, timeout=30.0), 2, 120, seed))


def test_a_history_of_processes_on_a_file(tmp_path: Path) -> None:
    path = tmp_path / "locks.db"
    answers = SPAWN.Queue()
    processes = [SPAWN.Process(target=tell, args=(path, 100 * number, answers)) for number in range(4)]
    for process in processes:
        process.start()
    try:
        history = [operation for _ in processes for operation in answers.get(timeout=150)]
    finally:
        for process in processes:
            process.kill()
            process.join(30)
    check(history, 1000)


def test_guarded_writes_of_paused_holders_never_go_backwards() -> None:
    """Each holder writes twice, the second time maybe after its lease has ended."""
    marks = FenceMarks()
    history: list[Operation] = []
    with LockManager.from_url("memory://guarded-history") as manager:

        def write(fence: int) -> None:
            called = now()
            admitted = marks.admit("x", fence)
            history.append(Operation("write", "", fence, called, now(), admitted))

        def hold(seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(60):
                lease = manager.lock("x", ttl=0.02, renew=False).acquire()
                assert lease is not None
                write(lease.fence)
                time.sleep(chance.choice([0.0, 0.0, 0.03]))
                write(lease.fence)
                lease.release()

        workers = [threading.Thread(target=partial(hold, seed)) for seed in range(6)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
            assert not worker.is_alive()
    assert {operation.answer for operation in history} == {True, False}
    assert first_violation(history, fenced_mutex) is None
    lied = [operation._replace(answer=True) for operation in history]
    assert first_violation(lied, fenced_mutex) is not None


@pytest.mark.parametrize("seed", range(3))
def test_another_history_of_threads_in_memory(seed: int) -> None:
    check(work_in_threads(MemoryStore(), 3, 120, 1000 * seed), 300)
