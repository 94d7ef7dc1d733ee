"""The waiters of one process: they share one place in the store's queue, and hand a lock on among themselves.

Of all who want a lock here, one at a time deals with the store: the one in front of the line. When it releases, the
next one here may get the lease as it stands, without a request, under the next number of the block of fences that the
store issued with the grant. The bounds in `rules.may_hand_on` keep those who wait in other processes from waiting
longer for it. What cannot be handed on goes back to the store, and the next one here queues there.

The store knows one holder, by the owner id and the first fence of the block; `Claim.handed` tells the holders here
apart, so a late release by one of them changes nothing for the next.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from ringfence._core.leases import LeaseTable
from ringfence._core.lines import IN_FRONT, Lines, Place
from ringfence.locks import acquire as asking
from ringfence.locks import at_once, rules
from ringfence.locks.acquire import Granted
from ringfence.locks.stores import Claim, LockStore
from ringfence.protocol import Call, Effects, now, run


class Cohort:
    """The protocols that take a lock and give it back, for the threads or tasks of one process.

    Args:
        store: who arbitrates between processes.
        table: the deadlines of the leases that are held here.
        waiter: makes what a thread or task waits on.
        clock: seconds.
        fences: how many numbers to ask for with each grant.
        jitter: random numbers from 0 to 1.
    """

    def __init__(
        self,
        store: LockStore,
        table: LeaseTable,
        waiter: Callable[[], Any],
        clock: Callable[[], float] = now,
        fences: int = rules.FENCES,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._lines = Lines(table, clock, fences, waiter, rules)
        self._clock = clock
        self._jitter = jitter

    def acquire(
        self, name: str, owner: str, ttl: float, timeout: float | None, check: Callable[[], object]
    ) -> Effects[Granted | None]:
        """Take a lock, from the store or from another of this process; see `ringfence.locks.acquire.acquire`."""
        place = Place(ttl)
        return (yield from self._standing(name, place, self._line_up(name, owner, place, timeout, check)))

    def take(
        self, name: str, owner: str, ttl: float, timeout: float | None, check: Callable[[], object]
    ) -> Granted | None:
        """Do what `acquire` does, in this thread; mostly the lock is free, and asking once is all."""
        place = Place(ttl)
        asked: Granted | list[Any] | None = None
        try:
            again = self._lines.enter(name, place)
            if again > IN_FRONT:
                until = self._until(timeout)
                place.waiter.wait(self._nap(again, until))
                again = self._lines.look(name, place)
            else:
                asked = at_once.ask_and_wait(self._store, name, owner, ttl, timeout, self._lines.fences)
                if isinstance(asked, Granted):
                    self._lines.hold(place, asked)
        except BaseException:
            run(self._abandon(name, owner, place))
            raise
        granted: Granted | None = place.granted
        if granted is not None:
            return granted
        if isinstance(asked, list):
            return run(self._standing(name, place, self._ask(name, owner, place, timeout, check)), asked)
        return run(self._standing(name, place, self._stand(name, owner, place, again, until, check)))

    def release(self, claim: Claim, deadline: float) -> Effects[bool]:
        """Hand the lock on, or give it back to the store; see `ringfence.locks.acquire.release`."""
        handed = self._lines.hand_on(claim, deadline)
        return (yield from asking.release(self._store, claim, deadline)) if handed is None else handed

    def give_back(self, claim: Claim, deadline: float) -> bool:
        """Do what `release` does, in this thread."""
        handed = self._lines.hand_on(claim, deadline)
        return at_once.give_back(self._store, claim, deadline) if handed is None else handed

    def withdraw(self, granted: Granted) -> Effects[None]:
        """Hand on, or give back, a grant that nobody is going to use."""
        if self._lines.hand_on(granted.claim, granted.deadline) is None:
            yield from asking.withdraw(self._store, granted.claim.name, granted.claim.owner)

    def lose(self, claim: Claim) -> None:
        """Let the next in line ask the store, for what was held is lost."""
        self._lines.step_down(claim)

    def close(self) -> None:
        """Let all who wait in line end with an error, and hand nothing on any more."""
        self._lines.close()

    def _standing(self, name: str, place: Place, steps: Effects[Granted | None]) -> Effects[Granted | None]:
        """Take steps that need a place in line, and leave it if they fail."""
        try:
            return (yield from steps)
        except GeneratorExit:  # nothing can be asked for any more
            self._leave(name, place)
            raise
        except BaseException:
            granted = self._leave(name, place)
            if granted is not None:
                yield from self.withdraw(granted)
            raise

    def _abandon(self, name: str, owner: str, place: Place) -> Effects[None]:
        """Leave the line after an interrupt, and give back what was granted, or may have been."""
        granted = self._leave(name, place)
        if granted is not None:
            yield from self.withdraw(granted)
        else:
            yield from asking.withdraw(self._store, name, owner)

    def _line_up(
        self, name: str, owner: str, place: Place, timeout: float | None, check: Callable[[], object]
    ) -> Effects[Granted | None]:
        until = self._until(timeout)
        again = self._lines.enter(name, place)
        return (yield from self._stand(name, owner, place, again, until, check))

    def _stand(
        self, name: str, owner: str, place: Place, again: float, until: float, check: Callable[[], object]
    ) -> Effects[Granted | None]:
        """Wait until the place is in front, and ask the store if it does not have the lock by then."""
        while again > IN_FRONT:
            if until <= self._clock():
                return self._leave(name, place)
            yield Call(place.waiter, "wait", (self._nap(again, until),))
            again = self._lines.look(name, place)
        granted: Granted | None = place.granted
        if granted is not None:
            return granted
        left = None if until == math.inf else max(until - self._clock(), 0.0)
        return (yield from self._ask(name, owner, place, left, check))

    def _ask(
        self, name: str, owner: str, place: Place, timeout: float | None, check: Callable[[], object]
    ) -> Effects[Granted | None]:
        def check_and_stay() -> None:
            check()
            self._lines.stay(place)

        ttl, fences = place.ttl, self._lines.fences
        granted = yield from asking.acquire(
            self._store, name, owner, ttl, timeout, self._jitter, fences=fences, check=check_and_stay
        )
        if granted is None:
            return self._leave(name, place)
        self._lines.hold(place, granted)
        return granted

    def _leave(self, name: str, place: Place) -> Granted | None:
        granted: Granted | None = self._lines.leave(name, place)
        return granted

    def _until(self, timeout: float | None) -> float:
        return math.inf if timeout is None else self._clock() + timeout

    def _nap(self, again: float, until: float) -> float:
        """Return how long to wait until it is time to look again, in seconds."""
        return min(min(again, until) - self._clock(), rules.ASK_AGAIN)
