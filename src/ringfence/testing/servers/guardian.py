"""The parent's side of the guard that lets no server outlive it; it hears of each folder before a server starts."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from pathlib import Path

from ringfence.testing.servers import tree

_lock = threading.Lock()
_guards: dict[int, subprocess.Popen[str]] = {}  # by process: a forked child has a guard of its own


def protect(folder: Path) -> None:
    """Have what works in a folder killed, and the folder removed, when this process ends, however it does."""
    _tell(f"+{folder}")


def release(folder: Path) -> None:
    """Undo `protect`: the folder has been removed."""
    _tell(f"-{folder}")


def _tell(line: str) -> None:
    with _lock:
        if os.getpid() not in _guards:
            _guards[os.getpid()] = _start()
            atexit.register(_close, os.getpid())
        pipe = _guards[os.getpid()].stdin
        assert pipe
        pipe.write(f"{line}\n")
        pipe.flush()


def _start() -> subprocess.Popen[str]:
    command = [sys.executable, "-S", "-E", str(tree.__file__), str(os.getpid())]
    # A session of its own: Ctrl-C reaches the parent alone.
    return subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True)


def _close(owner: int) -> None:
    """At the end of the interpreter: let the guard do its work and end."""
    if owner == os.getpid():
        _guards.pop(owner).communicate(timeout=2 * tree.PATIENCE)
