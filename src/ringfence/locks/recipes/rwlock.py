"""A lock that many may hold to read, or one to write: shares of one lock in the store, of which a writer takes all.

The queue is that of the store, first come, first served: a writer that waits stops the readers that come after it, and
readers that stand side by side are let in together. So neither can keep the other waiting for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ringfence.locks.lock import BaseLock
from ringfence.locks.recipes.sharing import MOST, share
from ringfence.locks.stores import LockStore

K = TypeVar("K", bound=BaseLock[Any])


class RWLock(Generic[K]):
    """Two locks that know of each other, of `LockManager.rwlock()`.

    ::

        rwlock = manager.rwlock("prices")
        with rwlock.read as lease:  # beside other readers
            ...
        with rwlock.write as lease:  # alone
            ...

    A holder that asks for the other lock waits for itself: give back the one before taking the other.

    Attributes:
        read: a lock that any number of readers hold together.
        write: a lock that one writer holds alone.
    """

    def __init__(self, store: LockStore, name: str, make: Callable[[str], K]) -> None:
        self.read = make(share(store, "rwlock", name, 1, MOST))
        self.write = make(share(store, "rwlock", name, MOST, MOST))

    @property
    def name(self) -> str:
        """The name of the lock."""
        return self.read.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"
