"""The input of the demo: every file below a folder."""

from __future__ import annotations

import os
import stat
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ringfence.errors import InvalidValue

LEFT_OUT = ("site-packages", "dist-packages")  # installed by the user, no part of the standard library


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that cannot be taken.

    Attributes:
        path: where it is, relative to the source.
        reason: what is wrong with it.
    """

    path: str
    reason: str


def standard_library() -> Path:
    """Return the folder of the running interpreter's standard library."""
    return Path(sysconfig.get_path("stdlib"))


def find(folder: Path) -> list[str]:
    """Return the paths of everything below a folder that is not a folder itself, relative to it, sorted.

    Raises:
        InvalidValue: there is no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise InvalidValue(f"{str(folder)!r} is not a folder; give --source a folder with files in it")
    found = sorted(_walk(folder))
    if not found:
        raise InvalidValue(f"there is no file below {str(folder)!r}; give --source a folder with files in it")
    return found


def read(folder: Path, path: str) -> bytes | Skipped:
    """Return the bytes of one file, or why it cannot be taken."""
    try:
        path.encode()
        if not stat.S_ISREG(os.stat(folder / path).st_mode):  # opening a pipe would wait for its writer
            return Skipped(path, "not a regular file")
        return (folder / path).read_bytes()
    except UnicodeEncodeError:
        return Skipped(os.fsencode(path).decode("utf-8", "backslashreplace"), "the name is not UTF-8")
    except OSError as error:
        return Skipped(path, error.strerror or str(error))


def _walk(folder: Path) -> Iterator[str]:
    for where, folders, files in os.walk(folder):
        links = [name for name in folders if Path(where, name).is_symlink()]  # named, and not gone into
        folders[:] = [name for name in folders if name not in LEFT_OUT]
        yield from (Path(where, name).relative_to(folder).as_posix() for name in files + links)
