"""Processes that move money, and somebody who kills whatever takes part in it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from .places import ACCOUNTS, PLACES, Places

WORKER = Path(__file__).with_name("worker.py")
PATIENCE = 60.0
_A_WHILE = 3.0
"""Seconds without any work after which harm is done all the same."""


class Workers:
    """Processes with names; a context manager that kills them."""

    def __init__(self, kind: str, places: Places, folder: Path, seed: int, count: int) -> None:
        self.names = [f"bank{number}" for number in range(count)]
        self._kind = kind
        self._places = places
        self._folder = folder
        self._seed = seed
        self._seeds = random.Random(seed)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start a process under a name."""
        job = {
            "kind": self._kind,
            "name": name,
            "urls": self._places.urls(proxied=True),
            "decisions": self._places.url(decisions_in(self._seed), proxied=True),
            "accounts": ACCOUNTS,
            "log": str(self._folder / f"{name}.log"),
            "seed": self._seeds.getrandbits(32),
        }
        with (self._folder / f"{name}.errors").open("ab") as errors:
            self._running[name] = subprocess.Popen(
                [sys.executable, str(WORKER), json.dumps(job)], stdin=subprocess.PIPE, stderr=errors
            )

    def kill(self, name: str) -> None:
        """End a process with SIGKILL."""
        process = self._running.pop(name, None)
        if process is not None:
            process.kill()
            process.wait(PATIENCE)
            assert process.stdin is not None
            process.stdin.close()

    def signal(self, name: str, number: int) -> None:
        """Send a process a signal."""
        self._running[name].send_signal(number)

    def acknowledged(self) -> set[str]:
        """The labels of all transfers that a process was told were done."""
        logs = (self._folder / f"{name}.log" for name in self.names)
        return {label for log in logs if log.exists() for label in log.read_text().split("\n") if label}

    def errors(self) -> str:
        """The last of what the processes complained about."""
        files = (self._folder / f"{name}.errors" for name in self.names)
        return "\n".join("\n".join(file.read_text().splitlines()[-5:]) for file in files if file.exists())

    def __enter__(self) -> Self:
        for name in self.names:
            self.start(name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in self.names:
            self.kill(name)


class Nemesis:
    """Does harm at random.

    Args:
        places: the bank.
        workers: its processes.
        seed: of what is done, and when.
        take_over: recovers in the name of a process that is stopped, and goes on afterwards.
    """

    def __init__(
        self, places: Places, workers: Workers, seed: int, take_over: Callable[[str], object] = lambda _: None
    ) -> None:
        self._places = places
        self._workers = workers
        self._draw = random.Random(seed)
        self._take_over = take_over
        self.done: list[str] = []

    def work(self, seconds: float) -> None:
        """Do harm for so long, each time once some work was done again, or none for a while."""
        harms = [
            self._kill_a_process,
            self._kill_a_process,
            self._cut,
            self._cut,
            self._stop,
            self._kill_a_server,
        ]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.sees_work(1, _A_WHILE)
            time.sleep(self._draw.uniform(0.1, 0.6))
            self._draw.choice(harms)()

    def sees_work(self, count: int, seconds: float) -> bool:
        """Wait until so many transfers more were done; whether they were."""
        until = time.monotonic() + seconds
        wanted = len(self._workers.acknowledged()) + count
        while len(self._workers.acknowledged()) < wanted:
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True

    def _kill_a_process(self) -> None:
        name = self._draw.choice(self._workers.names)
        self.done.append(f"killed {name}")
        self._workers.kill(name)
        self._workers.start(name)

    def _cut(self) -> None:
        kind = self._draw.choice(sorted(self._places.proxies))
        self.done.append(f"cut the connections to {kind}")
        self._places.proxies[kind].reset()

    def _stop(self) -> None:
        name = self._draw.choice(self._workers.names)
        self.done.append(f"stopped {name} for a while")
        self._workers.signal(name, signal.SIGSTOP)
        try:
            time.sleep(self._draw.uniform(0.1, 1.0))
            self._take_over(name)
        finally:
            self._workers.signal(name, signal.SIGCONT)

    def _kill_a_server(self) -> None:
        kind = self._draw.choice(sorted(self._places.servers))
        self.done.append(f"killed {kind}")
        self._places.servers[kind].kill()
        time.sleep(self._draw.uniform(0.0, 0.3))
        self._places.servers[kind].start()


def decisions_in(seed: int) -> str:
    """In which database the decisions are kept, some of them in the same commit as the money."""
    return sorted(PLACES)[seed % len(PLACES)]


def seed() -> int:
    """A new one each time, or that of `RINGFENCE_SEED`."""
    return int(os.environ.get("RINGFENCE_SEED", random.randrange(1 << 32)))
