"""Locks that need no server: a cycle beside `threading.Lock`'s, and 32 threads that want one lock.

A cycle of the store is one grant and one release; a cycle of the manager is a lease more: an owner id, a deadline that
is watched, and a renewal to come.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from ringfence.locks.manager import LockManager
from ringfence.locks.stores.memory import MemoryStore

Note = Callable[[str, str, str, bool], None]
CYCLES = 40
"""Few enough for one turn to fit between two interruptions of a busy machine."""

THREADS = 32
SECONDS = 1.0


@pytest.fixture
def manager() -> Iterator[LockManager]:
    with LockManager(MemoryStore()) as opened:
        yield opened


def threading_cycles() -> Callable[[], None]:
    lock = threading.Lock()

    def cycle() -> None:
        for _ in range(CYCLES):
            lock.acquire()
            lock.release()

    return cycle


def test_a_cycle_of_the_store_in_memory(race: Any) -> None:
    store = MemoryStore()

    def cycle() -> None:
        for _ in range(CYCLES):
            fence = store.grant("x", "owner", 10.0)
            assert fence is not None
            store.release("x", "owner", fence)

    what = "memory store, grant and release, beside threading.Lock"
    race(what, cycle, threading_cycles(), operations=CYCLES, at_most=40, rounds=400)


def test_a_cycle_of_a_lock_in_memory(race: Any, manager: LockManager) -> None:
    lock = manager.lock("x")

    def cycle() -> None:
        for _ in range(CYCLES):
            lease = lock.acquire()
            assert lease is not None
            lease.release()

    what = "memory:// lock, acquire and release, beside threading.Lock"
    race(what, cycle, threading_cycles(), operations=CYCLES, at_most=40, rounds=400)


def contended(lock: AbstractContextManager[object]) -> list[int]:
    """Have threads take a lock in turn for a while; return how often each had it."""
    counts = [0] * THREADS
    end = time.perf_counter() + SECONDS

    def work(number: int) -> None:
        while time.perf_counter() < end:
            with lock:
                counts[number] += 1

    with lock:  # nobody begins before all are there
        workers = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for worker in workers:
            worker.start()
        time.sleep(0.2)
    for worker in workers:
        worker.join()
    return counts


@pytest.mark.parametrize("scheme", ["memory", "sqlite"])
def test_threads_that_want_one_lock(note: Note, scheme: str, tmp_path: Path) -> None:
    url = "memory://contended" if scheme == "memory" else f"sqlite:///{tmp_path}/locks.db"
    peers, own = [], []
    with LockManager.from_url(url) as manager:
        lock = manager.lock("x")
        for _ in range(3):
            peers.append(contended(threading.Lock()))
            own.append(contended(lock))
    unfair, fair = (max(max(counts) / max(min(counts), 1) for counts in runs) for runs in (peers, own))
    rate = sorted(sum(counts) / SECONDS for counts in own)[1]
    note(
        f"{scheme}, 32 threads: most / fewest turns (threading.Lock: {unfair:.3g})",
        f"{fair:.2f}",
        "<= 1.1",
        fair <= 1.1,
    )
    note(f"{scheme}, 32 threads: hand-offs a second", f"{rate:.0f}", "", True)
