"""A process that takes locks, writes under their guards, and gives them back, until it is told to stop."""

import asyncio
import os
import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ringfence import aio
from ringfence.errors import FenceRejected, StoreError
from ringfence.locks.guards import Guard
from ringfence.locks.manager import LockManager
from ringfence.protocol import now
from tests.locks.faults.journal import Journal

NAMES = ("a", "b")
TTL = 1.0
HANDS = 2
LONGEST_WAIT = 60.0
FORK_PATIENCE = 30.0


class Hand:
    """One thread or task of a worker; with a manager for threads, what it calls blocks."""

    def __init__(self, manager: Any, folder: Path, name: str, forks: bool = False) -> None:
        self._manager = manager
        self._guards = {lock: Guard(folder / "writes.db", lock) for lock in NAMES}
        self._journal = Journal(folder / f"{name}.journal")
        self._stop = folder / "stop"
        self._chance = random.Random(name)
        self._forks = forks

    async def work(self) -> None:
        """Take turns until told to stop; what a store cannot answer is asked again."""
        while not self._stop.exists():
            try:
                await self._turn()
            except StoreError:
                await asyncio.sleep(0.02)
        for guard in self._guards.values():
            guard.close()

    async def _turn(self) -> None:
        renewed = self._chance.random() < 0.3
        lock = self._manager.lock(self._chance.choice(NAMES), ttl=TTL, renew=renewed)
        called = now()
        lease = await answer(lock.acquire(timeout=self._chance.choice((0.1, LONGEST_WAIT, LONGEST_WAIT))))
        if lease is None:
            return
        moment = now()
        left = lease.remaining()
        self._journal.note(
            "took",
            name=lease.name,
            owner=f"{lease.owner}/{lease.fence}",
            fence=lease.fence,
            called=called,
            answered=moment,
            deadline=moment + left if left else called,
            renewed=renewed,
        )
        await self._hold(lease)
        await self._give_back(lease)

    async def _hold(self, lease: Any) -> None:
        begun = now()
        if self._chance.random() < 0.3:
            await asyncio.sleep(self._chance.uniform(0.0, 0.005))
        if self._chance.random() < 0.002:
            while lease.valid and now() < begun + 2 * TTL:
                await asyncio.sleep(0.01)
        if self._forks and self._chance.random() < 0.02:
            self._journal.note("forked", innocent=child_is_innocent(lease))
        if self._chance.random() < 0.2 or now() > begun + TTL / 2:
            self._write(lease)

    def _write(self, lease: Any) -> None:
        """Write, whether the lease is valid or not: the guard knows better."""
        self._journal.note("writing", at=now(), valid=lease.valid)
        try:
            with self._guards[lease.name].write(lease.fence) as connection:
                connection.execute("INSERT INTO writes VALUES (?, ?)", (lease.name, lease.fence))
        except FenceRejected:
            self._journal.note("wrote", at=now(), admitted=False)
        except StoreError:  # another was stopped while it wrote
            return
        else:
            self._journal.note("wrote", at=now(), admitted=True)

    async def _give_back(self, lease: Any) -> None:
        self._journal.note("giving", at=now())
        try:
            held = await answer(lease.release())
        except StoreError:
            self._journal.note("unsure", at=now())
        else:
            self._journal.note("gave", at=now(), held=held)


async def answer(value: Any) -> Any:
    """Return what a manager for threads, or for tasks, answers."""
    return await value if hasattr(value, "__await__") else value


def child_is_innocent(lease: Any) -> bool:
    """Fork, and return whether the child neither holds the lease nor can give it back."""
    child = os.fork()
    if child == 0:
        os._exit(0 if not lease.valid and lease.remaining() == 0 and lease.release() is False else 1)
    until = time.monotonic() + FORK_PATIENCE
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False


def work(style: str, url: str, folder: Path, name: str) -> None:
    """Be a worker: of "threads", of "tasks", or one that "forks" while it holds."""
    if style == "tasks":
        asyncio.run(work_in_tasks(url, folder, name))
        return
    with LockManager.from_url(url) as manager:
        count = 1 if style == "forks" else HANDS
        hands = [Hand(manager, folder, f"{name}-{number}", style == "forks") for number in range(count)]
        work_in_threads(hands)


def work_in_threads(hands: Sequence[Hand]) -> None:
    threads = [threading.Thread(target=lambda hand=hand: asyncio.run(hand.work())) for hand in hands]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def work_in_tasks(url: str, folder: Path, name: str) -> None:
    async with aio.LockManager.from_url(url) as manager:
        hands = [Hand(manager, folder, f"{name}-{number}") for number in range(HANDS)]
        await asyncio.gather(*(hand.work() for hand in hands))
