"""A folder on a disk, and the few things a decision log asks of it; a test puts another in its place, that fails."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ringfence.errors import StoreError
from ringfence.transactions.decisions.file.lock import FolderLock


class Disk:
    """A folder of files. What was written or renamed outlasts a power failure only once it is synced.

    Args:
        folder: the folder; `hold` makes it when it is missing.

    Attributes:
        path: the folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(folder)  # wherever the process goes later
        self._folder = Path(self.path)
        self._lock: FolderLock | None = None
        self._names: int | None = None
        self._files: dict[str, int] = {}

    def hold(self) -> None:
        """Let no other process, and no other object of this one, hold it until `close`.

        Raises:
            StoreError: another does; or the folder cannot be used.
        """
        try:
            self._folder.mkdir(exist_ok=True)
            sync_folder(self._folder.absolute().parent)
        except OSError as error:
            raise StoreError(f"{self.path!r} cannot be used: {error}") from error
        self._lock = FolderLock(self._folder)

    def check(self) -> None:
        """Refuse to write in a forked child.

        Raises:
            StoreError: this is one.
        """
        if self._lock is not None:
            self._lock.check()

    def inherited(self) -> bool:
        """Is this a forked child, and the folder the parent's?"""
        return self._lock is not None and self._lock.inherited()

    def names(self) -> list[str]:
        """The names of the files, sorted."""
        return sorted(os.listdir(self._folder))

    def read(self, name: str) -> bytes:
        """All that is in a file."""
        return (self._folder / name).read_bytes()

    def write(self, name: str, data: bytes, at: int = 0) -> None:
        """Write all of `data` at an offset; a file that is missing is made."""
        file = self._open(name)
        while data:
            written = os.pwrite(file, data, at)
            data, at = data[written:], at + written

    def sync(self, name: str) -> None:
        """Return when what is in a file is on the disk."""
        file = self._files.get(name)
        if file is not None:
            _sync(file)
            return
        file = os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _sync(file)
        finally:
            os.close(file)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, in place of one that has that name."""
        self._forget(old)
        self._forget(new)
        os.replace(self._folder / old, self._folder / new)

    def remove(self, name: str) -> None:
        """Take a file away, if it is there."""
        self._forget(name)
        (self._folder / name).unlink(missing_ok=True)

    def sync_names(self) -> None:
        """Return when the names of the files are on the disk."""
        if (
            self._names is None
        ):  # kept open, so that none of its errors is missed, and it works when no more can be
            self._names = _open_folder(self._folder)
        os.fsync(self._names)

    def close(self) -> None:
        """Close the files, and let others hold the folder. Closing twice is harmless."""
        for name in list(self._files):
            self._forget(name)
        if self._names is not None:
            os.close(self._names)
            self._names = None
        if self._lock is not None:
            self._lock.close()

    def _open(self, name: str) -> int:
        file = self._files.get(name)
        if file is None:
            file = self._files[name] = os.open(
                self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644
            )
        return file

    def _forget(self, name: str) -> None:
        file = self._files.pop(name, None)
        if file is not None:
            os.close(file)


def sync_folder(path: Path) -> None:
    """Return when the names in a folder are on the disk."""
    folder = _open_folder(path)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _open_folder(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _sync(file: int) -> None:
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(file, fcntl.F_FULLFSYNC)  # its fsync leaves the data in the drive's cache
    else:
        os.fdatasync(file)
