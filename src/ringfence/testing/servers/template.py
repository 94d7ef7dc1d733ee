"""A data folder as it is right after its making: made once in a process, and copied for each server."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ringfence.errors import BackendUnavailable
from ringfence.testing.servers.folder import make_folder

PATIENCE = 120.0
"""Seconds for making one; a slow machine needs some."""

_made: dict[tuple[int, str], Path] = {}  # by process: a forked child's may outlive its parent's


def copy(kind: str, data: Path, make: Callable[[Path], None]) -> None:
    """Fill a data folder; `make` fills the first one."""
    key = (os.getpid(), kind)
    if key not in _made:
        folder = make_folder() / "data"
        folder.mkdir()
        make(folder)
        _made[key] = folder
    shutil.copytree(_made[key], data, dirs_exist_ok=True)


def run(command: Sequence[str | Path], environment: Mapping[str, str], text: str = "") -> None:
    """Run a command that fills a data folder.

    Args:
        command: the command.
        environment: variables it needs besides those of this process.
        text: what it reads.

    Raises:
        BackendUnavailable: it failed; shows what it said.
    """
    done = subprocess.run(
        [str(word) for word in command],
        env={**os.environ, **environment},
        cwd="/",
        input=text,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise BackendUnavailable(f"the data folder could not be made:\n{tail}")
