"""One process at a time: a lock on the folder that the system frees when its holder is really gone."""

from __future__ import annotations

import os
from pathlib import Path

from ringfence._forks import tell_of_forks
from ringfence.errors import BackendUnavailable, StoreError

_NAME = "lock"


class FolderLock:
    """A lock on a folder; not inherited by forked children.

    A paused process keeps it, so it cannot be overtaken by one that takes it for dead.

    Raises:
        BackendUnavailable: the system has no `flock`.
        StoreError: another process has it, or this one has already; or the folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._inherited = False
        try:
            self._file = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(f"'{folder}' cannot be used: {error}") from error
        try:
            self._take()
        except BaseException:
            os.close(self._file)
            raise
        self._closed = False
        tell_of_forks(self)

    def inherited(self) -> bool:
        """Return whether this is a forked child, and the folder the parent's."""
        return self._inherited

    def forked(self) -> None:
        """Let go, or the child would keep the folder from others when the parent has ended."""
        self._inherited = True
        self.close()

    def check(self) -> None:
        """Raise `StoreError` in a forked child."""
        if self._inherited:
            raise StoreError(
                f"'{self._folder}' is open in the process that forked this one; only that one uses it"
            )

    def close(self) -> None:
        """Give the lock up. Closing twice is harmless."""
        if not self._closed:
            self._closed = True
            os.close(self._file)

    def _take(self) -> None:
        try:
            import fcntl
        except ImportError as error:
            raise BackendUnavailable(
                "a decision log needs flock, which this system has not; use sqlite:///"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._file, 20, 0).decode(errors="replace").strip() or "unknown"
            message = (
                f"'{self._folder}' is open in process {holder}; one process uses it at a time, by one object"
            )
            raise StoreError(message) from error
        os.pwrite(self._file, f"{os.getpid():<20}".encode(), 0)
