"""A lock store of advisory locks of PostgreSQL or MariaDB, which belong to the session of a connection.

The server lets go of them when the connection ends, and whoever waits does so in the server, which wakes it. One
connection has all locks that were free when they were asked for; each lock that is waited for has one of its own.
"""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import groupby
from select import POLLIN

from ringfence._forks import tell_of_forks
from ringfence.errors import StoreError
from ringfence.locks import rules
from ringfence.locks.stores import Claim, Holder, Push, Status
from ringfence.locks.stores.listening import Listening
from ringfence.locks.stores.sql.connection import Connection
from ringfence.locks.stores.sql.keeper import Keeper
from ringfence.locks.stores.sql.lines import Hold, Line, Place
from ringfence.locks.stores.sql.session_dialects import SessionDialect
from ringfence.locks.stores.sql.session_view import GLANCE, View
from ringfence.locks.stores.sql.sessions import Sessions, weakly
from ringfence.locks.stores.sql.state import micros
from ringfence.locks.waiter import Waiter
from ringfence.protocol import now

_BATCH = 500


class SessionStore(Listening):
    """Advisory locks of a database; for processes anywhere, but not behind a pooler that shares connections out.

    Args:
        connect: opens a connection, given the seconds to wait for each answer.
        dialect: the statements.
        key: makes the key of the advisory lock from a name.
        timeout: seconds to wait for an answer; the connection is given up then, and all that is held on it.
        clock: seconds; by it what is over is given up.

    Attributes:
        on_lost: called with what was held on a connection that ended.
        session_bound: its leases end with the session of the process that took them.
        closed: nothing is granted any more.
    """

    shared = False
    session_bound = True

    def __init__(
        self,
        connect: Callable[[float], Connection],
        dialect: SessionDialect,
        key: Callable[[str], object],
        *,
        timeout: float = 3.0,
        clock: Callable[[], float] = now,
    ) -> None:
        self.on_lost: Callable[[Sequence[Claim] | None], None] | None = None
        self.closed = False
        self._dialect = dialect
        self._key = key
        self._timeout = timeout
        self._clock = clock
        self._keeper: Keeper | None = None
        self._sessions = Sessions(
            lambda: connect(timeout), dialect, timeout, weakly(self._attend), weakly(self._lost)
        )
        self._view = View(self._sessions, dialect, lambda name: self._key(name), timeout)
        self._start()
        weakref.finalize(self, self._sessions.close)
        tell_of_forks(self)

    def grant(self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1) -> int | None:
        """Give the lock to `owner` and return the fence; None if another has it, or others wait for it."""
        place = self._places.get(
            (name, owner)
        )  # looked for first: it becomes a hold, and never the other way
        if place is not None:
            return self._stay(place)
        hold = self._living(name)
        if hold is not None and hold.claim.owner == owner:
            self._extend(hold.line, ttl, [hold])
            return self._granted(hold.claim)
        claim = Claim(name, owner, 0, ttl)
        fence = self._take(claim, fences)
        if fence is not None:
            return fence
        _, again = self._view.watch(name)
        return self._line_up(claim, fences, self._clock() + again) if queue else None

    def look(self, name: str, owner: str, waiter: Waiter) -> Push | float:
        """Have `waiter` woken when the lock is granted to `owner`; return when it is time to ask again."""
        with self._lock:
            place = self._places.get((name, owner))
            if place is None:
                return 0.0
            place.waiter = waiter
            return place.again - self._clock()

    def renew(self, claims: Sequence[Claim]) -> list[bool]:
        """Extend the leases that are still held; for each claim, say whether it is."""
        holds = [self._held(claim.name, claim.owner, claim.fence) for claim in claims]
        found = [(hold, claim.ttl) for hold, claim in zip(holds, claims, strict=True) if hold is not None]
        for line in {hold.line for hold, _ in found}:
            mine = sorted(((ttl, hold) for hold, ttl in found if hold.line is line), key=lambda one: one[0])
            for ttl, group in groupby(mine, key=lambda one: one[0]):
                self._extend(line, ttl, [hold for _, hold in group])
        return [hold is not None and self._holds.get(hold.claim.name) is hold for hold in holds]

    def release(self, name: str, owner: str, fence: int) -> bool:
        """Free the lock if this owner holds it with this fence, for the next waiter; say whether it did.

        Another process is made to let go of it when it renews its lease.
        """
        hold = self._held(name, owner, fence)
        return self._let_go(hold) if hold is not None else self._view.strike_out(name, owner, fence)

    def withdraw(self, name: str, owner: str) -> None:
        """Free the lock if this owner holds it with whatever fence, and take the owner out of the queue."""
        place = self._places.get((name, owner))
        if place is not None:
            self._leave(place)
        hold = self._holds.get(name)
        if hold is not None and hold.claim.owner == owner:
            self._let_go(hold)

    def status(self, name: str) -> Status:
        """Return who holds a lock; the databases do not tell who waits."""
        return self._view.status(name)

    def leases(self) -> list[Holder]:
        """Return all leases there are, by name."""
        return self._view.leases()

    def close(self) -> None:
        """Close the connections, and with them end all that is held. Closing twice is harmless."""
        self.closed = True
        self._sessions.close()
        if self._keeper is not None:
            self._keeper.stop()

    def forked(self) -> None:
        """Hold nothing, in a forked child: the connections are the parent's."""
        if self._keeper is not None:
            self._keeper.stop()
        self._keeper = None
        self._sessions.start()
        self._start()

    def watched(self) -> tuple[dict[int, int], float]:
        """Return the connections to watch, with what to look for, and in how many seconds something is over."""
        lines = {line.descriptor: 0 if line.place is None else POLLIN for line in self._sessions.all()}
        with self._lock:
            ends = [hold.until for hold in self._holds.values()]
            ends += [place.until for place in self._places.values()]
        return lines, min(ends, default=math.inf) - self._clock()

    def tend(self, happened: Sequence[int]) -> None:
        """Look after the connections to which something happened, and give up what is over."""
        for line in self._sessions.all():
            if line.descriptor in happened:
                self._hear(line)
        moment = self._clock()
        with self._lock:
            holds = [hold for hold in self._holds.values() if rules.is_over(hold.until, moment)]
            places = [place for place in self._places.values() if rules.is_over(place.until, moment)]
        for hold in holds:
            with suppress(StoreError):
                self._let_go(hold)
        for place in places:
            with suppress(StoreError):
                self._leave(place)

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._holds: dict[str, Hold] = {}
        self._places: dict[tuple[str, str], Place] = {}

    def _attend(self) -> None:
        """See to it that the connections are watched."""
        with self._lock:
            if self._keeper is None:
                self._keeper = Keeper(self)
                weakref.finalize(self, self._keeper.stop)
            keeper = self._keeper
        keeper.wake()

    def _living(self, name: str) -> Hold | None:
        """Return what this process holds of a lock, when what is over was given up."""
        hold = self._holds.get(name)
        if hold is not None and rules.is_over(hold.until, self._clock()):
            self._let_go(hold)
            return None
        return hold

    def _held(self, name: str, owner: str, fence: int) -> Hold | None:
        hold = self._living(name)
        if hold is None or not rules.is_holder(hold.claim.owner, hold.claim.fence, owner, fence):
            return None
        return hold

    def _take(self, claim: Claim, fences: int) -> int | None:
        """Take the lock if it is free. A session is granted what it has already, so that is not asked for again."""
        line, key = self._sessions.main(), self._key(claim.name)
        with line.asking:
            if claim.name in line.holds:
                return None
            try:
                rows = self._sessions.ask(line, self._dialect.take, *self._wanted(claim, fences)).rows
            except StoreError:
                self._undo(line, claim.name, key)
                raise
            return self._hold(claim, line, rows[0][0]).claim.fence if rows else None

    def _undo(self, line: Line, name: str, key: object) -> None:
        """Unlock what may have been locked before the rest of the statement failed."""
        if line.has_key(key):  # that of another name with the same key would be unlocked
            self._sessions.drop(line)
        elif not line.connection.closed:
            self._sessions.ask(line, self._dialect.unlock, name, key)

    def _wanted(self, claim: Claim, fences: int) -> tuple[object, ...]:
        key = self._key(claim.name)
        return key, claim.name, key, claim.owner, fences - 1, micros(claim.ttl)

    def _hold(self, claim: Claim, line: Line, fence: int) -> Hold:
        hold = Hold(claim._replace(fence=fence), self._key(claim.name), line, self._clock() + claim.ttl)
        with self._lock:
            self._holds[claim.name] = line.holds[claim.name] = hold
        if self._keeper is not None:
            self._keeper.wake_within(claim.ttl)
        return hold

    def _extend(self, line: Line, ttl: float, holds: Sequence[Hold]) -> None:
        """Extend what is held on a connection, and let go of what was struck out of its row."""
        for start in range(0, len(holds), _BATCH):
            batch = holds[start : start + _BATCH]
            values = [part for hold in batch for part in hold.claim[:3]]
            with line.asking:
                statement = self._dialect.renew(len(batch))
                changed = self._sessions.ask(line, statement, micros(ttl), *values).changed
            if changed == len(batch):
                for hold in batch:
                    hold.until = max(hold.until, self._clock() + ttl)
            elif len(batch) == 1:
                self._let_go(batch[0])
            else:
                for hold in batch:
                    self._extend(line, ttl, [hold])

    def _let_go(self, hold: Hold) -> bool:
        """Unlock, and say whether the lease was not over yet."""
        line = hold.line
        with line.asking:
            if self._holds.get(hold.claim.name) is not hold:
                return False
            held = not rules.is_over(hold.until, self._clock())
            self._sessions.ask(line, self._dialect.unlock, hold.claim.name, hold.key)
            self._drop(hold)
            free = not line.holds
        if free:
            self._sessions.give_back(line)
        return held

    def _stay(self, place: Place) -> int | None:
        """Keep a place; return the fence if the lock was granted meanwhile."""
        place.until = self._clock() + rules.PLACE
        until = now() + self._timeout
        while place.line.place is place and now() < until:
            session, again = self._view.watch(place.claim.name)
            place.again = self._clock() + again
            if session not in (None, place.line.number):
                break
            self._hear(place.line)  # the answer is on its way
            time.sleep(GLANCE)
        return self._granted(place.claim)

    def _line_up(self, claim: Claim, fences: int, again: float) -> int | None:
        """Wait for the lock in the server, on a connection of its own; return the fence if it came at once."""
        line = self._sessions.other()
        place = Place(claim, self._key(claim.name), line, self._clock() + rules.PLACE, again)
        with line.asking:
            try:
                line.connection.send(self._dialect.wait, self._wanted(claim, fences))
            except StoreError:
                self._sessions.drop(line)
                raise
            with self._lock:
                self._places[claim.name, claim.owner] = line.place = place
        self._attend()
        self._view.await_place(place)
        return self._granted(claim)

    def _granted(self, claim: Claim) -> int | None:
        hold = self._holds.get(claim.name)
        return hold.claim.fence if hold is not None and hold.claim.owner == claim.owner else None

    def _hear(self, line: Line) -> None:
        """Read what came on a connection: a grant, or its end."""
        with line.asking:
            if line.connection.is_sound():
                return
            if line.place is None:
                self._sessions.drop(line)
                return
            place = line.place
            try:
                answer = line.connection.receive()
            except StoreError:
                self._sessions.drop(line)
                return
            if answer is None:
                return
            if answer.rows:
                self._hold(place.claim, line, answer.rows[0][0])
            self._forget(place)
        if not answer.rows:
            self._sessions.give_back(line)
        place.wake()

    def _drop(self, hold: Hold) -> None:
        name = hold.claim.name
        with self._lock:
            hold.line.holds.pop(name, None)
            if self._holds.get(name) is hold:  # the next one may have been granted it already
                del self._holds[name]

    def _forget(self, place: Place) -> None:
        with self._lock:
            place.line.place = None
            self._places.pop((place.claim.name, place.claim.owner), None)

    def _leave(self, place: Place) -> None:
        """End the session that waits, for there is no better way out of its queue, and what it is granted meanwhile."""
        line = place.line
        with line.asking:
            if line.place is not place:
                return
            self._forget(place)
            with suppress(StoreError):  # closing it will do, if that is heard
                self._view.end(line.number)
        self._sessions.drop(line)

    def _lost(self, line: Line) -> None:
        """Tell of what was held on a connection that ended, and let who waited on it ask again."""
        with self._lock:
            holds, place = list(line.holds.values()), line.place
        for hold in holds:
            self._drop(hold)
        if place is not None:
            self._forget(place)
            place.wake()
        claims = [hold.claim for hold in holds]
        if claims and self.on_lost is not None:
            self.on_lost(claims)
