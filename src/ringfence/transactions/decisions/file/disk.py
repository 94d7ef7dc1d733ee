"""The few things a log asks of a disk, in one place so that a test can make them fail."""

from __future__ import annotations

import os
from pathlib import Path


def write(file: int, data: bytes, at: int) -> None:
    """Write all of `data` at an offset."""
    while data:
        written = os.pwrite(file, data, at)
        data, at = data[written:], at + written


def sync(file: int) -> None:
    """Return when what was written is on the disk; the file's length has not changed."""
    os.fdatasync(file)


def create(path: Path, data: bytes, size: int) -> None:
    """Make a file of `size` bytes that begins with `data`; after a crash it is there whole or not at all."""
    new = path.with_suffix(".new")
    with open(new, "wb") as file:
        file.write(data.ljust(size, b"\0"))
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Return when the names in a folder are on the disk."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
