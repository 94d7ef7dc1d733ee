"""A lock store in a table of PostgreSQL or MariaDB: leases with a ttl, which no connection is bound to.

The whole state of a lock is one row, with its queue in it. Every change is one statement that commits by itself: it
writes what `State` worked out from the row as it was read, if the row is still the same; else both are done again. So
nothing is ever held between two statements, a process that stops stops nobody else, and each statement may go through
another connection of a pooler. A lock that nobody waits for is taken and given back without the reading.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

from ringfence.errors import StoreError, StoreTimeout
from ringfence.locks import rules
from ringfence.locks.stores import Claim, Holder, Push, Shared, Status
from ringfence.locks.stores.listening import Listening
from ringfence.locks.stores.sql.connection import Answer, Connection, Denied, asked
from ringfence.locks.stores.sql.pool import Pool
from ringfence.locks.stores.sql.row_dialects import RowDialect
from ringfence.locks.stores.sql.state import NOBODY, Held, Place, State, by_name, micros
from ringfence.locks.waiter import Waiter
from ringfence.protocol import now

T = TypeVar("T")

CONNECTIONS = 4
"""How many connections a store opens at most; each is used for one statement at a time."""

_BATCH = 500
_SOONEST = 0.002
_LATEST = 0.025
"""Seconds after which the first in the queue looks whether it was granted the lock, at first and after a while."""

_BEHIND = 0.25
"""The same for one who waits far behind."""

_COLUMNS = "version, last, owner, fence, deadline, share, of_shares, waited, rest"


class RowStore(Listening):
    """Leases in a table, which is made when it is missing; for processes anywhere, behind a pooler too.

    Args:
        connect: opens a connection, given the seconds to wait for each answer.
        dialect: the statements.
        timeout: seconds to wait for an answer; the connection is given up then.
    """

    shared = True

    def __init__(
        self, connect: Callable[[float], Connection], dialect: RowDialect, *, timeout: float = 3.0
    ) -> None:
        self._pool = Pool(lambda: connect(timeout), CONNECTIONS, timeout)
        self._dialect = dialect
        self._timeout = timeout
        self._statements = Statements(dialect)
        self._waiters: weakref.WeakValueDictionary[tuple[str, str], Waiter] = weakref.WeakValueDictionary()
        weakref.finalize(self, self._pool.close)

    def grant(self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1) -> int | None:
        """Give the lock to `owner` and return the fence; None if another has it, or others wait for it."""
        share, of = (name.asked, name.of) if isinstance(name, Shared) else (1, 1)
        if share <= of:
            values = (fences - 1, owner, micros(ttl), share, of, *key(name))
            fence = self._dialect.fence(self._ask(self._statements.take, values))
            if fence is not None:
                return fence

        def ask(state: State) -> int | None:
            place = Place(owner, micros(ttl), fences, share, of, state.now, state.now + micros(rules.PLACE))
            return state.grant(place, queue)

        return self._change(name, ask)

    def look(self, name: str, owner: str, waiter: Waiter) -> Push | float:
        """Have `waiter` woken when the lock is granted to `owner` here; return the grant, or when to look again."""
        self._waiters[name, owner] = waiter
        _, state = self._read(name)
        push = state.pushed(owner)
        if push is not None:
            return push
        position = state.position(owner)
        if position is None:
            return 0.0
        ends = min((held.deadline for held in state.holders), default=0) - state.now
        return min(ends / 1e6, patience(position, (state.now - state.queue[position].made) / 1e6))

    def renew(self, claims: Sequence[Claim]) -> list[bool]:
        """Extend the leases that are still held; for each claim, say whether it is."""
        answers: dict[Claim, bool] = {}
        for ttl, batch in batches(claims):
            values = tuple(part for claim in batch for part in (*key(claim.name), claim.owner, claim.fence))
            answer = self._ask(self._statements.renew(len(batch)), (micros(ttl), *values))
            everyone = answer.changed == len(batch)
            for claim in batch:
                answers[claim] = everyone or self._renew(claim)
        return [answers[claim] for claim in claims]

    def release(self, name: str, owner: str, fence: int) -> bool:
        """Free the lock if this owner holds it with this fence, for the next waiter; say whether it did."""
        if self._ask(self._statements.free, (*key(name), owner, fence)).changed:
            return True
        return self._change(name, lambda state: state.release(owner, fence))

    def withdraw(self, name: str, owner: str) -> None:
        """Free the lock if this owner holds it with whatever fence, and take the owner out of the queue."""
        self._change(name, lambda state: state.withdraw(owner))

    def status(self, name: str) -> Status:
        """Return who holds a lock, and who waits for it."""
        return self._read(name)[1].status(name)

    def leases(self) -> list[Holder]:
        """Return all leases there are, by name and then by fence."""
        found: list[Holder] = []
        for name, shared, moment, *columns in self._ask(self._statements.list).rows:
            state = read(moment, *columns)[1]
            found += state.status(Shared(name, 1, 1) if shared else name).holders
        return by_name(found)

    def close(self) -> None:
        """Close the connections; leases stay as they are. Closing twice is harmless."""
        self._pool.close()

    def _renew(self, claim: Claim) -> bool:
        return self._change(
            claim.name, lambda state: state.renew(claim.owner, claim.fence, micros(claim.ttl))
        )

    def _change(self, name: str, step: Callable[[State], T]) -> T:
        """Carry out a step on the state of a lock, and wake those to whom it granted it, as far as they wait here."""
        until = now() + self._timeout
        while True:
            version, state = self._read(name)
            before = state.first(), state.rest(), state.last
            held = {holder.owner for holder in state.holders}
            answer = step(state)
            if (state.first(), state.rest(), state.last) == before or self._write(name, version, state):
                self._wake(name, {holder.owner for holder in state.holders} - held)
                return answer
            if now() > until:
                raise StoreTimeout(f"{name!r} was changed by others all the time; nothing was changed")

    def _read(self, name: str) -> tuple[int, State]:
        [(moment, *columns)] = self._ask(self._statements.read, key(name)).rows
        return read(moment, *columns)

    def _write(self, name: str, version: int, state: State) -> bool:
        if not version:
            self._ask(self._statements.insert, (*key(name), *NOBODY))
        values = (state.last, *state.first(), state.rest(), *key(name), version)
        return bool(self._ask(self._statements.write, values).changed)

    def _wake(self, name: str, owners: set[str]) -> None:
        for owner in owners:
            waiter = self._waiters.get((name, owner))
            if waiter is not None:
                waiter.wake()

    def _ask(self, statement: str, values: tuple[object, ...] = ()) -> Answer:
        with self._pool.connection() as connection:
            try:
                return asked(connection, statement, values, self._dialect.make)
            except Denied as error:
                raise StoreError(
                    f"the user of the lock store lacks a right ({error}); it needs SELECT, INSERT and UPDATE on the"
                    f" table ringfence_lock, which is made by:\n{self._dialect.table}"
                ) from error


class Statements:
    """The statements of a store."""

    def __init__(self, dialect: RowDialect) -> None:
        moment = dialect.now
        before, after = dialect.insert
        self.read = (
            f"SELECT {moment}, {_COLUMNS} FROM (SELECT 1 AS one) AS one"
            " LEFT JOIN ringfence_lock ON name = %s AND shared = %s"
        )
        self.list = f"SELECT name, shared, {moment}, {_COLUMNS} FROM ringfence_lock WHERE owner <> ''"
        self.insert = (
            f"{before} ringfence_lock"
            " (name, shared, owner, fence, deadline, share, of_shares, waited, version, last, rest)"
            f" VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 0, 0, '') {after}"
        )
        self.write = (
            "UPDATE ringfence_lock SET version = version + 1, last = %s, owner = %s, fence = %s, deadline = %s,"
            " share = %s, of_shares = %s, waited = %s, rest = %s WHERE name = %s AND shared = %s AND version = %s"
        )
        self.take = (
            f"UPDATE ringfence_lock SET version = version + 1, {dialect.issue}, owner = %s,"
            f" deadline = {moment} + %s, share = %s, of_shares = %s, waited = 0 WHERE name = %s AND shared = %s"
            f" AND rest = '' AND (owner = '' OR deadline <= {moment}) {dialect.returning}"
        )
        self.free = (
            "UPDATE ringfence_lock SET version = version + 1, owner = '', deadline = 0"
            " WHERE name = %s AND shared = %s AND owner = %s AND fence = %s AND rest = ''"
            f" AND deadline > {moment}"
        )
        self._renew = (
            f"UPDATE ringfence_lock SET version = version + 1, deadline = greatest(deadline, {moment} + %s)"
            f" WHERE deadline > {moment} AND (name, shared, owner, fence) IN "
        )

    def renew(self, count: int) -> str:
        """Return the statement that renews so many leases at once."""
        return f"{self._renew}({', '.join(['(%s, %s, %s, %s)'] * count)})"


def read(moment: int, version: int | None, last: int, *columns: object) -> tuple[int, State]:
    """Return the version and the state that a row keeps; version 0 where there is no row yet."""
    if version is None:
        return 0, State(moment, 0, [], [])
    *first, rest = columns
    return version, State.read(moment, last, Held(*first), str(rest))  # type: ignore[arg-type]


def key(name: str) -> tuple[str, int]:
    """Return what names the row of a lock; a shared one and a plain one of the same name have each their own."""
    return str(name), int(isinstance(name, Shared))


def patience(position: int, waited: float) -> float:
    """Return after how many seconds a waiter looks again: soon if it is the next one, and seldom far behind."""
    if position:
        return min(_LATEST * position, _BEHIND)
    return min(max(_SOONEST, waited / 10), _LATEST)


def batches(claims: Sequence[Claim]) -> Iterator[tuple[float, list[Claim]]]:
    """Yield claims in batches of one ttl each, none twice."""
    ordered = sorted(set(claims), key=lambda claim: (claim.ttl, claim.name))
    for ttl, group in groupby(ordered, key=lambda claim: claim.ttl):
        same = list(group)
        for start in range(0, len(same), _BATCH):
            yield ttl, same[start : start + _BATCH]
