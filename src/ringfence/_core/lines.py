# cython: annotation_typing=False, auto_pickle=False
"""The lines in which the threads or tasks of one process stand for locks: the first one holds, or asks the store."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from ringfence._core.leases import LeaseTable
from ringfence.errors import StoreError

_TO_WAKE = 1.0
"""Seconds after which one that came to the front, and does nothing, is taken for dead."""

IN_FRONT = -math.inf
"""When to look again, for the one in front: it need not wait."""


class Place:
    """A place in a line.

    Args:
        ttl: for how long the lock is wanted, in seconds.

    Attributes:
        waiter: what to wake when it comes to the front; None while nobody sleeps there.
        granted: what it holds: a claim and a deadline.
        since: when the store granted that, to whomever.
        until: when it is taken for dead, once it is in front.
    """

    def __init__(self, ttl: float) -> None:
        self.ttl = ttl
        self.waiter: Any = None
        self.granted: Any = None
        self.since: float = 0.0
        self.until: float = 0.0

    def wake(self) -> None:
        """Wake whom it belongs to."""
        if self.waiter is not None:
            self.waiter.wake()


class Lines:
    """The lines of one process, by the name of the lock; every method may be called by several threads at once.

    Args:
        table: the deadlines of the leases that are held here.
        clock: seconds.
        fences: how many numbers each grant of the store has.
        waiter: makes what a thread or task waits on.
        rules: the rules of `ringfence.locks.rules`.
    """

    def __init__(
        self,
        table: LeaseTable,
        clock: Callable[[], float],
        fences: int,
        waiter: Callable[[], Any],
        rules: Any,
    ) -> None:
        self.fences = fences
        self._table = table
        self._clock = clock
        self._waiter = waiter
        self._rules = rules
        self._lines: dict[str, deque[Place]] = {}
        self._closed = False
        self._lock = threading.Lock()

    def enter(self, name: str, place: Place) -> float:
        """Stand at the end of the line; return what `look` does, and raise what it does."""
        with self._lock:
            self._check_open()
            line = self._lines.get(name)
            if line is None:
                line = self._lines[name] = deque()
            else:
                self._skip_dead(line)
            return self._join(line, place)

    def stay(self, place: Place) -> None:
        """Let the one in front, which asks the store, not be taken for dead."""
        place.until = self._clock() + self._rules.PLACE

    def look(self, name: str, place: Place) -> float:
        """Return when to look again, if not woken before; minus infinity when the place is in front.

        Raises:
            StoreError: the lines were closed.
        """
        with self._lock:
            self._check_open()
            line = self._lines.setdefault(name, deque())
            if not line or line[0] is not place:
                self._skip_dead(line)
                if place not in line:  # it was taken for dead
                    return self._join(line, place)
                if line[0] is not place:
                    return self._end(line[0])
            moment = self._clock()
            if place.granted is None or self._rules.is_over(place.granted.deadline, moment):
                place.granted, place.until = None, moment + self._rules.PLACE
            return IN_FRONT

    def hold(self, place: Place, granted: Any) -> None:
        """Note what the store granted to the one in front."""
        with self._lock:
            place.granted, place.since, place.until = granted, self._clock(), granted.deadline

    def hand_on(self, claim: Any, deadline: float) -> bool | None:
        """Leave the front, and give the lock to the next in line under the next fence.

        Returns:
            Whether it was this claim's to give; None if it has to go back to the store, which the next in line may
            ask meanwhile.
        """
        with self._lock:
            line = self._lines.get(claim.name)
            front = line[0].granted if line else None
            if line is None or front is None or front.claim.owner != claim.owner:
                return None
            if front.claim is not claim and front.claim != claim:
                return False
            if len(line) == 1 or self._closed or not self._may_hand_on(line, claim, deadline):
                self._remove(claim.name, line, line[0])
                return None
            since = line.popleft().since
            self._give(line[0], front, since, deadline)
            return True

    def step_down(self, claim: Any) -> None:
        """Leave the front, if this claim is still there, and let the next in line ask the store."""
        with self._lock:
            line = self._lines.get(claim.name)
            front = line[0].granted if line else None
            if line is not None and front is not None and front.claim == claim:
                self._remove(claim.name, line, line[0])

    def leave(self, name: str, place: Place) -> Any:
        """Leave the line, unless the lock was handed to this place just now; then return it."""
        with self._lock:
            line = self._lines.get(name)
            if place.granted is None and line is not None and place in line:
                self._remove(name, line, place)
            return place.granted

    def close(self) -> None:
        """Let all who stand in line end with an error, and hand nothing on any more."""
        with self._lock:
            self._closed = True
            for line in self._lines.values():
                for place in line:
                    place.wake()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the lock manager was closed while this waited; open a new one")

    def _join(self, line: deque[Place], place: Place) -> float:
        """Stand at the end; who sleeps there can be woken from now on."""
        if line and place.waiter is None:
            place.waiter = self._waiter()
        line.append(place)
        place.until = self._clock() + self._rules.PLACE
        return IN_FRONT if line[0] is place else self._end(line[0])

    def _may_hand_on(self, line: deque[Place], claim: Any, deadline: float) -> bool:
        moment = self._clock()
        next_one = line[1]
        held, left = moment - line[0].since, deadline - moment
        return bool(self._rules.may_hand_on(claim.handed + 1, self.fences, held, left, next_one.ttl))

    def _give(self, place: Place, granted: Any, since: float, deadline: float) -> None:
        claim = granted.claim
        passed = type(claim)(claim.name, claim.owner, claim.fence, place.ttl, claim.handed + 1)
        place.granted, place.since, place.until = type(granted)(passed, deadline), since, deadline
        place.wake()

    def _remove(self, name: str, line: deque[Place], place: Place) -> None:
        was_in_front = line[0] is place
        line.remove(place)
        if not line:
            del self._lines[name]
        elif was_in_front:
            self._call_up(line[0])

    def _call_up(self, place: Place) -> None:
        place.until = self._clock() + _TO_WAKE
        place.wake()

    def _skip_dead(self, line: deque[Place]) -> None:
        """Drop those in front whose lease is over, though they did not give it back."""
        while line and self._rules.is_over(self._end(line[0]), self._clock()):
            line.popleft()
            if line:
                self._call_up(line[0])

    def _end(self, front: Place) -> float:
        held = front.granted
        return front.until if held is None else max(front.until, self._table.deadline(held.claim))
