"""A lock store in an SQLite file, for the processes of one machine.

Each change is one durable transaction: a fence that was handed out is on disk. Deadlines are kept on the clock that
runs on in suspend, with the id of the boot, so that a lease outlives its process and ends with its ttl or with the
machine. The fence counter is a row that is never removed; should the file be lost, fences go on from the time of day.
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
from ringfence.locks.stores import Claim, Holder
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
)
_COLUMNS = "name, owner, fence, deadline, ttl, boot"


class _Row(NamedTuple):
    name: str
    owner: str
    fence: int
    deadline: float
    ttl: float
    boot: str


class SqliteStore:
    """Leases in a file; several processes may use it at once, on one machine.

    Args:
        path: the file, made when missing, in a folder that exists.
        timeout: seconds to wait for another process's transaction before `StoreTimeout`.
        clock: seconds; by it leases end.
        wall: seconds since 1970; from it fences are derived.
    """

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
        weakref.finalize(self, self._pool.close)

    def grant(self, name: str, owner: str, ttl: float) -> int | None:
        """Give the lock to `owner` and return the fence; None if another has it."""
        with self._connected() as connection:
            row = self._alive(connection, name)
            if row is not None and row.owner != owner:
                return None
            with immediate(connection):
                return self._grant(connection, name, owner, ttl)

    def renew(self, claims: Sequence[Claim]) -> list[bool]:
        """Extend the leases that are still held, in one transaction; for each claim, say whether it is."""
        if not claims:
            return []
        with self._connected() as connection, immediate(connection):
            return [self._renew(connection, claim) for claim in claims]

    def release(self, name: str, owner: str, fence: int) -> bool:
        """Free the lock if this owner holds it with this fence; say whether it did."""
        with self._connected() as connection, immediate(connection):
            row = self._alive(connection, name)
            if row is None or not rules.is_holder(row.owner, row.fence, owner, fence):
                return False
            connection.execute("DELETE FROM ringfence_lease WHERE name = ?", (name,))
            return True

    def withdraw(self, name: str, owner: str) -> None:
        """Free the lock if this owner holds it with whatever fence."""
        with self._connected() as connection, immediate(connection):
            connection.execute("DELETE FROM ringfence_lease WHERE name = ? AND owner = ?", (name, owner))

    def holder(self, name: str) -> Holder | None:
        """Return who holds a lock."""
        with self._connected() as connection:
            row = self._alive(connection, name)
            return None if row is None else self._holder(row)

    def leases(self) -> list[Holder]:
        """Return all locks that are held, by name."""
        with self._connected() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM ringfence_lease ORDER BY name").fetchall()
            return [self._holder(row) for row in map(_Row._make, rows) if not self._is_over(row)]

    def close(self) -> None:
        """Close the file; leases stay as they are. Closing twice is harmless."""
        self._pool.close()

    def _grant(self, connection: Connection, name: str, owner: str, ttl: float) -> int | None:
        row = self._alive(connection, name)
        if row is None:
            return self._put(connection, name, owner, self._issue_fence(connection), ttl).fence
        if row.owner != owner:
            return None
        return self._extend(connection, row, ttl).fence

    def _renew(self, connection: Connection, claim: Claim) -> bool:
        row = self._alive(connection, claim.name)
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

    def _issue_fence(self, connection: Connection) -> int:
        rows = connection.execute("SELECT last FROM ringfence_fence").fetchall()
        fence = rules.next_fence(rows[0][0] if rows else 0, self._wall())
        connection.execute("INSERT OR REPLACE INTO ringfence_fence (id, last) VALUES (0, ?)", (fence,))
        return fence

    def _alive(self, connection: Connection, name: str) -> _Row | None:
        select = f"SELECT {_COLUMNS} FROM ringfence_lease WHERE name = ?"
        for row in map(_Row._make, connection.execute(select, (name,)).fetchall()):
            if not self._is_over(row):
                return row
        return None

    def _is_over(self, row: _Row) -> bool:
        moment = self._clock()
        if row.boot != boot_id() or row.deadline > moment + row.ttl:  # written before the clock began anew
            return True
        return rules.is_over(row.deadline, moment)

    def _holder(self, row: _Row) -> Holder:
        return Holder(row.name, row.owner, row.fence, row.deadline - self._clock())

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
