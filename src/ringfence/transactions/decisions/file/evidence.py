"""Proofs about a decision log, made from its folder beside whoever writes there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress

from ringfence.errors import InvalidValue, ProofRejected, StoreError
from ringfence.transactions.decisions import Heuristic
from ringfence.transactions.decisions.file.disk import Disk
from ringfence.transactions.decisions.file.index import Index, decided, decisions_in
from ringfence.transactions.decisions.file.pack import Pack
from ringfence.transactions.decisions.file.reading import read_beside
from ringfence.transactions.decisions.file.segments import Segment, name_of
from ringfence.transactions.decisions.file.tree import LogTree
from ringfence.transactions.gid import Gid
from ringfence.transactions.merkle.checkpoint import Checkpoint
from ringfence.transactions.merkle.evidence import ConsistencyProof, InclusionProof
from ringfence.transactions.outcome import Outcome


class DecisionLog:
    """A decision log as it is on the disk now: read only, and whoever decides there goes on. It does not follow that.

    Each record is a leaf of a Merkle tree: `epoch NAME EPOCH`, `committed GID`, `aborted GID`,
    `heuristic GID ["BRANCH", "FOUND"]` and `forgotten GID`, as UTF-8.

    Args:
        folder: of the log, as `FileDecisions` has it.

    Attributes:
        tree: over all its records.

    Raises:
        StoreDamaged: what is in the folder is not what was written.
        StoreError: there is no log.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        with closing(Disk(folder)) as disk:
            try:
                self._segments = read_beside(disk)
                _keep(disk, self._segments)
            except OSError as error:
                raise StoreError(f"{disk.path!r} cannot be read: {error}") from error
            if not self._segments:
                raise StoreError(f"there is no decision log in {disk.path!r}")
        self.tree = LogTree(self._segments)
        self._index = Index(self._segments)

    def get(self, gid: str) -> Outcome | None:
        """The outcome that stands, or None if none was recorded."""
        return self._index.get(gid, Gid.parse(gid))

    def epoch(self, name: str) -> int:
        """The newest epoch of the coordinator `name`, 0 if it never started."""
        return self._index.epochs.get(name, 0)

    def decisions(self, prefix: str = "") -> Iterator[tuple[str, Outcome]]:
        """All decisions on gids that begin with `prefix`, in order of gid, as text sorts."""
        return decisions_in(self.records(), prefix)

    def heuristics(self) -> list[Heuristic]:
        """What was reported and not forgotten yet, in order of gid and branch."""
        return self._index.reported()

    @property
    def origin(self) -> str:
        """What its checkpoints are called: the log has an identity of its own, drawn when it began."""
        return f"ringfence-decisions/{self._segments[0].identity}"

    def records(self) -> Iterator[str]:
        """All its records, oldest first."""
        for segment in self._segments:
            yield from segment.records()

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        """Say what the log is now, or was when it had `size` records.

        Raises:
            InvalidValue: it has never had so many.
        """
        size = len(self.tree) if size is None else size
        return Checkpoint(self.origin, size, self.tree.root(size))

    def prove(self, gid: str, note: str | None = None) -> InclusionProof:
        """Prove what was decided on `gid`, to whoever trusts the checkpoint in `note`; by default that of now.

        Raises:
            InvalidValue: nothing was decided on it by then.
            ProofRejected: that checkpoint is not of this log.
        """
        note = self.checkpoint().text() if note is None else note
        size = self._known(Checkpoint.parse(note)).size
        index, record = self._find(gid)
        return InclusionProof(record.encode(), index, self.tree.inclusion(index, size), note)

    def prove_growth(self, old: Checkpoint, note: str | None = None) -> ConsistencyProof:
        """Prove that the log of an older checkpoint was only added to, up to the checkpoint in `note`; by default now.

        Raises:
            InvalidValue: that checkpoint is older still.
            ProofRejected: one of them is not of this log.
        """
        note = self.checkpoint().text() if note is None else note
        size = self._known(Checkpoint.parse(note)).size
        hashes = self.tree.consistency(old.size, size) if self._known(old).size else []
        return ConsistencyProof(old.size, hashes, note)

    def check(self, checkpoint: Checkpoint) -> None:
        """Read everything, and return if the log begins with what a checkpoint that is trusted says.

        Raises:
            ProofRejected: it does not: records were changed, removed or put in between.
        """
        self.tree.check()
        self._known(checkpoint)

    def _known(self, checkpoint: Checkpoint) -> Checkpoint:
        """Return a checkpoint that is of this log, as its tree is."""
        what = f"the {checkpoint.size} records of {checkpoint.origin!r} as the beginning of {self.origin!r}"
        if checkpoint.origin != self.origin:
            raise ProofRejected(what, "that is another log")
        if checkpoint.size > len(self.tree):
            raise ProofRejected(what, f"it has only {len(self.tree)}")
        if self.tree.root(checkpoint.size) != checkpoint.root:
            raise ProofRejected(what, "its tree has another root")
        return checkpoint

    def _find(self, gid: str) -> tuple[int, str]:
        parsed = Gid.parse(gid)
        for segment in self._segments:
            if _may_hold(segment, parsed):
                for index, record in enumerate(segment.records(), segment.start):
                    row = decided(record)
                    if row is not None and row[0] == gid:
                        return index, record
        raise InvalidValue(f"nothing was decided on {gid!r} in {self.origin!r}, so there is nothing to prove")


def _keep(disk: Disk, segments: Sequence[Segment | Pack]) -> None:
    """Have on the disk what was read, or a power failure could take back what is proved; packs are there."""
    for segment in segments[-1:]:
        if isinstance(segment, Segment):
            with suppress(FileNotFoundError):  # it was packed meanwhile
                disk.sync(name_of(segment.number))


def _may_hold(segment: Segment | Pack, gid: Gid) -> bool:
    if isinstance(segment, Segment):
        return True
    low, high = segment.spans.get((gid.name, gid.epoch), (1, 0))
    return low <= gid.seq <= high
