"""A shard in an SQLite file, easy to look at with the `sqlite3` program.

    entry(key, value)                             what the application stored, as INTEGER, TEXT or BLOB
    ringfence_ring(epoch, ring, previous, fence)  one row: the state of the ring
    ringfence_intent                              prepared branches; kept by the participant

`entry` has a rowid: with values of some kilobytes it is read and written two to four times as fast as WITHOUT ROWID,
and its keys are scanned without touching values; with small ones the two are equal.

One key on one shard needs no branch: a single statement compares the epoch, looks for prepared branches and
writes, and SQLite makes a single statement atomic and durable.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ringfence._sqlite import Connection, Pool, translate
from ringfence.cluster import rules
from ringfence.cluster.entries import StoredKey, Value, size
from ringfence.cluster.shards import Mark, Row, no_ring
from ringfence.cluster.state import RingState
from ringfence.errors import InvalidValue, StoreTimeout
from ringfence.transactions.participants.sqlite import SqliteParticipant
from ringfence.transactions.participants.sqlite.branch import SqliteBranch

TABLES = """
CREATE TABLE IF NOT EXISTS entry (key NOT NULL PRIMARY KEY, value NOT NULL);
CREATE TABLE IF NOT EXISTS ringfence_ring (
    only INTEGER PRIMARY KEY CHECK (only = 1), epoch INTEGER, ring TEXT, previous TEXT, fence INTEGER
);
"""

MARK = "SELECT epoch, previous IS NOT NULL, fence FROM ringfence_ring"
STATE = "SELECT epoch, ring, previous, fence FROM ringfence_ring"
PENDING = "(SELECT gid FROM ringfence_intent LIMIT 1)"
SET_STATE = "INSERT OR REPLACE INTO ringfence_ring VALUES (1, ?, ?, ?, ?)"
SET_FENCE = "UPDATE ringfence_ring SET fence = ?"

READ = f"""
SELECT epoch, {PENDING}, (SELECT value FROM entry WHERE key = ?) FROM (SELECT 1) LEFT JOIN ringfence_ring"""
WRITE = f"""
INSERT INTO entry SELECT ?, ? FROM ringfence_ring WHERE epoch = ? AND {PENDING} IS NULL
ON CONFLICT (key) DO UPDATE SET value = excluded.value"""
ERASE = f"""
DELETE FROM entry WHERE key = ? AND EXISTS (SELECT 1 FROM ringfence_ring WHERE epoch = ? AND {PENDING} IS NULL)"""

GET = "SELECT value FROM entry WHERE key = ?"
PUT = "INSERT INTO entry VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
INSERT = "INSERT INTO entry VALUES (?, ?)"
DELETE = "DELETE FROM entry WHERE key = ?"
PAGE = "SELECT key FROM entry WHERE key > ? ORDER BY key LIMIT ?"
RANGE = "SELECT key FROM entry WHERE key > ? AND key <= ? ORDER BY key LIMIT ?"

AT_ONCE = 50
"""Rows read by one statement; a batch can exceed its size by that many values."""

ROWS = f"SELECT key, value FROM entry WHERE key IN ({', '.join('?' * AT_ONCE)})"

IMPATIENCE = 0.02
"""Seconds a statement waits for a lock; longer waiting is done by the protocol that asked."""


class SqliteShard:
    """A shard of a cluster in the file of an SQLite participant.

    Args:
        name: the node of the ring that it is.
        participant: keeps its branches; its file keeps the entries.
    """

    def __init__(self, name: str, participant: SqliteParticipant) -> None:
        self.name = name
        self.participant = participant
        self.place = os.path.realpath(participant.path)
        self._pool = Pool(participant.path, timeout=IMPATIENCE, prepare=_make_tables)

    def state(self) -> RingState | None:
        """Return the last committed state; None before the shard joined a ring."""
        with self._connection() as connection:
            rows = connection.execute(STATE).fetchall()
        return RingState.from_row(rows[0]) if rows else None

    def read(self, key: StoredKey, epoch: int) -> Value | None:
        """Return the value of `key`, None when it is not here."""
        with self._connection() as connection:
            row = connection.execute(READ, (key,)).fetchone()
        self._check(row, epoch)
        value: Value | None = row[2]
        return value

    def write(self, key: StoredKey, value: Value, epoch: int) -> None:
        """Put `key`, durably."""
        with self._connection() as connection:
            if connection.execute(WRITE, (key, value, epoch)).rowcount != 1:
                self._why_refused(connection, epoch)

    def erase(self, key: StoredKey, epoch: int) -> bool:
        """Delete `key`, durably; was it here?"""
        with self._connection() as connection:
            if connection.execute(ERASE, (key, epoch)).rowcount == 1:
                return True
            row = connection.execute(READ, (key,)).fetchone()
        self._check(row, epoch)
        if row[2] is not None:
            raise _again(self.name)
        return False

    def page(
        self, epoch: int, after: StoredKey, upto: StoredKey | None = None, limit: int = -1
    ) -> list[StoredKey]:
        """Return the keys with `after < key <= upto` in order, the first `limit` of them."""
        with self._connection() as connection, _snapshot(connection):
            row = connection.execute(READ, (None,)).fetchone()
            if upto is None:
                keys = connection.execute(PAGE, (after, limit)).fetchall()
            else:
                keys = connection.execute(RANGE, (after, upto, limit)).fetchall()
        self._check(row, epoch)
        return [key for (key,) in keys]

    def join(self, gid: str) -> SqliteShardBranch:
        """Begin a branch of transaction `gid`, which takes the shard's write lock."""
        return SqliteShardBranch(self.participant.begin(gid))

    def close(self) -> None:
        """Close the files."""
        self._pool.close()

    def _check(self, row: tuple[Any, ...], epoch: int) -> None:
        current, pending, _ = row
        # First: on a shard that is about to join, the ring is in what is prepared.
        rules.check_settled(self.name, pending)
        if current is None:
            raise no_ring(self.name)
        rules.check_epoch(self.name, epoch, current)

    def _why_refused(self, connection: Connection, epoch: int) -> None:
        self._check(connection.execute(READ, (None,)).fetchone(), epoch)
        raise _again(self.name)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        connection = self._pool.take()
        try:
            yield connection
        except sqlite3.Error as error:
            raise translate(self._pool.path, error, committing=True) or error from error
        finally:
            self._pool.give(connection)


class SqliteShardBranch:
    """What a transaction does on one shard.

    Args:
        branch: the participant's branch, which records every statement that writes.
    """

    def __init__(self, branch: SqliteBranch) -> None:
        self._branch = branch
        self._execute = branch.execute
        self._executemany = branch.executemany

    @property
    def wrote(self) -> bool:
        """Has it tried to change anything?"""
        return self._branch.wrote

    def mark(self) -> Mark | None:
        """Return epoch, migrating and fence; None before the shard joined a ring."""
        for epoch, migrating, fence in self._execute(MARK):
            return Mark(epoch, bool(migrating), fence)
        return None

    def set_state(self, state: RingState) -> None:
        """Write the state."""
        self._execute(SET_STATE, state.row())

    def set_fence(self, fence: int) -> None:
        """Write the fence of the state."""
        self._execute(SET_FENCE, (fence,))

    def empty(self) -> bool:
        """Is there no key here?"""
        return not list(self._execute("SELECT 1 FROM entry LIMIT 1"))

    def get(self, key: StoredKey) -> Value | None:
        """Return the value of `key`, None when it is not here."""
        for (value,) in self._execute(GET, (key,)):
            found: Value = value
            return found
        return None

    def put(self, key: StoredKey, value: Value) -> None:
        """Write `key`."""
        self._execute(PUT, (key, value))

    def delete(self, key: StoredKey) -> bool:
        """Delete `key`; was it here?"""
        if not list(self._execute("SELECT 1 FROM entry WHERE key = ?", (key,))):
            return False
        self._execute(DELETE, (key,))
        return True

    def rows(self, keys: Sequence[StoredKey], room: int) -> tuple[list[Row], int]:
        """Return those of `keys` that are here, with their values, ending early once `room` bytes are filled."""
        rows: list[Row] = []
        seen = 0
        while seen < len(keys) and room > 0:
            asked = keys[seen : seen + AT_ONCE]
            found = list(self._execute(ROWS, (*asked, *[None] * (AT_ONCE - len(asked)))))
            room -= sum(size(value) for _, value in found)
            rows += found
            seen += len(asked)
        return rows, seen

    def insert(self, rows: Sequence[Row]) -> None:
        """Write keys that are not here."""
        self._executemany(INSERT, rows)

    def discard(self, keys: Sequence[StoredKey]) -> None:
        """Delete keys."""
        self._executemany(DELETE, [(key,) for key in keys])


def _make_tables(connection: Connection) -> None:
    [(encoding,)] = connection.execute("PRAGMA encoding")
    if (
        encoding != "UTF-8"
    ):  # there SQLite sorts text otherwise, and a listing of several shards would miss keys
        raise InvalidValue(
            f"{connection.path!r} keeps text in {encoding}; a shard needs UTF-8, as in a new file"
        )
    connection.executescript(TABLES)


def _again(shard: str) -> StoreTimeout:
    """The error for a statement that came between two states of the shard; nothing happened."""
    return StoreTimeout(f"shard {shard!r} changed its ring just then; try again")


@contextmanager
def _snapshot(connection: Connection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
