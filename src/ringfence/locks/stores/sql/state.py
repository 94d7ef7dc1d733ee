"""All that a database knows of one lock, and how it changes: who holds it, who waits, and the last fence.

It is one row: the first holder in columns of its own, so that a lock nobody waits for is taken and given back by a
plain statement, and the rest as JSON. Times are microseconds since 2020 on the server's clock.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ringfence.locks import rules
from ringfence.locks.stores import Holder, Push, Shared, Status

_YEAR_2020 = 1_577_836_800


class Held(NamedTuple):
    """One who holds the lock.

    Attributes:
        owner: the id of the acquisition; empty for nobody.
        fence: of the grant.
        deadline: when it ends.
        share: how many shares it has; 1 of 1 where the lock is not shared.
        of: how many there are.
        waited: from when its place in the queue was made until the grant.
    """

    owner: str
    fence: int
    deadline: int
    share: int = 1
    of: int = 1
    waited: int = 0


class Place(NamedTuple):
    """One who waits.

    Attributes:
        owner: the id of the acquisition.
        ttl: for how long it wants the lock.
        fences: how many numbers it wants.
        share: how many shares it wants.
        of: how many there are.
        made: when it came.
        until: when the place ends.
    """

    owner: str
    ttl: int
    fences: int
    share: int
    of: int
    made: int
    until: int


NOBODY = Held("", 0, 0)


@dataclass(slots=True)
class State:
    """The state of one lock at one moment; each method leaves it settled.

    Attributes:
        now: the moment.
        last: the last fence that was issued.
        holders: by fence.
        queue: in the order in which they came.
    """

    now: int
    last: int
    holders: list[Held]
    queue: list[Place]

    @classmethod
    def read(cls, now: int, last: int, first: Held, rest: str) -> State:
        """Return the state that is kept in these columns."""
        more: dict[str, Any] = json.loads(rest) if rest else {}
        holders = [Held(*held) for held in more.get("holders", ())]
        queue = [Place(*place) for place in more.get("queue", ())]
        return cls(now, last, [first, *holders] if first.owner else holders, queue)

    def first(self) -> Held:
        """Return what goes into the columns of the first holder."""
        return self.holders[0] if self.holders else NOBODY

    def rest(self) -> str:
        """Return what goes into the column of the rest; empty where there is none."""
        if len(self.holders) <= 1 and not self.queue:
            return ""
        return json.dumps({"holders": self.holders[1:], "queue": self.queue}, separators=(",", ":"))

    def grant(self, wanted: Place, queue: bool) -> int | None:
        """Give the lock to who wants it, or a place in the queue if that is asked for; return the fence."""
        self.settle()
        if (held := self.held_by(wanted.owner)) is not None:
            self._extend(held, wanted.ttl)
            return held.fence
        if not self.queue and self._has_room(wanted):
            self._put(wanted, 0)
            return self.holders[-1].fence
        if queue:
            self._line_up(wanted)
        return None

    def renew(self, owner: str, fence: int, ttl: int) -> bool:
        """Extend a lease that is still held; say whether it is."""
        self.settle()
        held = self.held_by(owner)
        if held is None or not rules.is_holder(held.owner, held.fence, owner, fence):
            return False
        self._extend(held, ttl)
        return True

    def release(self, owner: str, fence: int) -> bool:
        """End a lease that is still held, and grant what became free; say whether it was."""
        self.settle()
        held = self.held_by(owner)
        if held is None or not rules.is_holder(held.owner, held.fence, owner, fence):
            return False
        self.holders.remove(held)
        self.settle()
        return True

    def withdraw(self, owner: str) -> None:
        """End whatever this owner has: a lease, or a place in the queue."""
        self.holders = [held for held in self.holders if held.owner != owner]
        self.queue = [place for place in self.queue if place.owner != owner]
        self.settle()

    def settle(self) -> None:
        """Forget who is over, and grant what is free to as many from the head of the queue as fit."""
        self.holders = [held for held in self.holders if not rules.is_over(held.deadline, self.now)]
        self.queue = [place for place in self.queue if not rules.is_over(place.until, self.now)]
        while self.queue and self._has_room(self.queue[0]):
            place = self.queue.pop(0)
            self._put(place, self.now - place.made)

    def held_by(self, owner: str) -> Held | None:
        """Return what an owner holds."""
        return next((held for held in self.holders if held.owner == owner), None)

    def pushed(self, owner: str) -> Push | None:
        """Return the grant that was made to an owner, if it is not over."""
        held = self.held_by(owner)
        if held is None or rules.is_over(held.deadline, self.now):
            return None
        return Push(held.fence, held.waited / 1e6)

    def position(self, owner: str) -> int | None:
        """Return how many wait in front of an owner; None where it has no place."""
        return next((at for at, place in enumerate(self.queue) if place.owner == owner), None)

    def status(self, name: str) -> Status:
        """Return who holds the lock, and who waits for it."""
        holders = [held for held in self.holders if not rules.is_over(held.deadline, self.now)]
        waiting = [place.owner for place in self.queue if not rules.is_over(place.until, self.now)]
        return Status(tuple(self.holder(name, held) for held in holders), tuple(waiting))

    def holder(self, name: str, held: Held) -> Holder:
        """Return a holder as others see it."""
        if isinstance(name, Shared):
            name = Shared(name, held.share, held.of)
        return Holder(name, held.owner, held.fence, (held.deadline - self.now) / 1e6)

    def _has_room(self, wanted: Place) -> bool:
        return rules.fits(sum(held.share for held in self.holders), wanted.share, wanted.of)

    def _put(self, wanted: Place, waited: int) -> None:
        fence = rules.next_fence(self.last, _YEAR_2020 + self.now / 1e6)
        self.last = fence + wanted.fences - 1
        self.holders.append(Held(wanted.owner, fence, self.now + wanted.ttl, wanted.share, wanted.of, waited))

    def _extend(self, held: Held, ttl: int) -> None:
        deadline = max(held.deadline, self.now + ttl)
        self.holders[self.holders.index(held)] = held._replace(deadline=deadline)

    def _line_up(self, wanted: Place) -> None:
        at = self.position(wanted.owner)
        if at is None:
            self.queue.append(wanted)
        else:
            self.queue[at] = wanted._replace(made=self.queue[at].made)


def by_name(holders: Sequence[Holder]) -> list[Holder]:
    """Return leases as they are listed: by name, then by fence."""
    return sorted(holders, key=lambda holder: (holder.name, holder.fence))


def micros(seconds: float) -> int:
    """Return seconds in microseconds, rounded up, so that no lease ends early."""
    return math.ceil(seconds * 1e6)
