"""A lock store in an SQLite file, for the processes of one machine.

Each change is one durable transaction: a fence that was handed out is on disk. Deadlines are kept on the clock that
runs on in suspend, with the id of the boot, so that a lease outlives its process and ends with its ttl or with the
machine. The fence counter is a row that is never removed; should the file be lost, fences go on from the time of day.

Waiters queue in a table, each with a number from one sequence. Whoever frees a lock grants it to the first of them in
the same transaction, and wakes it if it waits in this process; those of other processes look every 25 ms, the first of
them every 2.
"""

from __future__ import annotations

import functools
import os
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ringfence._sqlite import Connection, Pool, immediate, translating
from ringfence.locks import rules
from ringfence.locks.stores import Claim, Holder, Push, Status
from ringfence.locks.stores.listening import Listening
from ringfence.locks.waiter import Waiter
from ringfence.protocol import now

_TABLES = (
    """CREATE TABLE IF NOT EXISTS ringfence_lease (
        name TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        fence INTEGER NOT NULL,
        deadline REAL NOT NULL,
        ttl REAL NOT NULL,
        boot TEXT NOT NULL
    ) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS ringfence_fence (id INTEGER PRIMARY KEY CHECK (id = 0), last INTEGER NOT NULL)",
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
_LOOK = 0.025
"""Seconds after which a waiter looks whether another process handed the lock to it."""

_LOOK_IF_NEXT = 0.002
"""The same for the first in the queue; a look takes some 20 µs."""

_COLUMNS = "name, owner, fence, deadline, ttl, boot"
_PLACE = "number, owner, ttl, fences, deadline, boot"


class _Row(NamedTuple):
    name: str
    owner: str
    fence: int
    deadline: float
    ttl: float
    boot: str


class _Place(NamedTuple):
    number: int
    owner: str
    ttl: float
    fences: int
    deadline: float
    boot: str


class SqliteStore(Listening):
    """Leases in a file; several processes may use it at once, on one machine.

    Args:
        path: the file, made when missing, in a folder that exists.
        timeout: seconds to wait for another process's transaction before `StoreTimeout`.
        clock: seconds; by it leases end.
        wall: seconds since 1970; from it fences are derived.
    """

    shared = False

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float = 0.25,
        clock: Callable[[], float] = now,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.path = os.fspath(path)
        self._clock = clock
        self._wall = wall
        self._pool = Pool(self.path, timeout=timeout, prepare=_create)
        self._waiters: weakref.WeakValueDictionary[tuple[str, str], Waiter] = weakref.WeakValueDictionary()
        weakref.finalize(self, self._pool.close)

    def grant(self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1) -> int | None:
        """Give the lock to `owner` and return the fence; None if another has it, or others wait for it."""
        with self._connected() as connection:
            row = self._read(connection, name)
            if row is not None and not queue and row.owner != owner and not self._is_over(row):
                return None
            with self._changing(connection):
                return self._grant(connection, name, owner, ttl, queue, fences)

    def look(self, name: str, owner: str, waiter: Waiter) -> Push | float:
        """Have `waiter` woken when the lock is granted to `owner`; return the grant, or when to look again."""
        self._waiters[name, owner] = waiter
        with self._connected() as connection:
            row = self._read(connection, name)
            first = self._first(connection, name)
        moment = self._clock()
        waiter.since = moment if waiter.since is None else waiter.since
        if row is None or self._is_over(row):
            return 0.0
        if row.owner != owner:
            is_next = first is not None and first.owner == owner
            return min(row.deadline - moment, _LOOK_IF_NEXT if is_next else _LOOK)
        return Push(row.fence, row.deadline - row.ttl - waiter.since)

    def renew(self, claims: Sequence[Claim]) -> list[bool]:
        """Extend the leases that are still held, in one transaction; for each claim, say whether it is."""
        if not claims:
            return []
        with self._connected() as connection, self._changing(connection):
            return [self._renew(connection, claim) for claim in claims]

    def release(self, name: str, owner: str, fence: int) -> bool:
        """Free the lock if this owner holds it with this fence; say whether it did."""
        with self._connected() as connection, self._changing(connection):
            row = self._settled(connection, name)
            if row is None or not rules.is_holder(row.owner, row.fence, owner, fence):
                return False
            self._hand_on(connection, name)
            return True

    def withdraw(self, name: str, owner: str) -> None:
        """Free the lock if this owner holds it with whatever fence, and take the owner out of the queue."""
        with self._connected() as connection, self._changing(connection):
            connection.execute("DELETE FROM ringfence_queue WHERE name = ? AND owner = ?", (name, owner))
            row = self._read(connection, name)
            if row is not None and row.owner == owner:
                self._hand_on(connection, name)

    def status(self, name: str) -> Status:
        """Return who holds a lock, and who waits for it."""
        with self._connected() as connection:
            row = self._read(connection, name)
            places = self._places(connection, name)
        held = () if row is None or self._is_over(row) else (self._holder(row),)
        return Status(held, tuple(place.owner for place in places if not self._is_dead(place)))

    def leases(self) -> list[Holder]:
        """Return all leases there are, by name and then by fence."""
        with self._connected() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM ringfence_lease ORDER BY name").fetchall()
            return [self._holder(row) for row in map(_Row._make, rows) if not self._is_over(row)]

    def close(self) -> None:
        """Close the file; leases stay as they are. Closing twice is harmless."""
        self._pool.close()

    def _grant(
        self, connection: Connection, name: str, owner: str, ttl: float, queue: bool, fences: int
    ) -> int | None:
        row = self._settled(connection, name)
        if row is None:
            return self._put(connection, name, owner, self._issue(connection, fences), ttl).fence
        if row.owner == owner:
            return self._extend(connection, row, ttl).fence
        if queue:
            self._line_up(connection, name, owner, ttl, fences)
        return None

    def _settled(self, connection: Connection, name: str) -> _Row | None:
        """Return who holds a lock, when one that ended was handed on."""
        row = self._read(connection, name)
        return self._hand_on(connection, name) if row is not None and self._is_over(row) else row

    def _hand_on(self, connection: Connection, name: str) -> _Row | None:
        """Grant a lock that nobody holds any more to the first waiter whose place has not ended."""
        while (place := self._first(connection, name)) is not None:
            connection.execute("DELETE FROM ringfence_queue WHERE number = ?", (place.number,))
            if not self._is_dead(place):
                connection.companion.append((name, place.owner))
                fence = self._issue(connection, place.fences)
                return self._put(connection, name, place.owner, fence, place.ttl)
        connection.execute("DELETE FROM ringfence_lease WHERE name = ?", (name,))
        return None

    def _first(self, connection: Connection, name: str) -> _Place | None:
        return next(iter(self._places(connection, name, 1)), None)

    def _places(self, connection: Connection, name: str, most: int = -1) -> list[_Place]:
        select = f"SELECT {_PLACE} FROM ringfence_queue WHERE name = ? ORDER BY number LIMIT ?"
        return [_Place._make(row) for row in connection.execute(select, (name, most)).fetchall()]

    def _line_up(self, connection: Connection, name: str, owner: str, ttl: float, fences: int) -> None:
        connection.execute(
            "INSERT INTO ringfence_queue (name, owner, ttl, fences, deadline, boot) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (name, owner) DO UPDATE SET ttl = excluded.ttl, fences = excluded.fences,"
            " deadline = excluded.deadline, boot = excluded.boot",
            (name, owner, ttl, fences, self._clock() + rules.PLACE, boot_id()),
        )

    def _renew(self, connection: Connection, claim: Claim) -> bool:
        row = self._settled(connection, claim.name)
        if row is None or not rules.is_holder(row.owner, row.fence, claim.owner, claim.fence):
            return False
        self._extend(connection, row, claim.ttl)
        return True

    def _extend(self, connection: Connection, row: _Row, ttl: float) -> _Row:
        if row.deadline >= self._clock() + ttl:
            return row
        return self._put(connection, row.name, row.owner, row.fence, ttl)

    def _put(self, connection: Connection, name: str, owner: str, fence: int, ttl: float) -> _Row:
        row = _Row(name, owner, fence, self._clock() + ttl, ttl, boot_id())
        connection.execute(
            f"INSERT OR REPLACE INTO ringfence_lease ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", row
        )
        return row

    def _issue(self, connection: Connection, fences: int) -> int:
        rows = connection.execute("SELECT last FROM ringfence_fence").fetchall()
        fence = rules.next_fence(rows[0][0] if rows else 0, self._wall())
        connection.execute(
            "INSERT OR REPLACE INTO ringfence_fence (id, last) VALUES (0, ?)", (fence + fences - 1,)
        )
        return fence

    def _read(self, connection: Connection, name: str) -> _Row | None:
        select = f"SELECT {_COLUMNS} FROM ringfence_lease WHERE name = ?"
        found = connection.execute(select, (name,)).fetchall()
        return _Row._make(found[0]) if found else None

    def _is_over(self, row: _Row) -> bool:
        return self._has_ended(row.deadline, row.ttl, row.boot)

    def _is_dead(self, place: _Place) -> bool:
        return self._has_ended(place.deadline, rules.PLACE, place.boot)

    def _has_ended(self, deadline: float, seconds: float, boot: str) -> bool:
        moment = self._clock()
        if boot != boot_id() or deadline > moment + seconds:  # written before the clock began anew
            return True
        return rules.is_over(deadline, moment)

    def _holder(self, row: _Row) -> Holder:
        return Holder(row.name, row.owner, row.fence, row.deadline - self._clock())

    @contextmanager
    def _changing(self, connection: Connection) -> Iterator[None]:
        """Carry out one transaction, and then wake those to whom it granted a lock, as far as they wait here."""
        connection.companion = []
        with immediate(connection):
            yield
        for key in connection.companion:
            waiter = self._waiters.get(key)
            if waiter is not None:
                waiter.wake()

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        connection = self._pool.take()
        try:
            with translating(self.path):
                yield connection
        finally:
            if connection.in_transaction:
                connection.close()
            else:
                self._pool.give(connection)


@functools.cache
def boot_id() -> str:
    """Return what differs after a restart of the machine; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _create(connection: Connection) -> None:
    for table in _TABLES:
        connection.execute(table)
