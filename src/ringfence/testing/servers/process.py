"""One process of a server and all it starts: launched in a folder of its own, stopped, killed, paused."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ringfence.errors import BackendUnavailable
from ringfence.testing.servers import tree

READY = 60.0
"""Seconds that a server may take to answer; a slow machine needs several."""

TAIL = 15
"""Lines of the log that an error shows."""


class AddressInUse(BackendUnavailable):
    """Another process was faster to listen on the port."""


class ServerProcess:
    """A command that runs in a folder until it is told to end; what it prints goes to `log`.

    Attributes:
        folder: where it works.
        log: what it and its lives before have printed.
    """

    def __init__(
        self, name: str, folder: Path, command: Sequence[str | Path], environment: Mapping[str, str]
    ) -> None:
        self.folder = folder
        self.log = folder / "log"
        self._name = name
        with self.log.open("ab") as output:
            self._log_before = output.tell()
            self._popen = subprocess.Popen(
                [str(part) for part in command],
                cwd=folder,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the tests, which then end their servers
            )

    def await_ready(self, answers: Callable[[], bool]) -> None:
        """Wait until the server answers.

        Raises:
            AddressInUse: it ended because its port was taken.
            BackendUnavailable: it ended, or did not answer in time; shows the end of its log.
        """
        deadline = time.monotonic() + READY
        while not (answers() and self.running()):
            if not self.running():
                raise self._failure(f"ended at its start with exit code {self._popen.returncode}")
            if time.monotonic() > deadline:
                self.kill()
                raise self._failure(f"did not answer within {READY:.0f} s")
            time.sleep(0.01)

    def running(self) -> bool:
        """Return whether the process lives; a paused one does."""
        return self._popen.poll() is None

    def stop(self, polite: signal.Signals, patience: float = 10.0) -> None:
        """Ask the server to end, and kill it when it has not after so many seconds."""
        if self.running():
            self.resume()
            self._popen.send_signal(polite)
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(patience)
        self.kill()

    def kill(self) -> None:
        """End all its processes at once with SIGKILL."""
        self._popen.kill()
        tree.kill(self.folder)
        self._popen.wait(tree.PATIENCE)

    def pause(self) -> None:
        """Stop all its processes with SIGSTOP: connections are still accepted, and nothing is answered."""
        tree.pause(self.folder)

    def resume(self) -> None:
        """Let them go on."""
        tree.resume(self.folder)

    def _failure(self, what: str) -> BackendUnavailable:
        with self.log.open("rb") as log:
            log.seek(self._log_before)
            words = log.read().decode(errors="replace")
        tail = "\n".join(words.splitlines()[-TAIL:])
        # PostgreSQL says it of the shared memory of a killed predecessor, too: a moment later it is free.
        in_use = any(sign in words.lower() for sign in ("in use", "bindexception"))
        kind = AddressInUse if in_use else BackendUnavailable
        return kind(f"{self._name} {what}; the end of its log:\n{tail or '(nothing)'}")
