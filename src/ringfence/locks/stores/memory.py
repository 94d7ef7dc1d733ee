"""A lock store in the memory of this process, for threads, tasks, tests and the simulator."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ringfence.locks import rules
from ringfence.locks.stores import Claim, Holder, Push, Shared, Status
from ringfence.locks.stores.listening import Listening
from ringfence.locks.stores.memory_shared import SharedLocks
from ringfence.locks.waiter import Waiter
from ringfence.protocol import now


@dataclass(slots=True)
class _Row:
    owner: str
    fence: int
    deadline: float
    age: float = 0.0


@dataclass(slots=True)
class _Place:
    owner: str
    ttl: float
    fences: int
    made: float
    until: float
    waiter: Waiter | None = None


class MemoryStore(Listening):
    """Leases in a dict, and a queue for each lock that is waited for.

    Args:
        clock: seconds; by it leases end.
        wall: seconds since 1970; from it fences are derived, so that they go on upward after a restart.
    """

    shared = True

    def __init__(self, clock: Callable[[], float] = now, wall: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._wall = wall
        self._last = 0
        self._shares = SharedLocks(clock, wall)
        self.forked()

    def grant(self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1) -> int | None:
        """Give the lock to `owner` and return the fence; None if another has it, or others wait for it."""
        if isinstance(name, Shared):
            return self._shares.grant(name, owner, ttl, queue, fences)
        with self._lock:
            row = self._alive(name)
            if row is None:
                row = self._put(name, owner, ttl, fences)
            elif row.owner == owner:
                row.deadline = max(row.deadline, self._clock() + ttl)
            else:
                if queue:
                    self._line_up(name, owner, ttl, fences)
                return None
            return row.fence

    def look(self, name: str, owner: str, waiter: Waiter) -> Push | float:
        """Have `waiter` woken when the lock is granted to `owner`; return the grant, or when to look again."""
        if isinstance(name, Shared):
            return self._shares.look(name, owner, waiter)
        with self._lock:
            row = self._alive(name)
            if row is not None and row.owner == owner:
                return Push(row.fence, row.age)
            place = self._place(name, owner)
            if row is None or place is None:
                return 0.0
            place.waiter = waiter
            return row.deadline - self._clock()

    def renew(self, claims: Sequence[Claim]) -> list[bool]:
        """Extend the leases that are still held; for each claim, say whether it is."""
        with self._lock:
            return [
                self._shares.renew(claim) if isinstance(claim.name, Shared) else self._renew(claim)
                for claim in claims
            ]

    def release(self, name: str, owner: str, fence: int) -> bool:
        """Free the lock if this owner holds it with this fence; say whether it did."""
        if isinstance(name, Shared):
            return self._shares.release(name, owner, fence)
        with self._lock:
            row = self._alive(name)
            if row is None or not rules.is_holder(row.owner, row.fence, owner, fence):
                return False
            self._hand_on(name)
            return True

    def withdraw(self, name: str, owner: str) -> None:
        """Free the lock if this owner holds it with whatever fence, and take the owner out of the queue."""
        if isinstance(name, Shared):
            self._shares.withdraw(name, owner)
            return
        with self._lock:
            queue = self._queues.get(name)
            if queue is not None:
                queue.pop(owner, None)
            row = self._rows.get(name)
            if row is not None and row.owner == owner:
                self._hand_on(name)

    def status(self, name: str) -> Status:
        """Return who holds a lock, and who waits for it."""
        if isinstance(name, Shared):
            return self._shares.status(name)
        with self._lock:
            row = self._alive(name)
            held = () if row is None else (self._holder(name, row),)
            return Status(held, tuple(place.owner for place in self._living(name)))

    def leases(self) -> list[Holder]:
        """Return all leases there are, by name and then by fence."""
        with self._lock:
            rows = {name: self._alive(name) for name in list(self._rows)}
            held = [self._holder(name, row) for name, row in rows.items() if row is not None]
        return sorted(held + self._shares.leases(), key=lambda holder: (holder.name, holder.fence))

    def close(self) -> None:
        """Do nothing: the store lives as long as the process."""

    def forked(self) -> None:
        """Start afresh in a forked child: the leases are the parent's; fences go on."""
        self._rows: dict[str, _Row] = {}
        self._queues: dict[str, OrderedDict[str, _Place]] = {}
        self._lock = threading.Lock()
        self._shares.forked()

    def _put(self, name: str, owner: str, ttl: float, fences: int, age: float = 0.0) -> _Row:
        fence = rules.next_fence(self._last, self._wall())
        self._last = fence + fences - 1
        row = self._rows[name] = _Row(owner, fence, self._clock() + ttl, age)
        return row

    def _place(self, name: str, owner: str) -> _Place | None:
        queue = self._queues.get(name)
        return None if queue is None else queue.get(owner)

    def _living(self, name: str) -> list[_Place]:
        places = self._queues[name].values() if name in self._queues else ()
        return [place for place in places if not rules.is_over(place.until, self._clock())]

    def _line_up(self, name: str, owner: str, ttl: float, fences: int) -> None:
        queue = self._queues.setdefault(name, OrderedDict())
        moment = self._clock()
        place = queue.setdefault(owner, _Place(owner, ttl, fences, moment, moment))
        place.ttl, place.fences, place.until = ttl, fences, moment + rules.PLACE

    def _hand_on(self, name: str) -> _Row | None:
        """Grant a lock that nobody holds any more to the first waiter whose place has not ended."""
        del self._rows[name]
        queue = self._queues.get(name)
        while queue:
            place = queue.popitem(last=False)[1]
            if not rules.is_over(place.until, self._clock()):
                row = self._put(name, place.owner, place.ttl, place.fences, self._clock() - place.made)
                if place.waiter is not None:
                    place.waiter.wake()
                return row
        self._queues.pop(name, None)
        return None

    def _renew(self, claim: Claim) -> bool:
        row = self._alive(claim.name)
        if row is None or not rules.is_holder(row.owner, row.fence, claim.owner, claim.fence):
            return False
        row.deadline = max(row.deadline, self._clock() + claim.ttl)
        return True

    def _alive(self, name: str) -> _Row | None:
        row = self._rows.get(name)
        if row is not None and rules.is_over(row.deadline, self._clock()):
            return self._hand_on(name)
        return row

    def _holder(self, name: str, row: _Row) -> Holder:
        return Holder(name, row.owner, row.fence, row.deadline - self._clock())


_named: dict[str, MemoryStore] = {}


def named(name: str) -> MemoryStore:
    """Return the store of that name, the same one everywhere in this process."""
    return _named.setdefault(name, MemoryStore())


def _forked() -> None:
    for store in _named.values():
        store.forked()


os.register_at_fork(after_in_child=_forked)
