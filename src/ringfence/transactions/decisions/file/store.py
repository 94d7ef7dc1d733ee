"""The decision store in an append-only log, for the threads of one process."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ringfence.errors import OutcomeUnknown, StoreDamaged, StoreError
from ringfence.transactions.decisions import check_outcome, recorded
from ringfence.transactions.decisions.file.lock import FolderLock
from ringfence.transactions.decisions.file.log import SEGMENT, Log
from ringfence.transactions.decisions.file.turns import Group, Turns
from ringfence.transactions.decisions.poison import Poison
from ringfence.transactions.gid import Gid, check_name
from ringfence.transactions.outcome import Outcome


class FileDecisions:
    """A `DecisionStore` in a folder of this machine; one line a two-phase transaction, kept for ever.

    One process has it open at a time: the system frees it when that process is really gone, and not while it is only
    paused. Threads that decide at once share a write and a sync. After the disk failed under a decision this process
    puts no more of them into the folder.

    Args:
        folder: where the segments are; made when missing.
        segment: bytes of a segment.

    Raises:
        StoreDamaged: what is in the folder is not what was written.
        StoreError: another process has it open, or it cannot be used.
    """

    def __init__(self, folder: str | os.PathLike[str], *, segment: int = SEGMENT) -> None:
        self.path = os.fspath(folder)
        self._lock = FolderLock(Path(self.path))
        try:
            self._poison = _poisons.setdefault((os.getpid(), os.path.realpath(self.path)), Poison())
            self._log = Log(Path(self.path), segment)
        except OSError as error:
            self._lock.close()
            raise StoreError(f"{self.path!r} cannot be used: {error}") from error
        except BaseException:
            self._lock.close()
            raise
        self._turns = Turns(self._write)
        self._order = threading.Lock()
        self._closed = False
        self._epochs: dict[str, int] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._deciding: dict[str, _Decision] = {}
        for record in self._log.records:
            self._take_in(record)

    def begin_epoch(self, name: str) -> int:
        """Add one to the epoch of `name`, durably, and return it."""
        check_name(name)
        with self._order:
            self._check()
            epoch = self._epochs[name] = self._epochs.get(name, 0) + 1
            group = self._turns.add(f"epoch {name} {epoch}")
        self._finish(group)
        return epoch

    def epoch(self, name: str) -> int:
        """The newest epoch of `name`, 0 if it never started."""
        return self._epochs.get(name, 0)

    def put_if_absent(self, gid: str, outcome: Outcome) -> Outcome:
        """Record `outcome` durably unless one stands; return the one that stands.

        Raises:
            OutcomeUnknown: the disk failed; the record may or may not be there.
            StoreError: nothing was recorded: the disk is full, or failed before, or the store was closed.
        """
        check_outcome(outcome)
        parsed = Gid.parse(gid)
        with self._order:
            self._check()
            if (standing := self._outcomes.get(gid)) is not None:
                return standing
            decision = self._deciding.get(gid)
            if decision is None:
                newest = self._epochs.get(parsed.name, 0)
                decision = self._deciding[gid] = _Decision(recorded(gid, outcome, newest))
            if decision.group is None:
                decision.group = self._turns.add(f"{decision.outcome} {gid}")
        return self._settle(gid, decision)

    def get(self, gid: str) -> Outcome | None:
        """The outcome that stands on the disk, or None.

        Raises:
            OutcomeUnknown: the disk failed under it.
            StoreError: it was being recorded, and was not.
        """
        with self._order:
            decision = self._deciding.get(gid)
            if decision is None or decision.group is None or gid in self._outcomes:
                return self._outcomes.get(gid)
        return self._settle(gid, decision)

    def close(self) -> None:
        """Close the files, and let another process open them."""
        with self._order:
            if self._closed:
                return
            self._closed = True
        try:
            if not self._lock.inherited():
                self._turns.write_all()
        finally:
            self._log.close()
            self._lock.close()

    def _write(self, records: Sequence[str]) -> None:
        self._poison.check()
        try:
            self._log.append(records)
        except StoreError:
            self._forget(records)
            raise
        except BaseException as error:
            unknown = OutcomeUnknown(f"{self.path!r} failed under a decision: {error!r}")
            self._poison.after(unknown)
            raise

    def _settle(self, gid: str, decision: _Decision) -> Outcome:
        """Return the outcome when it is on the disk."""
        assert decision.group is not None
        self._finish(decision.group)
        self._outcomes[gid] = decision.outcome
        self._deciding.pop(gid, None)
        return decision.outcome

    def _finish(self, group: Group) -> None:
        self._turns.finish(group)
        if isinstance(group.error, StoreError):
            raise type(group.error)(str(group.error)) from group.error
        if group.error is not None:
            raise OutcomeUnknown(f"{self.path!r} failed under a decision: {group.error!r}") from group.error

    def _forget(self, records: Sequence[str]) -> None:
        """Let decisions that were not recorded be made again."""
        for record in records:
            self._deciding.pop(record.partition(" ")[2], None)

    def _check(self) -> None:
        self._poison.check()
        self._lock.check()
        if self._closed:
            raise StoreError(f"{self.path!r} was closed; open it again")

    def _take_in(self, record: str) -> None:
        kind, _, rest = record.partition(" ")
        try:
            if kind == "epoch":
                name, _, epoch = rest.partition(" ")
                self._epochs[check_name(name)] = int(epoch)
            else:
                Gid.parse(rest)
                self._outcomes.setdefault(rest, check_outcome(Outcome(kind)))
        except ValueError as error:
            raise StoreDamaged(
                f"{self.path!r} holds {record!r}, which is no record; restore it from a copy"
            ) from error


@dataclass(slots=True)
class _Decision:
    """A decision on its way to the disk."""

    outcome: Outcome
    group: Group | None = None


_poisons: dict[tuple[int, str], Poison] = {}  # of a process and a folder, however often it is opened
