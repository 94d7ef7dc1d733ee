"""After a failed fsync, a process decides nothing more.

What the system's cache says then is not what the disk says, and asking again does not help: the next fsync may
succeed without having written anything. (PostgreSQL's "fsyncgate", 2018; Rebello et al., "Can applications recover from
fsync failures?", USENIX ATC 2020.)
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ringfence.errors import StoreError, StoreTimeout


class Poison:
    """Refuses decisions once one has failed.

    Attributes:
        turn: held while one is made, so that nobody decides between a failure and its being noted.
    """

    def __init__(self) -> None:
        self.turn = threading.Lock()
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


@contextmanager
def deciding(poison: Poison) -> Iterator[None]:
    """The block makes a decision durable, unless one failed before; it takes note when this one fails.

    Raises:
        StoreError: one failed before; nothing was recorded now.
    """
    with poison.turn:
        poison.check()
        try:
            yield
        except StoreError as error:
            poison.after(error)
            raise


def poison_of(path: str) -> Poison:
    """What keeps this process from deciding in the file or folder `path`, once a decision failed there."""
    return _poisons.setdefault((os.getpid(), os.path.realpath(path)), Poison())


_poisons: dict[tuple[int, str], Poison] = {}  # of a process and a path, however often it is opened
