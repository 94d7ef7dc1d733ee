"""The rows of locks that several may hold at once."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from ringfence._sqlite import Connection
from ringfence.locks import rules
from ringfence.locks.stores import Claim, Holder, Shared, Status
from ringfence.locks.stores.sqlite.rows import Rows, boot_id

_COLUMNS = 'name, owner, asked, "of", fence, deadline, ttl, boot'
_PLACE = 'number, name, owner, asked, "of", ttl, fences, deadline, boot'


class Share(NamedTuple):
    """What one owner holds of a lock."""

    name: str
    owner: str
    asked: int
    of: int
    fence: int
    deadline: float
    ttl: float
    boot: str


class Place(NamedTuple):
    """A place in the queue of a lock."""

    number: int
    name: str
    owner: str
    asked: int
    of: int
    ttl: float
    fences: int
    deadline: float
    boot: str


class SharedLocks(Rows):
    """What a lock store does, for names that are `Shared`.

    Waiters that are granted their shares are added to `connection.companion`, to be woken after the transaction.
    """

    TABLES = (
        """CREATE TABLE IF NOT EXISTS ringfence_share (
            name TEXT NOT NULL,
            owner TEXT NOT NULL,
            asked INTEGER NOT NULL,
            "of" INTEGER NOT NULL,
            fence INTEGER NOT NULL,
            deadline REAL NOT NULL,
            ttl REAL NOT NULL,
            boot TEXT NOT NULL,
            PRIMARY KEY (name, owner)
        ) WITHOUT ROWID""",
        """CREATE TABLE IF NOT EXISTS ringfence_share_queue (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL,
            owner TEXT NOT NULL,
            asked INTEGER NOT NULL,
            "of" INTEGER NOT NULL,
            ttl REAL NOT NULL,
            fences INTEGER NOT NULL,
            deadline REAL NOT NULL,
            boot TEXT NOT NULL,
            UNIQUE (name, owner)
        )""",
    )

    def is_taken(self, connection: Connection, name: Shared, owner: str) -> bool:
        """Say whether `owner` has no share and there is no room, or others wait, without changing anything."""
        held = self._shares(connection, name)
        if any(share.owner == owner or self._is_over(share) for share in held):
            return False
        first = self._first(connection, name)
        if first is not None:
            return not self._is_dead(first)
        return not rules.fits(_taken(held), name.asked, name.of)

    def grant(
        self, connection: Connection, name: Shared, owner: str, ttl: float, queue: bool, fences: int
    ) -> int | None:
        """Give `owner` its share and return the fence; None if there is no room, or others wait."""
        held = self._settled(connection, name)
        if owner in held:
            return self._extend(connection, held[owner], ttl).fence
        fits = rules.fits(_taken(held.values()), name.asked, name.of)
        if fits and self._first(connection, name) is None:
            return self._put(connection, name, owner, self.issue(connection, fences), ttl).fence
        if queue:
            self._line_up(connection, name, owner, ttl, fences)
        return None

    def seen(self, connection: Connection, name: Shared, owner: str) -> Share | float:
        """Return what `owner`, who waits, has been granted; else in how many seconds to look again."""
        held = self._shares(connection, name)
        for share in held:
            if share.owner == owner and not self._is_over(share):
                return share
        first = self._first(connection, name)
        if first is None or self._is_dead(first) or self._would_pass_on(held, first):
            return 0.0
        return self.patience(min(share.deadline for share in held), is_next=first.owner == owner)

    def renew(self, connection: Connection, claim: Claim) -> bool:
        """Extend a lease that is still held; say whether it is."""
        share = self._held(connection, claim.name, claim.owner, claim.fence)
        if share is not None:
            self._extend(connection, share, claim.ttl)
        return share is not None

    def release(self, connection: Connection, name: str, owner: str, fence: int) -> bool:
        """Free the share if this owner holds it with this fence; say whether it did."""
        share = self._held(connection, name, owner, fence)
        if share is not None:
            self._take_away(connection, name, owner)
            self._settled(connection, name)
        return share is not None

    def withdraw(self, connection: Connection, name: str, owner: str) -> None:
        """Free the owner's share with whatever fence, and take the owner out of the queue."""
        connection.execute("DELETE FROM ringfence_share_queue WHERE name = ? AND owner = ?", (name, owner))
        self._take_away(connection, name, owner)
        self._settled(connection, name)

    def status(self, connection: Connection, name: str) -> Status:
        """Return who holds a lock, and who waits for it."""
        held = self._living(connection, name).values()
        places = self._places(connection, name)
        waiting = tuple(place.owner for place in places if not self._is_dead(place))
        return Status(tuple(map(self._holder, sorted(held, key=lambda share: share.fence))), waiting)

    def leases(self, connection: Connection) -> list[Holder]:
        """Return all leases there are."""
        rows = connection.execute(f"SELECT {_COLUMNS} FROM ringfence_share").fetchall()
        return [self._holder(share) for share in map(Share._make, rows) if not self._is_over(share)]

    def _settled(self, connection: Connection, name: str) -> dict[str, Share]:
        """Return who holds a lock, when the shares that ended were passed on."""
        held = self._living(connection, name)
        for share in self._shares(connection, name):
            if share.owner not in held:
                self._take_away(connection, name, share.owner)
        self._pass_on(connection, name, held)
        return held

    def _pass_on(self, connection: Connection, name: str, held: dict[str, Share]) -> None:
        """Grant the lock to as many from the head of the queue as there is room for; the dead are skipped."""
        while (place := self._first(connection, name)) is not None:
            dead = self._is_dead(place)
            if not dead and not rules.fits(_taken(held.values()), place.asked, place.of):
                return
            connection.execute("DELETE FROM ringfence_share_queue WHERE number = ?", (place.number,))
            if not dead:
                connection.companion.append((name, place.owner))
                wanted, fence = Shared(name, place.asked, place.of), self.issue(connection, place.fences)
                held[place.owner] = self._put(connection, wanted, place.owner, fence, place.ttl)

    def _would_pass_on(self, held: list[Share], first: Place) -> bool:
        living = [share for share in held if not self._is_over(share)]
        return len(living) < len(held) or rules.fits(_taken(living), first.asked, first.of)

    def _first(self, connection: Connection, name: str) -> Place | None:
        return next(iter(self._places(connection, name, 1)), None)

    def _places(self, connection: Connection, name: str, most: int = -1) -> list[Place]:
        select = f"SELECT {_PLACE} FROM ringfence_share_queue WHERE name = ? ORDER BY number LIMIT ?"
        return [Place._make(row) for row in connection.execute(select, (name, most)).fetchall()]

    def _line_up(self, connection: Connection, name: Shared, owner: str, ttl: float, fences: int) -> None:
        connection.execute(
            'INSERT INTO ringfence_share_queue (name, owner, asked, "of", ttl, fences, deadline, boot)'
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name, owner) DO UPDATE SET ttl = excluded.ttl,"
            " fences = excluded.fences, deadline = excluded.deadline, boot = excluded.boot",
            (name, owner, name.asked, name.of, ttl, fences, self.clock() + rules.PLACE, boot_id()),
        )

    def _extend(self, connection: Connection, share: Share, ttl: float) -> Share:
        if share.deadline >= self.clock() + ttl:
            return share
        name = Shared(share.name, share.asked, share.of)
        return self._put(connection, name, share.owner, share.fence, ttl)

    def _put(self, connection: Connection, name: Shared, owner: str, fence: int, ttl: float) -> Share:
        share = Share(name, owner, name.asked, name.of, fence, self.clock() + ttl, ttl, boot_id())
        connection.execute(
            f"INSERT OR REPLACE INTO ringfence_share ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", share
        )
        return share

    def _take_away(self, connection: Connection, name: str, owner: str) -> None:
        connection.execute("DELETE FROM ringfence_share WHERE name = ? AND owner = ?", (name, owner))

    def _shares(self, connection: Connection, name: str) -> list[Share]:
        select = f"SELECT {_COLUMNS} FROM ringfence_share WHERE name = ?"
        return [Share._make(row) for row in connection.execute(select, (name,)).fetchall()]

    def _living(self, connection: Connection, name: str) -> dict[str, Share]:
        return {share.owner: share for share in self._shares(connection, name) if not self._is_over(share)}

    def _held(self, connection: Connection, name: str, owner: str, fence: int) -> Share | None:
        select = f"SELECT {_COLUMNS} FROM ringfence_share WHERE name = ? AND owner = ?"
        for share in map(Share._make, connection.execute(select, (name, owner)).fetchall()):
            if not self._is_over(share) and rules.is_holder(share.owner, share.fence, owner, fence):
                return share
        return None

    def _is_over(self, share: Share) -> bool:
        return self.has_ended(share.deadline, share.ttl, share.boot)

    def _is_dead(self, place: Place) -> bool:
        return self.has_ended(place.deadline, rules.PLACE, place.boot)

    def _holder(self, share: Share) -> Holder:
        name = Shared(share.name, share.asked, share.of)
        return Holder(name, share.owner, share.fence, share.deadline - self.clock())


def _taken(shares: Collection[Share]) -> int:
    return sum(share.asked for share in shares)
