"""Workers in processes of their own, which are stopped, killed and replaced while they work."""

import multiprocessing
import os
import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ringfence.protocol import now
from tests.locks.faults.journal import Note, holds, read, tail
from tests.locks.faults.worker import work

SPAWN = multiprocessing.get_context("spawn")
PATIENCE = 240.0
SETTLED = 0.05
"""Seconds after which a signal has surely stopped a process."""


@dataclass
class Worker:
    """A process, and where it keeps its journals."""

    style: str
    url: str
    name: str
    process: Any
    killed: bool = False


@dataclass
class Crew:
    """The workers on one store; a context manager that ends them.

    Args:
        folder: where they keep their journals, and what they write under guards.
        posts: the style and the URL of each worker.
    """

    folder: Path
    posts: tuple[tuple[str, str], ...]
    workers: list[Worker] = field(default_factory=list)

    def __enter__(self) -> Self:
        with closing(sqlite3.connect(self.folder / "writes.db")) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE writes (name TEXT, fence INTEGER)")
        for style, url in self.posts:
            self._start(style, url)
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.process.kill()
            worker.process.join(PATIENCE)

    def _start(self, style: str, url: str) -> None:
        name = f"worker{len(self.workers)}"
        process = SPAWN.Process(target=work, args=(style, url, self.folder, name), daemon=True)
        process.start()
        self.workers.append(Worker(style, url, name, process))

    def stop_a_holder(self) -> Worker:
        """Stop (SIGSTOP) a worker while it holds a lock, and return it."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for worker in self.alive():
                if self._holds(worker):
                    os.kill(worker.process.pid, signal.SIGSTOP)
                    time.sleep(SETTLED)
                    if self._holds(worker):
                        return worker
                    os.kill(worker.process.pid, signal.SIGCONT)
            time.sleep(0.001)
        raise AssertionError("nobody holds a lock")

    def resume(self, worker: Worker) -> None:
        """Let a stopped worker go on."""
        os.kill(worker.process.pid, signal.SIGCONT)

    def replace(self, worker: Worker) -> None:
        """Kill a worker, and start another in its place."""
        worker.killed = True
        worker.process.kill()
        worker.process.join(PATIENCE)
        self._start(worker.style, worker.url)

    def alive(self) -> list[Worker]:
        """Return the workers that were not killed."""
        return [worker for worker in self.workers if not worker.killed]

    def journals(self) -> list[list[Note]]:
        """Return what all threads and tasks noted, also those of workers that were killed."""
        return [read(path) for path in self._files("*")]

    def wait_for_turns(self) -> None:
        """Return when every thread and task of every worker has taken a lock again."""
        since = now()
        until = time.monotonic() + PATIENCE
        while waiting := [worker.name for worker in self.alive() if not self._has_turns_since(worker, since)]:
            assert time.monotonic() < until, f"forgotten: {waiting}"
            assert all(worker.process.is_alive() for worker in self.alive()), "a worker has failed"
            time.sleep(0.02)

    def wait_for_leases(self, count: int) -> None:
        """Return when the workers have taken so many, together."""
        until = time.monotonic() + PATIENCE
        while sum(path.read_bytes().count(b'"took"') for path in self._files("*")) < count:
            assert time.monotonic() < until, "the workers stand still"
            time.sleep(0.1)

    def dismiss(self) -> None:
        """Let the workers end, and see that they do."""
        (self.folder / "stop").touch()
        for worker in self.alive():
            worker.process.join(PATIENCE)
            assert worker.process.exitcode == 0, f"{worker.name} ended with {worker.process.exitcode}"

    def _files(self, worker: str) -> list[Path]:
        return sorted(self.folder.glob(f"{worker}-*.journal"))

    def _holds(self, worker: Worker) -> bool:
        return any(holds(tail(path)) for path in self._files(worker.name))

    def _has_turns_since(self, worker: Worker, since: float) -> bool:
        journals = [tail(path) for path in self._files(worker.name)]
        last = [
            max((note["answered"] for note in notes if note["step"] == "took"), default=0.0)
            for notes in journals
        ]
        return bool(last) and min(last) > since
