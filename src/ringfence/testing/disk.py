"""Simulated disks: one whose fsync fails, under a decision store; one that loses what was not synced, under a log.

A failed fsync drops what was to be written, and later ones succeed without writing it: the system's cache says one
thing, the disk another. (PostgreSQL's "fsyncgate", 2018; Rebello et al., "Can applications recover from fsync
failures?", USENIX ATC 2020.)
"""

from __future__ import annotations

import errno
import itertools
import random
from collections.abc import Callable, Mapping, Sequence

from ringfence.errors import OutcomeUnknown
from ringfence.transactions.decisions.file.disk import Disk
from ringfence.transactions.decisions.memory import MemoryDecisions
from ringfence.transactions.decisions.poison import Poison
from ringfence.transactions.outcome import Outcome


class DiskDecisions(MemoryDecisions):
    """A `DecisionStore` that loses, at a restart, what was never synced.

    Args:
        fails: asked at every fsync whether it fails.
        survives: asked at a restart whether the row whose fsync failed got to the disk all the same.
    """

    def __init__(self, fails: Callable[[], bool], survives: Callable[[], bool]) -> None:
        super().__init__()
        self._fails = fails
        self._survives = survives
        self._poison = Poison()
        self._unsynced: dict[str, Outcome] = {}
        self._failed: tuple[str, Outcome] | None = None

    def put_if_absent(self, gid: str, outcome: Outcome) -> Outcome:
        """Record `outcome` unless one stands, and sync it.

        Raises:
            OutcomeUnknown: the fsync failed.
            StoreError: nothing was recorded; one failed before.
        """
        self._poison.check()
        before = self.get(gid)
        standing = super().put_if_absent(gid, outcome)
        if before is None:
            self._sync(gid, standing)
        return standing

    def restart(self) -> None:
        """Read the disk, as a new process does."""
        for gid in self._unsynced:
            del self._outcomes[gid]
        if self._failed is not None and self._survives():
            gid, outcome = self._failed
            self._outcomes.setdefault(gid, outcome)
        self._unsynced.clear()
        self._failed = None
        self._poison = Poison()

    def _sync(self, gid: str, outcome: Outcome) -> None:
        if self._failed is not None:
            self._unsynced[gid] = outcome
        elif self._fails():
            self._failed = gid, outcome
            del self._outcomes[gid]
            error = OutcomeUnknown(f"fsync failed under the decision of {gid}")
            self._poison.after(error)
            raise error


class Crashed(BaseException):
    """The process was killed, or the power failed, at this step."""


class SimulatedDisk(Disk):
    """A folder in memory. What is not synced a power failure may take back, sector by sector and name by name.

    The process may die at any step, a step being a write, a sync, a rename, a removal or a sync of names.

    Args:
        rng: decides what reaches the disk.
        faults: what goes wrong, by number of the step, from 1 on: it dies `"before"` or `"after"` it, or after `"half"`
            of a write; half of it is written and then the disk is `"full"`, or that is found when the step was done; a
            sync `"fails"`.

    Attributes:
        steps: what was done since the last start, as `"write 00000001.log"`.
    """

    def __init__(self, rng: random.Random, faults: Mapping[int, str] | None = None) -> None:
        super().__init__("")
        self.faults = dict(faults or {})
        self._rng = rng
        self._cached: dict[str, _File] = {}
        self._kept: dict[str, _File] = {}
        self._renamed: list[list[tuple[str, _File | None]]] = []
        self.kill()

    def kill(self) -> None:
        """End the process; what it has written is there for the next one."""
        self.path = f"simulated disk, start {next(_starts)}"
        self.steps: list[str] = []

    def cut_power(self) -> None:
        """End everything; of what was not synced only some is there then."""
        for change in self._renamed:
            if self._rng.random() < 0.5:
                self._apply(change, self._kept)
        self._renamed.clear()
        self._cached = dict(self._kept)
        for file in self._cached.values():
            file.cut_power(self._rng)
        self.kill()

    def hold(self) -> None:
        """Nobody else is here."""

    def names(self) -> list[str]:
        """The names of the files."""
        return sorted(self._cached)

    def read(self, name: str) -> bytes:
        """All that is in a file."""
        return bytes(self._file(name).cached)

    def write(self, name: str, data: bytes, at: int = 0) -> None:
        """Write at an offset."""
        fault = self._step("write", name)
        if name not in self._cached:
            self._rename([(name, _File())])
        if fault in ("half", "full"):
            data = data[: len(data) // 2]
        self._cached[name].write(data, at)
        self._end(fault)

    def sync(self, name: str) -> None:
        """Have a file on the disk."""
        fault = self._step("sync", name)
        self._file(name).sync(lost=fault == "fails")
        self._end(fault)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name."""
        fault = self._step("rename", new)
        self._rename([(new, self._file(old)), (old, None)])
        self._end(fault)

    def remove(self, name: str) -> None:
        """Take a file away."""
        if name in self._cached:
            fault = self._step("remove", name)
            self._rename([(name, None)])
            self._end(fault)

    def sync_names(self) -> None:
        """Have the names on the disk."""
        fault = self._step("sync", "names")
        for change in self._renamed if fault != "fails" else ():
            self._apply(change, self._kept)
        self._renamed.clear()
        self._end(fault)

    def close(self) -> None:
        """Nothing is open."""

    def _file(self, name: str) -> _File:
        if name not in self._cached:
            raise FileNotFoundError(errno.ENOENT, "No such file", name)
        return self._cached[name]

    def _step(self, operation: str, name: str) -> str | None:
        self.steps.append(f"{operation} {name}")
        fault = self.faults.get(len(self.steps))
        if fault == "before":
            raise Crashed
        return fault

    def _end(self, fault: str | None) -> None:
        if fault == "fails":
            raise OSError(errno.EIO, "Input/output error")
        if fault == "full":
            raise OSError(errno.ENOSPC, "No space left on device")
        if fault is not None:
            raise Crashed

    def _rename(self, change: list[tuple[str, _File | None]]) -> None:
        self._apply(change, self._cached)
        self._renamed.append(change)

    @staticmethod
    def _apply(change: Sequence[tuple[str, _File | None]], names: dict[str, _File]) -> None:
        for name, file in change:
            if file is None:
                names.pop(name, None)
            else:
                names[name] = file


class _File:
    """A file as the system's cache has it, and what of it is on the disk."""

    def __init__(self) -> None:
        self.cached = bytearray()
        self._kept = bytearray()
        self._written: list[tuple[int, bytes]] = []

    def write(self, data: bytes, at: int) -> None:
        _write(self.cached, data, at)
        self._written.append((at, data))

    def sync(self, lost: bool) -> None:
        """Put on the disk what was written, or lose it: the system takes it for written all the same."""
        for at, data in self._written:
            if not lost:
                _write(self._kept, data, at)
        self._written.clear()

    def cut_power(self, rng: random.Random) -> None:
        for at, data in self._written:
            end = at + len(data)
            for start in range(at - at % _SECTOR, end, _SECTOR):
                if rng.random() < 0.5:
                    first, last = max(start, at), min(start + _SECTOR, end)
                    _write(self._kept, data[first - at : last - at], first)
        self._written.clear()
        self.cached = bytearray(self._kept)


def _write(content: bytearray, data: bytes, at: int) -> None:
    content.extend(bytes(max(at + len(data) - len(content), 0)))
    content[at : at + len(data)] = data


_SECTOR = 512
_starts = itertools.count(1)
