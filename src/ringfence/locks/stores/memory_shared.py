"""Locks that several may hold at once, in the memory of this process; part of the store in `memory`."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ringfence.locks import rules
from ringfence.locks.stores import Claim, Holder, Push, Shared, Status
from ringfence.locks.waiter import Waiter


@dataclass(slots=True)
class Share:
    """What one owner holds of a lock, `name` says how much."""

    name: Shared
    owner: str
    fence: int
    deadline: float
    age: float


@dataclass(slots=True)
class Place:
    """A place in the queue of a lock."""

    name: Shared
    owner: str
    ttl: float
    fences: int
    made: float
    until: float
    waiter: Waiter | None = None


@dataclass(slots=True)
class _Lock:
    """Who holds a lock and who waits for it, by owner, first come first."""

    held: dict[str, Share] = field(default_factory=dict)
    queue: dict[str, Place] = field(default_factory=dict)
    taken: int = 0
    ends: float = math.inf  # no share ends before


class SharedLocks:
    """The methods of a lock store, for names that are `Shared`.

    Args:
        clock: seconds; by it leases end.
        wall: seconds since 1970; from it fences are derived.
    """

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._clock = clock
        self._wall = wall
        self._last = 0
        self.forked()

    def grant(self, name: Shared, owner: str, ttl: float, queue: bool, fences: int) -> int | None:
        """Give `owner` its share and return the fence; None if there is no room, or others wait."""
        with self._lock:
            lock = self._settled(name)
            share = lock.held.get(owner)
            if share is not None:
                share.deadline = max(share.deadline, self._clock() + ttl)
            elif not lock.queue and rules.fits(lock.taken, name.asked, name.of):
                share = self._put(lock, name, owner, ttl, fences)
            elif queue:
                self._line_up(lock, name, owner, ttl, fences)
            return None if share is None else share.fence

    def look(self, name: Shared, owner: str, waiter: Waiter) -> Push | float:
        """Have `waiter` woken when `owner` gets its share; return the grant, or when to look again."""
        with self._lock:
            lock = self._settled(name)
            share = lock.held.get(owner)
            if share is not None:
                return Push(share.fence, share.age)
            if owner not in lock.queue:
                return 0.0
            lock.queue[owner].waiter = waiter
            first = next(iter(lock.queue.values()))
            return min(first.until, *(each.deadline for each in lock.held.values())) - self._clock()

    def renew(self, claim: Claim) -> bool:
        """Extend a lease that is still held; say whether it is."""
        with self._lock:
            share = self._held(claim.name, claim.owner, claim.fence)
            if share is not None:
                share.deadline = max(share.deadline, self._clock() + claim.ttl)
            return share is not None

    def release(self, name: str, owner: str, fence: int) -> bool:
        """Free the share if this owner holds it with this fence; say whether it did."""
        with self._lock:
            share = self._held(name, owner, fence)
            if share is not None:
                self._take_away(self._locks[name], share)
                self._settled(name)
            return share is not None

    def withdraw(self, name: str, owner: str) -> None:
        """Free the owner's share with whatever fence, and take the owner out of the queue."""
        with self._lock:
            lock = self._locks.get(name, _Lock())
            lock.queue.pop(owner, None)
            if owner in lock.held:
                self._take_away(lock, lock.held[owner])
            self._settled(name)

    def status(self, name: str) -> Status:
        """Return who holds a lock, and who waits for it."""
        with self._lock:
            lock = self._settled(name)
            moment = self._clock()
            waiting = (place.owner for place in lock.queue.values() if not rules.is_over(place.until, moment))
            return Status(tuple(map(self._holder, lock.held.values())), tuple(waiting))

    def leases(self) -> list[Holder]:
        """Return all leases there are."""
        with self._lock:
            held = [share for name in list(self._locks) for share in self._settled(name).held.values()]
            return [self._holder(share) for share in held]

    def forked(self) -> None:
        """Start afresh in a forked child: the leases are the parent's; fences go on."""
        self._locks: dict[str, _Lock] = {}
        self._lock = threading.Lock()

    def _settled(self, name: str) -> _Lock:
        """Return a lock whose ended shares were passed on."""
        lock = self._locks.get(name)
        if lock is None:
            return _Lock()
        if rules.is_over(lock.ends, self._clock()):
            self._end(lock)
        self._pass_on(lock)
        if not lock.held and not lock.queue:
            del self._locks[name]
        return lock

    def _end(self, lock: _Lock) -> None:
        moment = self._clock()
        for share in list(lock.held.values()):
            if rules.is_over(share.deadline, moment):
                self._take_away(lock, share)
        lock.ends = min((share.deadline for share in lock.held.values()), default=math.inf)

    def _pass_on(self, lock: _Lock) -> None:
        """Grant the lock to as many from the head of the queue as there is room for; the dead are skipped."""
        while lock.queue:
            place = next(iter(lock.queue.values()))
            dead = rules.is_over(place.until, self._clock())
            if not dead and not rules.fits(lock.taken, place.name.asked, place.name.of):
                return
            del lock.queue[place.owner]
            if not dead:
                self._put(lock, place.name, place.owner, place.ttl, place.fences, self._clock() - place.made)
                if place.waiter is not None:
                    place.waiter.wake()

    def _put(self, lock: _Lock, name: Shared, owner: str, ttl: float, fences: int, age: float = 0.0) -> Share:
        fence = rules.next_fence(self._last, self._wall())
        self._last = fence + fences - 1
        share = lock.held[owner] = Share(name, owner, fence, self._clock() + ttl, age)
        lock.taken += name.asked
        lock.ends = min(lock.ends, share.deadline)
        self._locks[name] = lock
        return share

    def _take_away(self, lock: _Lock, share: Share) -> None:
        del lock.held[share.owner]
        lock.taken -= share.name.asked

    def _line_up(self, lock: _Lock, name: Shared, owner: str, ttl: float, fences: int) -> None:
        moment = self._clock()
        place = lock.queue.setdefault(owner, Place(name, owner, ttl, fences, moment, moment))
        place.ttl, place.fences, place.until = ttl, fences, moment + rules.PLACE
        self._locks[name] = lock

    def _held(self, name: str, owner: str, fence: int) -> Share | None:
        share = self._settled(name).held.get(owner)
        return (
            share if share is not None and rules.is_holder(share.owner, share.fence, owner, fence) else None
        )

    def _holder(self, share: Share) -> Holder:
        return Holder(share.name, share.owner, share.fence, share.deadline - self._clock())
