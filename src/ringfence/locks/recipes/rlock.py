"""A reentrant lock: who holds it may take it again, and it is given back when it was left as often.

Who holds it is one thread, or one task, of a manager. Each entry is a lease of its own to whoever entered, so one that
is released twice gives back nothing that an outer block still needs. All share the lease in the store and its fence;
the store knows nothing of them.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from ringfence.errors import InvalidValue
from ringfence.locks.acquire import Granted
from ringfence.locks.lease import BaseLease, Lease
from ringfence.locks.lock import BaseLock, Lock
from ringfence.locks.session import Session
from ringfence.protocol import Effects, run

L = TypeVar("L", bound=BaseLease)


class Held(BaseLease):
    """The lease in the store, which ends when its last entry is released or forgotten."""

    def __init__(self, session: Session, granted: Granted, renew: bool) -> None:
        self._entries: weakref.WeakSet[BaseEntry] = weakref.WeakSet()
        self._left = False
        self._entering = threading.Lock()
        super().__init__(session, granted, renew)

    def enter(self, make: Callable[[Held], L]) -> L | None:
        """Enter; None when the lock was given back just now, by another thread.

        Raises:
            LeaseLost: the lease is lost.
        """
        with self._entering:
            return None if self._left else self._entered(make)

    def leave(self, entry: BaseEntry) -> bool:
        """Take an entry out; return whether none is left."""
        with self._entering:
            self._entries.discard(entry)
            self._left = not self._entries
            return self._left

    def _entered(self, make: Callable[[Held], L]) -> L:
        self.check()
        entry = make(self)
        assert isinstance(entry, BaseEntry)
        self._entries.add(entry)
        if self._lost:  # meanwhile, so that the entry was not told
            entry._lose()
        return entry

    def _lose(self) -> None:
        super()._lose()
        for entry in list(self._entries):
            entry._lose()


Holders: TypeAlias = weakref.WeakValueDictionary[tuple[int, object, str], Held]
"""What is held by the reentrant locks of a manager, by process, thread or task, and name."""


class BaseEntry(BaseLease):
    """One entry into a reentrant lock."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._session, self._claim, self._renew = held._session, held._claim, held._renew
        self._table = held._table
        self._callbacks = ()
        self._lost = self._answered = False
        self._ended = None
        self._lock = threading.Lock()

    def was_released(self) -> bool:
        """Return whether this entry was released, or all of them when the manager was closed."""
        return super().was_released() or self._held.was_released()

    def _handing_over(self) -> Effects[str]:
        raise InvalidValue(
            f"{self.name!r} is held by a reentrant lock, which belongs to one thread or task; "
            "take it by lock() to hand it over"
        )

    def _releasing(self) -> Effects[bool]:
        if self._is_done():
            return False
        self._end()
        if not self._held.leave(self):
            self._answered = True
            return not self._lost
        held = yield from self._held._releasing()
        self._answered = True
        return held and not self._lost

    def _end(self) -> float:
        if self._ended is None:
            if not self.valid:
                self._lose()
            self._ended = self._session.table.deadline(self._claim)
        return self._ended


class Entry(BaseEntry, Lease):
    """One entry of a thread into a reentrant lock; see `Lease`."""

    def _release(self) -> bool:
        return run(self._releasing())


class Reentrant(BaseLock[L]):
    """What reentrant locks of threads and of tasks have in common."""

    _entry: Callable[[Held], L]
    _who: Callable[[], object]

    def __init__(self, holders: Holders, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._holders = holders

    def _acquiring(self, timeout: float | None) -> Effects[L | None]:
        self._session.check_open()
        held = self._holders.get(self._key())
        entry = None if held is None else held.enter(self._entry)
        if entry is not None:
            return entry
        return (yield from super()._acquiring(timeout))

    def _take(self, granted: Granted) -> L:
        held = Held(self._session, granted, self._renew)
        entry = held.enter(self._entry)
        assert entry is not None
        self._holders[self._key()] = held
        return entry

    def _key(self) -> tuple[int, object, str]:
        return os.getpid(), type(self)._who(), self._name


class ThreadIdentity(threading.local):
    """Something that each thread has for itself; unlike its number, no later thread has it again."""

    def __init__(self) -> None:
        self.of = object()


_thread = ThreadIdentity()


class RLock(Reentrant[Lease], Lock):
    """A reentrant lock of `LockManager.rlock()`: the thread that holds it may take it again.

    ::

        with manager.rlock("report") as outer, manager.rlock("report") as inner:
            assert inner.fence == outer.fence

    It is one lock for all `RLock` objects of that name that a manager makes. Each `acquire` gives a lease of its own;
    the lock is given back when all of them were released, in whatever order, by whichever thread. `release` of one of
    several returns whether the lock is still held.

    When the lease is lost, all of them are, and who asks again while it holds one gets `LeaseLost` until all were
    released: the outer block is without protection, and must end first. An entry that nobody refers to is forgotten.
    """

    _entry = Entry
    _who = staticmethod(lambda: _thread.of)

    def _acquire(self, timeout: float | None) -> Lease | None:
        return run(self._acquiring(timeout))
