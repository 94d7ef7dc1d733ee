"""After a failed fsync, a process decides nothing more.

What the system's cache says then is not what the disk says, and asking again does not help: the next fsync may
succeed without having written anything. A new process reads the disk. (PostgreSQL's "fsyncgate", 2018; Rebello et
al., "Can applications recover from fsync failures?", USENIX ATC 2020.)
"""

from __future__ import annotations

from ringfence.errors import StoreError, StoreTimeout


class Poison:
    """Refuses decisions once one has failed."""

    def __init__(self) -> None:
        self._reason: str | None = None

    def check(self) -> None:
        """Refuse when a decision failed before.

        Raises:
            StoreError: one did; nothing was recorded now.
        """
        if self._reason is not None:
            raise StoreError(f"no more decisions in this process, start a new one: {self._reason}")

    def after(self, error: StoreError) -> None:
        """Take note that a decision failed; a timeout is none, for nothing happened."""
        if not isinstance(error, StoreTimeout):
            self._reason = str(error)
