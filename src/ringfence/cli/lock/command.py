"""The command that runs under the lock, and its process group."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

from ringfence.cli.lock import signals, start

_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
"""Signals that a terminal sends to all processes in its foreground."""


class Command:
    """A command that is running.

    It has a process group of its own, so that all processes of a pipeline are reached; in the foreground of a terminal
    it stays in the runner's, so that it may read from there, and Ctrl-C and Ctrl-Z reach it.

    Args:
        words: the command and its arguments.
        environment: all of it.
    """

    def __init__(self, words: Sequence[str], environment: Mapping[str, str]) -> None:
        self._grouped = not in_foreground()
        starter = [sys.executable, "-I", "-S", start.__file__, str(os.getpid())]
        with signals.held_back():
            self._process = subprocess.Popen(
                [*starter, *words],
                env=environment,
                close_fds=False,  # it gets what the runner was given, as `3<file` of a shell; our own are not inherited
                process_group=0 if self._grouped else None,
            )

    def code(self) -> int | None:
        """Return the exit code, 128 + n for one that signal n has ended; None while it runs."""
        code = self._process.poll()
        return 128 - code if code is not None and code < 0 else code

    def forward(self, number: int) -> None:
        """Hand a signal on, unless the terminal has sent it to the command too."""
        if self._grouped or number not in _TERMINAL:
            self.send(number)

    def send(self, number: int) -> None:
        """Send a signal to the command, and to what it has started and not put into other process groups."""
        try:
            if self._grouped:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)
        except (
            ProcessLookupError,
            PermissionError,
        ):  # nobody is left, or (macOS) only those that have just ended
            pass

    def is_gone(self) -> bool:
        """Return whether the command and its process group have ended."""
        if self.code() is None or not self._grouped:
            return self.code() is not None
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


def in_foreground() -> bool:
    """Return whether this process is in the foreground of a terminal."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
