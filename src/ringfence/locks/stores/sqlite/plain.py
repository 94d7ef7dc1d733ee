"""The rows of locks that one holds at a time."""

from __future__ import annotations

from typing import NamedTuple

from ringfence._sqlite import Connection
from ringfence.locks import rules
from ringfence.locks.stores import Claim, Holder, Status
from ringfence.locks.stores.sqlite.rows import Rows, boot_id

_COLUMNS = "name, owner, fence, deadline, ttl, boot"
_PLACE = "number, owner, ttl, fences, deadline, boot"


class Lease(NamedTuple):
    """Who holds a lock."""

    name: str
    owner: str
    fence: int
    deadline: float
    ttl: float
    boot: str


class Place(NamedTuple):
    """A place in the queue of a lock."""

    number: int
    owner: str
    ttl: float
    fences: int
    deadline: float
    boot: str


class PlainLocks(Rows):
    """What a lock store does, for names that are not `Shared`.

    A waiter that is granted a lock is added to `connection.companion`, to be woken after the transaction.
    """

    TABLES = (
        """CREATE TABLE IF NOT EXISTS ringfence_lease (
            name TEXT PRIMARY KEY,
            owner TEXT NOT NULL,
            fence INTEGER NOT NULL,
            deadline REAL NOT NULL,
            ttl REAL NOT NULL,
            boot TEXT NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE IF NOT EXISTS ringfence_queue (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL,
            owner TEXT NOT NULL,
            ttl REAL NOT NULL,
            fences INTEGER NOT NULL,
            deadline REAL NOT NULL,
            boot TEXT NOT NULL,
            UNIQUE (name, owner)
        )""",
    )

    def is_taken(self, connection: Connection, name: str, owner: str) -> bool:
        """Say whether another holds the lock, without changing anything."""
        lease = self._read(connection, name)
        return lease is not None and lease.owner != owner and not self._is_over(lease)

    def grant(
        self, connection: Connection, name: str, owner: str, ttl: float, queue: bool, fences: int
    ) -> int | None:
        """Give the lock to `owner` and return the fence; None if another has it, or others wait for it."""
        lease = self._settled(connection, name)
        if lease is None:
            return self._put(connection, name, owner, self.issue(connection, fences), ttl).fence
        if lease.owner == owner:
            return self._extend(connection, lease, ttl).fence
        if queue:
            self._line_up(connection, name, owner, ttl, fences)
        return None

    def seen(self, connection: Connection, name: str, owner: str) -> Lease | float:
        """Return what `owner`, who waits, has been granted; else in how many seconds to look again."""
        lease = self._read(connection, name)
        if lease is None or self._is_over(lease):
            return 0.0
        if lease.owner == owner:
            return lease
        first = self._first(connection, name)
        return self.patience(lease.deadline, is_next=first is not None and first.owner == owner)

    def renew(self, connection: Connection, claim: Claim) -> bool:
        """Extend a lease that is still held; say whether it is."""
        lease = self._settled(connection, claim.name)
        if lease is None or not rules.is_holder(lease.owner, lease.fence, claim.owner, claim.fence):
            return False
        self._extend(connection, lease, claim.ttl)
        return True

    def release(self, connection: Connection, name: str, owner: str, fence: int) -> bool:
        """Free the lock if this owner holds it with this fence; say whether it did."""
        lease = self._settled(connection, name)
        if lease is None or not rules.is_holder(lease.owner, lease.fence, owner, fence):
            return False
        self._hand_on(connection, name)
        return True

    def withdraw(self, connection: Connection, name: str, owner: str) -> None:
        """Free the lock if this owner holds it with whatever fence, and take the owner out of the queue."""
        connection.execute("DELETE FROM ringfence_queue WHERE name = ? AND owner = ?", (name, owner))
        lease = self._read(connection, name)
        if lease is not None and lease.owner == owner:
            self._hand_on(connection, name)

    def status(self, connection: Connection, name: str) -> Status:
        """Return who holds a lock, and who waits for it."""
        lease = self._read(connection, name)
        held = () if lease is None or self._is_over(lease) else (self._holder(lease),)
        places = self._places(connection, name)
        return Status(held, tuple(place.owner for place in places if not self._is_dead(place)))

    def leases(self, connection: Connection) -> list[Holder]:
        """Return all leases there are."""
        rows = connection.execute(f"SELECT {_COLUMNS} FROM ringfence_lease").fetchall()
        return [self._holder(lease) for lease in map(Lease._make, rows) if not self._is_over(lease)]

    def _settled(self, connection: Connection, name: str) -> Lease | None:
        """Return who holds a lock, when one that ended was handed on."""
        lease = self._read(connection, name)
        return self._hand_on(connection, name) if lease is not None and self._is_over(lease) else lease

    def _hand_on(self, connection: Connection, name: str) -> Lease | None:
        """Grant a lock that nobody holds any more to the first waiter whose place has not ended."""
        while (place := self._first(connection, name)) is not None:
            connection.execute("DELETE FROM ringfence_queue WHERE number = ?", (place.number,))
            if not self._is_dead(place):
                connection.companion.append((name, place.owner))
                fence = self.issue(connection, place.fences)
                return self._put(connection, name, place.owner, fence, place.ttl)
        connection.execute("DELETE FROM ringfence_lease WHERE name = ?", (name,))
        return None

    def _first(self, connection: Connection, name: str) -> Place | None:
        return next(iter(self._places(connection, name, 1)), None)

    def _places(self, connection: Connection, name: str, most: int = -1) -> list[Place]:
        select = f"SELECT {_PLACE} FROM ringfence_queue WHERE name = ? ORDER BY number LIMIT ?"
        return [Place._make(row) for row in connection.execute(select, (name, most)).fetchall()]

    def _line_up(self, connection: Connection, name: str, owner: str, ttl: float, fences: int) -> None:
        connection.execute(
            "INSERT INTO ringfence_queue (name, owner, ttl, fences, deadline, boot) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (name, owner) DO UPDATE SET ttl = excluded.ttl, fences = excluded.fences,"
            " deadline = excluded.deadline, boot = excluded.boot",
            (name, owner, ttl, fences, self.clock() + rules.PLACE, boot_id()),
        )

    def _extend(self, connection: Connection, lease: Lease, ttl: float) -> Lease:
        if lease.deadline >= self.clock() + ttl:
            return lease
        return self._put(connection, lease.name, lease.owner, lease.fence, ttl)

    def _put(self, connection: Connection, name: str, owner: str, fence: int, ttl: float) -> Lease:
        lease = Lease(name, owner, fence, self.clock() + ttl, ttl, boot_id())
        connection.execute(
            f"INSERT OR REPLACE INTO ringfence_lease ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", lease
        )
        return lease

    def _read(self, connection: Connection, name: str) -> Lease | None:
        select = f"SELECT {_COLUMNS} FROM ringfence_lease WHERE name = ?"
        found = connection.execute(select, (name,)).fetchall()
        return Lease._make(found[0]) if found else None

    def _is_over(self, lease: Lease) -> bool:
        return self.has_ended(lease.deadline, lease.ttl, lease.boot)

    def _is_dead(self, place: Place) -> bool:
        return self.has_ended(place.deadline, rules.PLACE, place.boot)

    def _holder(self, lease: Lease) -> Holder:
        return Holder(lease.name, lease.owner, lease.fence, lease.deadline - self.clock())
