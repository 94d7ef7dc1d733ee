"""The lines in which the threads or tasks of one process stand for locks: the first one holds, or asks the store."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ringfence._core.leases import LeaseTable
from ringfence.errors import StoreError
from ringfence.locks import rules
from ringfence.locks.acquire import Granted
from ringfence.locks.stores import Claim

_TO_WAKE = 1.0
"""Seconds after which one that came to the front, and does nothing, is taken for dead."""


@dataclass(slots=True, eq=False)
class Place:
    """A place in a line.

    Attributes:
        ttl: for how long the lock is wanted, in seconds.
        waiter: what to wake when it comes to the front.
        granted: what it holds.
        since: when the store granted that, to whomever.
        until: when it is taken for dead, once it is in front.
    """

    ttl: float
    waiter: Any = None
    granted: Granted | None = None
    since: float = 0.0
    until: float = 0.0

    def wake(self) -> None:
        """Wake whom it belongs to; one that has no waiter yet is awake."""
        if self.waiter is not None:
            self.waiter.wake()


class Lines:
    """The lines of one process, by the name of the lock; every method may be called by several threads at once.

    Args:
        table: the deadlines of the leases that are held here.
        clock: seconds.
        fences: how many numbers each grant of the store has.
    """

    def __init__(self, table: LeaseTable, clock: Callable[[], float], fences: int) -> None:
        self.fences = fences
        self._table = table
        self._clock = clock
        self._lines: dict[str, deque[Place]] = {}
        self._closed = False
        self._lock = threading.Lock()

    def enter(self, name: str, place: Place) -> bool:
        """Stand at the end of the line, and keep standing there; return whether that is in front."""
        with self._lock:
            line = self._lines.get(name)
            if line is None:
                line = self._lines[name] = deque((place,))
            elif place not in line:
                self._skip_dead(line)
                line.append(place)
            place.until = self._clock() + rules.PLACE
            return line[0] is place

    def stay(self, place: Place) -> None:
        """Let the one in front, which asks the store, not be taken for dead."""
        place.until = self._clock() + rules.PLACE

    def look(self, name: str, place: Place) -> float:
        """Return when to look again; minus infinity when the place is in front.

        Raises:
            StoreError: the lines were closed.
        """
        with self._lock:
            if self._closed:
                raise StoreError("the lock manager was closed while this waited; open a new one")
            line = self._lines.setdefault(name, deque())
            if not line or line[0] is not place:
                self._skip_dead(line)
            if place not in line:  # it was taken for dead
                line.append(place)
            if line[0] is not place:
                return self._end(line[0])
            if place.granted is None or rules.is_over(place.granted.deadline, self._clock()):
                place.granted, place.until = None, self._clock() + rules.PLACE
            return -math.inf

    def hold(self, place: Place, granted: Granted) -> None:
        """Note what the store granted to the one in front."""
        with self._lock:
            place.granted, place.since, place.until = granted, self._clock(), granted.deadline

    def hand_on(self, claim: Claim, deadline: float) -> bool | None:
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
            if front.claim != claim:
                return False
            if len(line) == 1 or self._closed or not self._may_hand_on(line, claim, deadline):
                self._remove(claim.name, line, line[0])
                return None
            since = line.popleft().since
            self._give(line[0], claim, since, deadline)
            return True

    def step_down(self, claim: Claim) -> None:
        """Leave the front, if this claim is still there, and let the next in line ask the store."""
        with self._lock:
            line = self._lines.get(claim.name)
            front = line[0].granted if line else None
            if line is not None and front is not None and front.claim == claim:
                self._remove(claim.name, line, line[0])

    def leave(self, name: str, place: Place) -> Granted | None:
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

    def _may_hand_on(self, line: deque[Place], claim: Claim, deadline: float) -> bool:
        moment = self._clock()
        held, left = moment - line[0].since, deadline - moment
        return rules.may_hand_on(claim.handed + 1, self.fences, held, left, line[1].ttl)

    def _give(self, place: Place, claim: Claim, since: float, deadline: float) -> None:
        passed = claim._replace(ttl=place.ttl, handed=claim.handed + 1)
        place.granted, place.since, place.until = Granted(passed, deadline), since, deadline
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
        while line and rules.is_over(self._end(line[0]), self._clock()):
            line.popleft()
            if line:
                self._call_up(line[0])

    def _end(self, front: Place) -> float:
        held = front.granted
        return front.until if held is None else max(front.until, self._table.deadline(held.claim))
