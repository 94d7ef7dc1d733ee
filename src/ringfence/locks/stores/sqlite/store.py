"""A lock store in an SQLite file, for the processes of one machine.

Each change is one durable transaction: a fence that was handed out is on disk. Waiters queue in a table, each with a
number from one sequence. Whoever frees a lock grants it to the first of them in the same transaction, and wakes it if
it waits in this process; those of other processes look every 25 ms, the first of them every 2.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ringfence._sqlite import Connection, Pool, immediate, translating
from ringfence.errors import StoreTimeout
from ringfence.locks.stores import Claim, Holder, Push, Shared, Status
from ringfence.locks.stores.listening import Listening
from ringfence.locks.stores.sqlite.plain import PlainLocks
from ringfence.locks.stores.sqlite.rows import FENCES
from ringfence.locks.stores.sqlite.shared import SharedLocks
from ringfence.locks.waiter import Waiter
from ringfence.protocol import now


class SqliteStore(Listening):
    """Leases in a file; several processes may use it at once, on one machine.

    Args:
        path: the file, made when missing, in a folder that exists.
        timeout: seconds to wait for another process's transaction before `StoreTimeout`.
        clock: seconds; by it leases end.
        wall: seconds since 1970; from it fences are derived.
    """

    shared = True

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
        self._timeout = timeout
        self._writing = threading.Lock()
        self._plain = PlainLocks(clock, wall)
        self._shares = SharedLocks(clock, wall)
        self._pool = Pool(self.path, timeout=timeout, prepare=_create)
        self._waiters: weakref.WeakValueDictionary[tuple[str, str], Waiter] = weakref.WeakValueDictionary()
        weakref.finalize(self, self._pool.close)

    def grant(self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1) -> int | None:
        """Give the lock to `owner` and return the fence; None if another has it, or others wait for it."""
        rows = self._rows(name)
        with self._connected() as connection:
            if not queue and rows.is_taken(connection, name, owner):
                return None
            with self._changing(connection):
                fence: int | None = rows.grant(connection, name, owner, ttl, queue, fences)
                return fence

    def look(self, name: str, owner: str, waiter: Waiter) -> Push | float:
        """Have `waiter` woken when the lock is granted to `owner`; return the grant, or when to look again."""
        self._waiters[name, owner] = waiter
        with self._connected() as connection:
            seen = self._rows(name).seen(connection, name, owner)
        waiter.since = self._clock() if waiter.since is None else waiter.since
        return seen if isinstance(seen, float) else Push(seen.fence, seen.deadline - seen.ttl - waiter.since)

    def renew(self, claims: Sequence[Claim]) -> list[bool]:
        """Extend the leases that are still held, in one transaction; for each claim, say whether it is."""
        if not claims:
            return []
        with self._connected() as connection, self._changing(connection):
            return [self._rows(claim.name).renew(connection, claim) for claim in claims]

    def release(self, name: str, owner: str, fence: int) -> bool:
        """Free the lock if this owner holds it with this fence; say whether it did."""
        with self._connected() as connection, self._changing(connection):
            held: bool = self._rows(name).release(connection, name, owner, fence)
            return held

    def withdraw(self, name: str, owner: str) -> None:
        """Free the lock if this owner holds it with whatever fence, and take the owner out of the queue."""
        with self._connected() as connection, self._changing(connection):
            self._rows(name).withdraw(connection, name, owner)

    def status(self, name: str) -> Status:
        """Return who holds a lock, and who waits for it."""
        with self._connected() as connection:
            status: Status = self._rows(name).status(connection, name)
            return status

    def leases(self) -> list[Holder]:
        """Return all leases there are, by name and then by fence."""
        with self._connected() as connection:
            held = self._plain.leases(connection) + self._shares.leases(connection)
        return sorted(held, key=lambda holder: (holder.name, holder.fence))

    def close(self) -> None:
        """Close the file; leases stay as they are. Closing twice is harmless."""
        self._pool.close()

    def _rows(self, name: str) -> Any:
        return self._shares if isinstance(name, Shared) else self._plain

    @contextmanager
    def _changing(self, connection: Connection) -> Iterator[None]:
        """Carry out one transaction, and then wake those to whom it granted a lock, as far as they wait here."""
        connection.companion = []
        with self._turn(), immediate(connection):
            yield
        for key in connection.companion:
            waiter = self._waiters.get(key)
            if waiter is not None:
                waiter.wake()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let one thread at a time write: SQLite has those that wait for its lock look now and then, in no order."""
        if not self._writing.acquire(timeout=self._timeout):
            raise StoreTimeout(f"{self.path!r} stayed locked by other threads of this process; try again")
        try:
            yield
        finally:
            self._writing.release()

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


def _create(connection: Connection) -> None:
    for table in (FENCES, *PlainLocks.TABLES, *SharedLocks.TABLES):
        connection.execute(table)
