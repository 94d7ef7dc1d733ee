"""A worker as the demo sees it: a process that is killed and started again under the same name."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass, field

from ringfence.cli.demo.place import Place

WRITERS = ("writer-1", "writer-2")
REBALANCER = "rebalancer"

COORDINATORS = {REBALANCER: "rebalance"} | {writer: writer for writer in WRITERS}
"""Worker -> the name under which its transactions are committed."""


class WorkerFailed(Exception):
    """A worker ended by an error of its own, or would not end."""


@dataclass(slots=True)
class Worker:
    """One of the processes that are killed.

    Attributes:
        place: the folder that it works on.
        name: says what it does, and is its own in all its lives.
        kills: how many lives ended by SIGKILL.
        in_doubt: its transactions that stood prepared right after a kill.
    """

    place: Place
    name: str
    kills: int = 0
    in_doubt: set[str] = field(default_factory=set)
    _process: subprocess.Popen[bytes] = field(init=False)
    _before: int = 0

    def start(self, seed: int) -> None:
        """Begin a life."""
        command = [
            sys.executable,
            "-m",
            "ringfence.cli.demo.workers",
            str(self.place.folder),
            self.name,
            str(seed),
        ]
        self._before = self._lines()
        with self.place.errors(self.name).open("ab") as errors:
            # A session of its own: Ctrl-C reaches the demo, which then ends its workers.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stderr=errors, start_new_session=True
            )

    def kill(self) -> None:
        """End this life without a warning."""
        self.kills += self.running()
        self.end()
        self.in_doubt |= self.place.prepared(COORDINATORS[self.name])

    def await_lines(self, count: int) -> None:
        """Wait until it has written so many lines into its journal in this life, or has come to its end."""
        while self.running() and self._lines() < self._before + count:
            time.sleep(0.005)

    def end(self) -> None:
        """Leave no process behind, whatever the reason."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin
        self._process.stdin.close()

    def finish(self, patience: float) -> None:
        """Wait for the worker to come to its end.

        Args:
            patience: seconds.

        Raises:
            WorkerFailed: it ended by an error, or not at all.
        """
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            raise WorkerFailed(f"{self.name} did not end within {patience:.0f} s") from None
        self.running()

    def running(self) -> bool:
        """Return whether it lives.

        Raises:
            WorkerFailed: it ended by an error.
        """
        code = self._process.poll()
        if code:
            words = self.place.errors(self.name).read_text(encoding="utf-8").strip().splitlines()
            raise WorkerFailed(f"{self.name} failed: {words[-1] if words else f'exit code {code}'}")
        return code is None

    def _lines(self) -> int:
        journal = self.place.journal(self.name)
        return journal.read_bytes().count(b"\n") if journal.exists() else 0
