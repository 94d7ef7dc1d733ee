"""Histories of readers, writers and permits, by threads and by processes, that can have happened so."""

import multiprocessing
import random
import threading
from functools import partial
from pathlib import Path
from typing import Any

from ringfence.locks.lock import Lock
from ringfence.locks.manager import LockManager
from ringfence.locks.stores import LockStore, Shared
from ringfence.locks.stores.memory import MemoryStore
from ringfence.locks.stores.sqlite import SqliteStore
from ringfence.protocol import now
from ringfence.testing.linearizability import Operation, first_violation, shared_lock
from tests.locks.test_histories import use

SPAWN = multiprocessing.get_context("spawn")
OF = 3


def work(manager: LockManager, rounds: int, seed: int) -> list[Operation]:
    """Take one, two or all of the shares of a lock."""
    chance = random.Random(seed)
    history: list[Operation] = []
    for _ in range(rounds):
        name = Shared("x", chance.choice([1, 1, 1, 2, OF]), OF)
        called = now()
        lease = Lock(manager._session, name, 0.25, False).acquire(timeout=chance.choice([None, 0.05]))
        if lease is not None:
            history += [each._replace(shares=name.asked) for each in use(lease, called, chance)]
    return history


def work_in_threads(store: LockStore, threads: int, rounds: int, seed: int) -> list[Operation]:
    history: list[Operation] = []
    with LockManager(store) as manager:

        def run(number: int) -> None:
            history.extend(work(manager, rounds, seed + number))

        workers = [threading.Thread(target=partial(run, number)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(120)
            assert not worker.is_alive()
    return history


def check(history: list[Operation], at_least: int) -> None:
    assert len(history) >= at_least
    assert any(operation.action == "expire" for operation in history)
    assert first_violation(history, shared_lock(OF)) is None
    assert first_violation(history, shared_lock(OF - 1)) is not None
    assert first_violation(without_a_release(history), shared_lock(OF)) is not None
    assert first_violation(swapped(history), shared_lock(OF)) is not None


def without_a_release(history: list[Operation]) -> list[Operation]:
    """The history, without one release of all shares."""
    releases = [each for each in history if each.action == "release" and each.answer and each.shares == OF]
    return [each for each in history if each is not releases[len(releases) // 2]]


def swapped(history: list[Operation]) -> list[Operation]:
    """The history, with the fences of two holders exchanged."""
    grants = sorted((each for each in history if each.action == "acquire"), key=lambda each: each.fence)
    first, last = grants[len(grants) // 3], grants[-1]
    exchanged = {first.fence: last.fence, last.fence: first.fence}
    return [each._replace(fence=exchanged.get(each.fence, each.fence)) for each in history]


def test_a_history_of_threads_in_memory() -> None:
    check(work_in_threads(MemoryStore(), 6, 150, 1), 800)


def tell(path: Path, seed: int, answers: Any) -> None:
    answers.put(work_in_threads(SqliteStore(path, timeout=30.0), 2, 60, seed))


def test_a_history_of_processes_on_a_file(tmp_path: Path) -> None:
    path = tmp_path / "locks.db"
    answers = SPAWN.Queue()
    processes = [SPAWN.Process(target=tell, args=(path, 100 * number, answers)) for number in range(3)]
    for process in processes:
        process.start()
    try:
        history = [operation for _ in processes for operation in answers.get(timeout=150)]
    finally:
        for process in processes:
            process.kill()
            process.join(30)
    check(history, 300)
