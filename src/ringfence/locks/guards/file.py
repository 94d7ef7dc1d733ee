"""A guard of a file: compares a fence, and puts a new file in the place of the old one.

The highest fence stands in a file beside it, which is also what writers lock (flock). It is raised, and has reached the
disk, before anything is written under it, so at every moment the fence of what the file holds is at most the mark.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ringfence.errors import (
    BackendUnavailable,
    InvalidType,
    OutcomeUnknown,
    StoreDamaged,
    StoreError,
    StoreTimeout,
)
from ringfence.locks.guards.base import BaseGuard

_POLL = 0.005


class FileGuard(BaseGuard[BinaryIO]):
    """Lets the holder of the newest fence replace a file, and nobody older.

    ::

        guard = FileGuard("report.pdf")
        with manager.lock("report") as lease, guard.write(lease) as file:
            file.write(document)

    The block writes into a new file, which then takes the place of the old one in one step (rename), once it has
    reached the disk: a reader, and whoever comes after a crash, finds the old file or the new one. A holder that is
    stopped inside the block holds up nobody. From the beginning of the block on older holders are refused, so a holder
    may read the file first and write what depends on it; should the block fail, they stay refused.

    The mark stands in `<name>.fence` beside the file; keep the two together. Both are to be on a local file system, and
    the folder writable. A link is followed.

    Args:
        path: of the file; its folder exists.
        timeout: seconds to wait while another one compares and renames.

    Attributes:
        resource: the path.
        path: where the file is.
        sidecar: where the mark is.

    Raises:
        InvalidType: the path is none.
        InvalidValue: its name is too long.
    """

    def __init__(self, path: str | os.PathLike[str], *, timeout: float = 5.0) -> None:
        if not isinstance(path, str | os.PathLike):
            raise InvalidType(f"a guarded file is given by its path, not {path!r}")
        self.path = Path(os.path.realpath(path))
        self.sidecar = self.path.with_name(f"{self.path.name}.fence")
        super().__init__(self.path.name)
        self._timeout = timeout

    def mark(self) -> int:
        """Return the highest fence that has begun to write; 0 if none has."""
        with self._translating():
            try:
                return self._parsed(self.sidecar.read_bytes())
            except FileNotFoundError:
                return 0

    @contextmanager
    def _writing(self, fence: int, check: Callable[[], None]) -> Iterator[BinaryIO]:
        self._admit(fence, self.mark())
        check()
        with self._translating():
            self._raise_mark(fence)
        with self._new_file(fence) as file:
            yield file
            with self._translating():
                _sync(file)
            check()
            self._replace(file, fence)

    def _raise_mark(self, fence: int) -> None:
        with self._locked() as sidecar:
            mark = self._parsed(sidecar.read())
            self._admit(fence, mark)
            if fence != mark:
                self._remove_leftovers(fence)
                with self._new_file(fence) as file:
                    file.write(b"%d\n" % fence)
                    _sync(file)
                    os.rename(file.name, self.sidecar)
                    self._sync_folder()

    def _replace(self, file: BinaryIO, fence: int) -> None:
        with self._translating(), self._locked() as sidecar:
            self._admit(fence, self._parsed(sidecar.read()))
            with suppress(FileNotFoundError):
                _make_like(file, self.path.stat())
            os.rename(file.name, self.path)
            try:
                self._sync_folder()
            except OSError as error:
                raise OutcomeUnknown(
                    f"{str(self.path)!r} is written, but may not outlive a crash ({error}); write it again"
                ) from error

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        """Lock the sidecar: the file that has its name by then, for raising the mark replaces it."""
        deadline = time.monotonic() + self._timeout
        while True:
            with open(os.open(self.sidecar, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "rb") as file:
                if _try_lock(file) and self._is_current(file):
                    yield file
                    return
            if time.monotonic() >= deadline:
                raise StoreTimeout(f"{str(self.sidecar)!r} stayed locked by another writer; try again")
            time.sleep(_POLL)

    def _is_current(self, sidecar: BinaryIO) -> bool:
        try:
            return os.path.samestat(os.fstat(sidecar.fileno()), self.sidecar.stat())
        except FileNotFoundError:
            return False

    @contextmanager
    def _new_file(self, fence: int) -> Iterator[BinaryIO]:
        """Open a new file beside the guarded one; it is removed unless it gets another name meanwhile."""
        path = self.path.with_name(f".{self.path.name}.{fence}.{secrets.token_hex(4)}.new")
        with self._translating():
            file = path.open("xb")
        try:
            with file:
                yield file
        finally:
            path.unlink(missing_ok=True)

    def _remove_leftovers(self, fence: int) -> None:
        """Remove the new files of older holders, who were killed or will be refused."""
        pattern = re.compile(rf"\.{re.escape(self.path.name)}\.(\d+)\.[0-9a-f]{{8}}\.new")
        for name in os.listdir(self.path.parent):
            match = pattern.fullmatch(name)
            if match and int(match[1]) < fence:
                self.path.with_name(name).unlink(missing_ok=True)

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _parsed(self, mark: bytes) -> int:
        if mark and not mark.strip().isdigit():
            raise StoreDamaged(f"{str(self.sidecar)!r} holds no fence; restore it from a copy")
        return int(mark or b"0")

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise BackendUnavailable(
                f"cannot open {str(self.path)!r} ({error}); create the folder {str(self.path.parent)!r} first"
            ) from error
        except OSError as error:
            raise StoreError(
                f"{str(self.path)!r} cannot be written or read ({error}); nothing was changed"
            ) from error


def _try_lock(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync(file: BinaryIO) -> None:
    if file.closed:
        raise StoreError("a guarded file was closed inside its block; leave that to the block")
    file.flush()
    os.fsync(file.fileno())


def _make_like(file: BinaryIO, old: os.stat_result) -> None:
    """Give a new file the owner, as far as that is allowed, and the permissions of the old one."""
    with suppress(PermissionError):
        os.fchown(file.fileno(), old.st_uid, old.st_gid)
    os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
