"""A decision store on a simulated disk, whose fsync can fail.

A failed fsync drops what was to be written, and later ones succeed without writing it: the system's cache says one
thing, the disk another. (PostgreSQL's "fsyncgate", 2018; Rebello et al., "Can applications recover from fsync
failures?", USENIX ATC 2020.)
"""

from __future__ import annotations

from collections.abc import Callable

from ringfence.errors import OutcomeUnknown
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
