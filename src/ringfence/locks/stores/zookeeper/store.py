"""The lock store in ZooKeeper."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial

from ringfence._core.leases import LeaseTable
from ringfence._forks import tell_of_forks
from ringfence.errors import InvalidValue, OutcomeUnknown, StoreError, StoreTimeout
from ringfence.locks import rules
from ringfence.locks.session import Alarm, watch
from ringfence.locks.stores import Claim, Holder, Push, Status, heads
from ringfence.locks.stores.listening import Listening
from ringfence.locks.stores.zookeeper import nodes
from ringfence.locks.stores.zookeeper.client import Client
from ringfence.locks.stores.zookeeper.nodes import Node
from ringfence.locks.stores.zookeeper.opening import target
from ringfence.locks.stores.zookeeper.requests import Requests
from ringfence.locks.stores.zookeeper.seat import Seat, Watches
from ringfence.locks.waiter import Waiter
from ringfence.protocol import now

_AGAIN = 1.0
"""Seconds after which a deletion that was not answered is asked for again."""


class ZooKeeperStore(Listening):
    """Leases and places in the line as ephemeral nodes of one session, for processes anywhere.

    The first in line holds the lock, and each waiter watches the node before it. Nobody but its own process deletes a
    node: a thread does so when a lease or a place has ended. When the process dies, or cannot be heard, the servers
    end its session, and all its leases and places with it.

    Args:
        url: `zookeeper://host:port,host:port/path?session=20`; see `ringfence.LockManager.from_url`.
        clock: seconds; by it the leases and places of this process end.

    Attributes:
        session_bound: its leases end with the session of the process that took them.
        on_lost: called with None by a thread of the driver when the session is lost.

    Raises:
        InvalidType: `url` is not a string.
        InvalidValue: it is no such URL.
    """

    shared = True
    session_bound = True
    on_lost: Callable[[Sequence[Claim] | None], None] | None = None

    def __init__(self, url: str, clock: Callable[[], float] = now) -> None:
        where = target(url)
        self._clock = clock
        self._base = where.base
        self._client = Client(where, self._lost)
        self._requests = Requests(where, self._client)
        self.closed = False
        self._start()
        tell_of_forks(self)

    def _start(self) -> None:
        self.table = LeaseTable()
        self._seats: dict[tuple[str, str], Seat] = {}
        self._watches = Watches()
        self._lock = threading.RLock()
        self._alarm = Alarm()
        self._watcher: threading.Thread | None = None

    def forked(self) -> None:
        """Hold nothing, and have no session, in a forked child: they are the parent's."""
        self._client.forked()
        self._start()

    def grant(self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1) -> int | None:
        """Give the lock to `owner` and return the fence; None if another has it, or others wait for it."""
        self._check(ttl, fences)
        self._connected()
        self._client.check(ttl)  # now that it is known what the servers agree to
        if not (queue or self._seat(name, owner) or self._has_room(name)):
            return None
        while True:
            seat = self._entered(name, owner, ttl)
            line = self._line(seat)
            at = nodes.place(line, seat.path)
            if at is None:
                self._drop(seat)  # its node was deleted, or never made
            elif at < heads.holding(line):
                if self._keep(seat, self._clock() + ttl):
                    return seat.fence
            elif not queue:
                self._delete(seat)
                return None
            elif self._keep_waiting(seat, nodes.in_the_way(line, at)):
                return None

    def look(self, name: str, owner: str, waiter: Waiter) -> Push | float:
        """Have `waiter` woken when it is time to ask again; ZooKeeper cannot tell when it made a grant."""
        with self._lock:
            seat = self._seat(name, owner)
            if seat is None or seat.called or seat.held:
                return 0.0
            seat.waiter = waiter
            return math.inf

    def renew(self, claims: Sequence[Claim]) -> list[bool]:
        """Extend the leases that are still held; for each claim, say whether it is."""
        for claim in claims:
            self._client.check(claim.ttl)
        self._connected()
        seats = [self._held(claim.name, claim.owner, claim.fence) for claim in claims]
        there = self._requests.there({seat.path for seat in seats if seat is not None})
        return [
            seat is not None and seat.path in there and self._keep(seat, self._clock() + claim.ttl)
            for seat, claim in zip(seats, claims, strict=True)
        ]

    def release(self, name: str, owner: str, fence: int) -> bool:
        """Free the lock if this owner holds it with this fence, for the next waiter; say whether it did."""
        self._connected()
        seat = self._held(name, owner, fence)
        if seat is not None:
            return self._delete(seat)
        return self._seat(name, owner) is None and self._break(name, owner, fence)

    def withdraw(self, name: str, owner: str) -> None:
        """Free the lock if this owner holds it with whatever fence, and take the owner out of the line."""
        if not self._client.was_connected:
            return  # nothing can be there
        self._connected()
        seat = self._seat(name, owner)
        if seat is not None and seat.path:
            self._delete(seat)
            return
        folder = nodes.folder(self._base, name)
        for node in nodes.of_owner(self._requests.line(folder), owner):
            self._requests.delete(f"{folder}/{node.name}")
        if seat is not None:
            self._drop(seat)

    def status(self, name: str) -> Status:
        """Return who holds a lock, and who waits for it."""
        self._connected()
        line = self._requests.line(nodes.folder(self._base, name))
        holding = heads.holding(line)
        holders = self._holders([(name, node) for node in line[:holding]])
        return Status(tuple(holders), tuple(node.owner for node in line[holding:]))

    def leases(self) -> list[Holder]:
        """Return all leases there are, by name and then by fence."""
        self._connected()
        lines = self._requests.lines()
        return self._holders([(name, node) for name, line in lines for node in line[: heads.holding(line)]])

    def close(self) -> None:
        """End the session, and with it all leases and places of this store. Closing twice is harmless."""
        self.closed = True
        self._alarm.stop()
        self._client.close()

    def tick(self) -> None:
        """Delete the nodes whose lease or place has ended."""
        with self._lock:
            for seat in self.table.due(self._clock())[1]:
                self._drop(seat)
                self._requests.clear(seat, partial(self._is_back, seat), partial(self._retry, seat))

    def _check(self, ttl: float, fences: int) -> None:
        self._client.check(ttl)
        if fences > nodes.BLOCK:
            raise InvalidValue(f"a grant of ZooKeeper has {nodes.BLOCK} fences, not {fences}")

    def _connected(self) -> None:
        self._client.connected()
        self.tick()

    def _seat(self, name: str, owner: str) -> Seat | None:
        return self._seats.get((nodes.folder(self._base, name), owner))

    def _held(self, name: str, owner: str, fence: int) -> Seat | None:
        seat = self._seat(name, owner)
        if seat is None or not seat.held or not rules.is_holder(seat.owner, seat.fence, owner, fence):
            return None
        return seat

    def _has_room(self, name: str) -> bool:
        """Say whether one who came now would hold the lock; so one who only asks does not stand in line for it."""
        line = self._requests.line(nodes.folder(self._base, name))
        return heads.holding([*line, nodes.newcomer(name)]) > len(line)

    def _entered(self, name: str, owner: str, ttl: float) -> Seat:
        """Return the seat of an owner, for whom it is not time to ask again yet; at first it is kept like a place."""
        folder = nodes.folder(self._base, name)
        with self._lock:
            seat = self._seats.get((folder, owner))
            if seat is None:
                seat = Seat(folder, owner, f"{folder}/{nodes.prefix(name, owner)}", ttl)
                self._seats[folder, owner] = seat
                self._end(seat, self._clock() + rules.PLACE)
            seat.ttl, seat.called = ttl, False
            return seat

    def _line(self, seat: Seat) -> list[Node]:
        """Return the line in which a seat has its node, if it has one still, and no other node of its owner.

        Such are of a session that is lost, or were asked for in one and made in the next; nobody else deletes these.
        """
        line = self._look_up(seat) if seat.made else self._make(seat)
        path = seat.path
        for node in nodes.of_owner(line, seat.owner):
            if f"{seat.folder}/{node.name}" != path:
                seat.path = ""  # all of them are looked for by name, until this one is known to be gone
                self._requests.delete(f"{seat.folder}/{node.name}")
                line.remove(node)
        seat.path = path
        return line

    def _look_up(self, seat: Seat) -> list[Node]:
        line = self._requests.line(seat.folder, seat.ttl if seat.path else math.inf)
        if not seat.path:
            self._requests.find(seat, nodes.of_owner(line, seat.owner))
        return line

    def _make(self, seat: Seat) -> list[Node]:
        seat.made = True
        try:
            return self._requests.make(seat)
        except (OutcomeUnknown, StoreTimeout):
            if not self._is_known(seat):  # its session was lost, but the next one may make the node yet
                self._retry(seat)
            raise
        except StoreError:
            self._drop(seat)
            raise

    def _keep(self, seat: Seat, until: float) -> bool:
        """Note that a seat holds the lock; False if its time ended, or its session was lost, in the meantime."""
        with self._lock:
            if not self._is_known(seat):
                return False
            if seat.held:
                return self.table.extend(seat, until)
            seat.held = True
            self._watches.leave(seat)
            self._end(seat, until)
            return True

    def _keep_waiting(self, seat: Seat, ahead: list[Node]) -> bool:
        """Have a seat called when one of the nodes goes; False if it is no longer there itself."""
        paths = [f"{seat.folder}/{node.name}" for node in ahead]
        with self._lock:
            if not self._is_known(seat):
                return False
            self._watches.leave(seat)
            unwatched = [path for path in paths if self._watches.add(path, seat)]
            self._end(seat, self._clock() + rules.PLACE)
        for path in unwatched:
            self._requests.watch(path, partial(self._gone, path))
        return True

    def _gone(self, path: str) -> None:
        """Call those who waited for a node to go; who does not ask again is not waited for longer than its ttl."""
        with self._lock:
            for seat in self._watches.pop(path):
                seat.call()
                self._end(seat, min(self.table.deadline(seat), self._clock() + seat.ttl))

    def _end(self, seat: Seat, due: float) -> None:
        """Have a seat ended at some time."""
        self.table.add(seat, due)
        if self._watcher is None:
            self._watcher = threading.Thread(
                target=watch, args=(weakref.ref(self), self._alarm), name="ringfence-zookeeper", daemon=True
            )
            self._watcher.start()
        self._alarm.ring_before(due)

    def _retry(self, seat: Seat) -> None:
        with self._lock:
            self._end(seat, self._clock() + _AGAIN)

    def _is_known(self, seat: Seat) -> bool:
        return self._seats.get((seat.folder, seat.owner)) is seat

    def _is_back(self, seat: Seat) -> bool:
        """Say whether an owner whose seat ended has another one now."""
        return (seat.folder, seat.owner) in self._seats

    def _delete(self, seat: Seat) -> bool:
        """Delete the node of a seat and forget the seat, once it is known to be gone; say whether it was there."""
        was_there = self._requests.delete(seat.path)
        self._drop(seat)
        self._gone(seat.path)  # those of this process need not hear it from the servers
        return was_there

    def _drop(self, seat: Seat) -> None:
        with self._lock:
            self.table.discard(seat)
            self._watches.leave(seat)
            if self._is_known(seat):
                del self._seats[seat.folder, seat.owner]

    def _break(self, name: str, owner: str, fence: int) -> bool:
        """Free a lock that another process holds."""
        folder = nodes.folder(self._base, name)
        line = self._requests.line(folder)
        own = nodes.of_owner(line[: heads.holding(line)], owner)
        held = self._requests.holders([(name, node) for node in own[:1]])
        return bool(held) and held[0].fence == fence and self._requests.delete(f"{folder}/{own[0].name}")

    def _holders(self, named: list[tuple[str, Node]]) -> list[Holder]:
        return [self._timed(holder) for holder in self._requests.holders(named)]

    def _timed(self, holder: Holder) -> Holder:
        seat = self._held(holder.name, holder.owner, holder.fence)
        return (
            holder
            if seat is None
            else holder._replace(remaining=max(self.table.deadline(seat) - self._clock(), 0.0))
        )

    def _lost(self) -> None:
        with self._lock:
            seats, self._seats, self._watches = self._seats, {}, Watches()
            for seat in self.table.leases():
                self.table.discard(seat)
            for seat in seats.values():
                seat.call()
        if self.on_lost is not None:
            self.on_lost(None)
