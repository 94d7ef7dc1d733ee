"""All processes that work in one folder: listed, stopped, killed; and ended when the one who asked for them is gone.

A server is started in a folder of its own, and so are the processes it starts in turn. That finds them where process
groups do not (each backend of PostgreSQL has its own) and after their parent died. Needs Linux's `/proc`.

Run as a script, `tree.py PARENT`, it is the guard of a process: it outlives it by a moment, even when that was killed.
It imports nothing but the standard library, so that it starts in no time.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

PATIENCE = 20.0
"""Seconds within which the kernel must have stopped or ended every process."""

GLANCE = 0.5
"""Seconds between two looks of the guard at its parent."""


def processes(folder: Path) -> dict[int, str]:
    """Return the state letter of each process that works in a folder or below, by process id; zombies are gone."""
    inside = f"{folder}/"
    found = {}
    for entry in os.listdir("/proc"):  # the fastest way through hundreds of processes
        with suppress(OSError):
            if entry.isdecimal() and f"{os.readlink(f'/proc/{entry}/cwd')}/".startswith(inside):
                found[int(entry)] = state(int(entry))
    found.pop(os.getpid(), None)
    return found


def state(process: int) -> str:
    """Return the letter for what a process does now: `T` when it is stopped."""
    return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


def pause(folder: Path) -> None:
    """Stop every process of a folder (SIGSTOP), and return when none of them runs any more."""

    def stopped() -> bool:
        running = [process for process, letter in processes(folder).items() if letter != "T"]
        send(running, signal.SIGSTOP)
        return not running

    until(stopped, f"the processes in {folder} cannot be stopped")


def resume(folder: Path) -> None:
    """Let every process of a folder go on (SIGCONT)."""
    send(processes(folder), signal.SIGCONT)


def kill(folder: Path) -> None:
    """End every process of a folder without a warning (SIGKILL), and return when none is left."""

    def ended() -> bool:
        alive = processes(folder)
        send(alive, signal.SIGKILL)
        return not alive

    until(ended, f"the processes in {folder} cannot be killed")


def send(those: dict[int, str] | list[int], number: signal.Signals) -> None:
    """Send a signal to processes, of which some may have ended meanwhile."""
    for process in those:
        with suppress(ProcessLookupError):
            os.kill(process, number)


def until(done: Callable[[], bool], failure: str, patience: float = PATIENCE) -> None:
    """Ask again and again until something holds.

    Raises:
        TimeoutError: it did not within `patience` seconds; says `failure`.
    """
    deadline = time.monotonic() + patience
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(failure)
        time.sleep(0.005)


def guard(parent: int) -> None:
    """Wait for the end of a process, then kill what works in its folders and remove them.

    The parent writes a line for each folder: `+` and its path when it is made, `-` and its path when it is removed.
    """
    folders: set[str] = set()
    for line in lines_of(parent):
        folders.add(line[1:]) if line[0] == "+" else folders.discard(line[1:])
    for folder in folders:
        with suppress(TimeoutError):
            kill(Path(folder))
        shutil.rmtree(folder, ignore_errors=True)


def lines_of(parent: int) -> Iterator[str]:
    """Yield the lines that the parent writes to the standard input, to the last one before its end."""
    rest = ""
    while True:
        # Looked at before the pipe: what a dead parent wrote is read yet. The pipe alone does not tell its end, as a
        # forked child may hold it open for longer.
        lives = os.getppid() == parent
        if select.select([0], [], [], GLANCE if lives else 0)[0]:
            text = os.read(0, 65536).decode()
            if not text:
                return
            *lines, rest = (rest + text).split("\n")
            yield from lines
        elif not lives:
            return


if __name__ == "__main__":
    guard(int(sys.argv[1]))
