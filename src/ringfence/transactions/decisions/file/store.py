"""The decision store in an append-only log, for the threads of one process."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ringfence._forks import tell_of_forks
from ringfence.errors import OutcomeUnknown, StoreDamaged, StoreError
from ringfence.transactions.decisions import Heuristic, check_outcome, recorded
from ringfence.transactions.decisions.file.disk import Disk
from ringfence.transactions.decisions.file.index import Index, decisions_in
from ringfence.transactions.decisions.file.log import SEGMENT, Log
from ringfence.transactions.decisions.file.reading import read_beside
from ringfence.transactions.decisions.file.segments import read_all
from ringfence.transactions.decisions.file.turns import Group, Turns
from ringfence.transactions.decisions.poison import poison_of
from ringfence.transactions.gid import Gid, check_name
from ringfence.transactions.outcome import Outcome
from ringfence.transactions.participants import Participant


class FileDecisions:
    """A `DecisionStore` in a folder of this machine, whose every record is a leaf of a Merkle tree; see `DecisionLog`.

    One process has it open at a time: the system frees it when that process is really gone, and not while it is only
    paused. Threads that decide at once share a write and a sync. After the disk failed under a decision this process
    puts no more of them into the folder. Segments that are full are packed, and no record is ever forgotten.

    Args:
        folder: where the segments are; made when missing.
        segment: bytes of a segment.
        disk: what stands for the folder, in tests.

    Raises:
        StoreDamaged: what is in the folder is not what was written.
        StoreError: another process has it open, or it cannot be used.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, segment: int = SEGMENT, disk: Disk | None = None
    ) -> None:
        self._disk = disk or Disk(folder)
        self.path = self._disk.path
        self._disk.hold()
        try:
            self._poison = poison_of(self.path)
            found = read_all(self._disk)
            self._log = Log(self._disk, found, segment)
            self._index = Index(found)
        except OSError as error:
            self._disk.close()
            raise StoreError(f"{self.path!r} cannot be used: {error}") from error
        except BaseException:
            self._disk.close()
            raise
        self._epochs = dict(self._index.epochs)
        self._deciding: dict[str, _Decision] = {}
        self._turns = Turns(self._write)
        self._order = threading.Lock()
        self._packing = threading.Lock()
        self._closed = False
        tell_of_forks(self)

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
        return self._index.epochs.get(name, 0)

    def put_if_absent(self, gid: str, outcome: Outcome) -> Outcome:
        """Record `outcome` durably unless one stands; return the one that stands.

        Raises:
            OutcomeUnknown: the disk failed; the record may or may not be there.
            StoreError: nothing was recorded: the disk is full, or failed before, or the store was closed.
        """
        parsed, outcome = Gid.parse(gid), check_outcome(outcome)
        with self._order:
            self._check()
            decision = self._decide(gid, parsed, outcome)
        return self._settle(decision)

    def put_many(self, rows: Sequence[tuple[str, Outcome]]) -> list[Outcome]:
        """`put_if_absent` for each row, with one sync for all."""
        asked = [(gid, Gid.parse(gid), check_outcome(outcome)) for gid, outcome in rows]
        with self._order:
            self._check()
            decisions = [self._decide(*row) for row in asked]
        return [self._settle(decision) for decision in decisions]

    def get(self, gid: str) -> Outcome | None:
        """The outcome that stands on the disk, or None.

        Raises:
            OutcomeUnknown: the disk failed under it.
            StoreError: it was being recorded, and was not; or this is a forked child.
        """
        parsed = Gid.parse(gid)
        self._disk.check()
        with self._order:
            decision = self._deciding.get(gid)
            if decision is None or decision.group is None:
                return self._index.get(gid, parsed)
        return self._settle(decision)

    def decisions(self, prefix: str = "") -> Iterator[tuple[str, Outcome]]:
        """All decisions on gids that begin with `prefix`, in order of gid, as text sorts. It reads the whole log."""
        return decisions_in(self._records(), prefix)

    def carried_by(self, participant: Participant) -> bool:  # noqa: ARG002
        """A log is in nobody's database."""
        return False

    def report(self, gid: str, branch: str, found: str) -> None:
        """Record durably that a branch of `gid` did not end as was decided; once for each branch."""
        Gid.parse(gid)
        with self._order:
            self._check()
            if (gid, branch) in self._index.heuristics:
                return
            group = self._turns.add(f"heuristic {gid} {json.dumps([branch, found])}")
        self._finish(group)

    def heuristics(self) -> list[Heuristic]:
        """What was reported and not forgotten yet, in order of gid and branch."""
        with self._order:
            return self._index.reported()

    def forget(self, gid: str) -> bool:
        """Drop what was reported of `gid`; was there anything? The records of both stay in the log."""
        Gid.parse(gid)
        with self._order:
            self._check()
            if not any(reported == gid for reported, _ in self._index.heuristics):
                return False
            group = self._turns.add(f"forgotten {gid}")
        self._finish(group)
        return True

    def close(self) -> None:
        """Close the files, and let another process open them."""
        with self._order:
            if self._closed:
                return
            self._closed = True
        try:
            if not self._disk.inherited():
                self._turns.write_all()
        finally:
            with self._packing:
                self._disk.close()

    def forked(self) -> None:
        """In a forked child nobody holds the locks that threads of the parent held; it uses the store no more."""
        self._order, self._packing = threading.Lock(), threading.Lock()

    def _records(self) -> Iterator[str]:
        """All records that are on the disk, oldest first."""
        count = self._log.count
        for segment in read_beside(self._disk):
            yield from segment.records()[: max(count - segment.start, 0)]

    def _decide(self, gid: str, parsed: Gid, outcome: Outcome) -> _Decision:
        """Put a decision into the next group unless one stands or is on its way."""
        decision = self._deciding.get(gid)
        if decision is None:
            if (standing := self._index.get(gid, parsed)) is not None:
                return _Decision(gid, standing)
            newest = self._epochs.get(parsed.name, 0)
            if parsed.epoch != newest:
                outcome = recorded(gid, outcome, newest)
            decision = self._deciding[gid] = _Decision(gid, outcome)
        if decision.group is None:
            decision.group = self._turns.add(f"{decision.outcome} {gid}")
        return decision

    def _settle(self, decision: _Decision) -> Outcome:
        """Return the outcome when it is on the disk."""
        if decision.group is not None:
            self._finish(decision.group)
            self._deciding.pop(decision.gid, None)
        return decision.outcome

    def _finish(self, group: Group) -> None:
        self._turns.finish(group)
        if isinstance(group.error, StoreError):
            raise type(group.error)(str(group.error)) from group.error
        if group.error is not None:
            raise OutcomeUnknown(f"{self.path!r} failed under a decision: {group.error!r}") from group.error
        if self._log.full:
            self._pack()

    def _write(self, records: Sequence[str]) -> None:
        try:
            self._disk.check()
            self._poison.check()
            self._log.append(records)
        except StoreError:
            self._withdraw(records)
            raise
        except BaseException as error:
            self._poison.after(OutcomeUnknown(f"{self.path!r} failed under a decision: {error!r}"))
            raise
        self._index.take_in(self._log.number, records)

    def _withdraw(self, records: Sequence[str]) -> None:
        """Let decisions that were not recorded be made again."""
        for record in records:
            self._deciding.pop(record.partition(" ")[2], None)

    def _pack(self) -> None:
        """Pack the segments that are full, unless another thread does; whatever goes wrong undoes no decision."""
        if not self._packing.acquire(blocking=False):
            return
        try:
            while self._log.full and not self._closed:
                self._index.packed(self._log.pack(self._log.full[0]))
        except OSError:
            self._log.full.clear()  # they stay as they are, and are packed when the log is opened again
        except StoreDamaged as error:
            self._log.full.clear()
            self._poison.after(error)
        finally:
            self._packing.release()

    def _check(self) -> None:
        self._poison.check()
        self._disk.check()
        if self._closed:
            raise StoreError(f"{self.path!r} was closed; open it again")


@dataclass(slots=True)
class _Decision:
    """A decision that stands, or is on its way to the disk with a group."""

    gid: str
    outcome: Outcome
    group: Group | None = None
