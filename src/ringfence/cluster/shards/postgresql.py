"""A shard in a PostgreSQL database of its own.

    entry(key, value)                             what the application stored, keys and values as in `encoding`
    ringfence_ring(epoch, ring, previous, fence)  one row: the state of the ring

The shard's lock is an advisory one of the database. A branch takes it for itself, and has it until it is over, prepared
or not; whoever writes one key shares it. Readers look for prepared transactions first and take their snapshot after
that, so that they see all that was committed when they looked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ringfence._postgresql.line import BaseLine, Line, Steps, failure
from ringfence._postgresql.pool import Pool
from ringfence._postgresql.session import find_tables, refuse_failed, settings
from ringfence._postgresql.statement import Statement, statement
from ringfence.cluster import rules
from ringfence.cluster.entries import StoredKey, Value, size
from ringfence.cluster.shards import Mark, Row, no_ring
from ringfence.cluster.shards.encoding import (
    LAST,
    key_from_bytes,
    key_to_bytes,
    value_from_bytes,
    value_to_bytes,
)
from ringfence.cluster.state import RingState
from ringfence.errors import Aborted, InDoubt, InvalidValue, StoreError, StoreTimeout
from ringfence.transactions.participants.postgresql import PostgresParticipant
from ringfence.transactions.participants.postgresql.branch import PostgresBranch

TABLES = {
    "entry": "CREATE TABLE IF NOT EXISTS entry (key BYTEA PRIMARY KEY, value BYTEA NOT NULL)",
    "ringfence_ring": """
        CREATE TABLE IF NOT EXISTS ringfence_ring (
            only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
            epoch BIGINT NOT NULL, ring TEXT NOT NULL, previous TEXT, fence BIGINT NOT NULL)""",
}

LOCK = "pg_advisory_xact_lock{}(hashtext('ringfence_shard'))"
ALONE = f"SELECT {LOCK.format('')}"
BEGIN, COMMIT, ROLLBACK = statement("BEGIN"), statement("COMMIT"), statement("ROLLBACK")
BESIDE = statement(f"SELECT {LOCK.format('_shared')}")
PENDING = statement(
    "SELECT split_part(gid, ':', 2) FROM pg_prepared_xacts"
    " WHERE database = current_database() AND starts_with(gid, 'ringfence:') LIMIT 1"
)
ISOLATION = statement("SELECT current_setting('default_transaction_isolation')")

MARK = "SELECT epoch, previous IS NOT NULL, fence FROM ringfence_ring"
STATE = "SELECT epoch, ring, previous, fence FROM ringfence_ring"
SET_STATE = """
INSERT INTO ringfence_ring VALUES (1, %s, %s, %s, %s) ON CONFLICT (only_one) DO UPDATE
SET epoch = excluded.epoch, ring = excluded.ring, previous = excluded.previous, fence = excluded.fence"""
SET_FENCE = "UPDATE ringfence_ring SET fence = %s"

EPOCH = "(SELECT epoch FROM ringfence_ring)"
CURRENT = statement(f"SELECT {EPOCH}")
READ = f"SELECT {EPOCH}, (SELECT value FROM entry WHERE key = %s)"
PAGE = f"SELECT {EPOCH}, ARRAY(SELECT key FROM entry WHERE key > %s AND key <= %s ORDER BY key LIMIT %s)"
WRITE = """
INSERT INTO entry SELECT %s, %s FROM ringfence_ring WHERE epoch = %s
ON CONFLICT (key) DO UPDATE SET value = excluded.value"""
ERASE = "DELETE FROM entry WHERE key = %s AND EXISTS (SELECT 1 FROM ringfence_ring WHERE epoch = %s)"

GET = "SELECT value FROM entry WHERE key = %s"
PUT = "INSERT INTO entry VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
INSERT = "INSERT INTO entry VALUES (%s, %s)"
DELETE = "DELETE FROM entry WHERE key = %s"
ROWS = "SELECT key, value FROM entry WHERE key = ANY(%s)"

AT_ONCE = 50
"""Rows read by one statement; a batch can exceed its size by that many values."""

IMPATIENCE = 0.05
"""Seconds a statement waits for the lock; longer waiting is done by the protocol that asked."""

CONNECTING = 5.0
"""Seconds to wait for a connection."""

PATIENCE = 30.0
"""Seconds for the server to answer."""

BUSY = "55P03"


class PostgresShard:
    """A shard of a cluster in the database of a PostgreSQL participant.

    Args:
        name: the node of the ring that it is.
        participant: keeps its branches; its database keeps the entries.
    """

    def __init__(self, name: str, participant: PostgresParticipant) -> None:
        self.name = name
        self.participant = participant
        self.place = participant.place
        self._pool = Pool(participant.url, CONNECTING, _make_ready)

    def state(self) -> RingState | None:
        """Return the last committed state; None before the shard joined a ring."""
        with self._line() as line:
            [result] = self._ask(line, statement(STATE))
            rows = line.rows(result)
        return RingState.from_row(rows[0]) if rows else None

    def read(self, key: StoredKey, epoch: int) -> Value | None:
        """Return the value of `key`, None when it is not here."""
        found: bytes | None = self._look(epoch, READ, (key_to_bytes(key),))
        return value_from_bytes(found)

    def write(self, key: StoredKey, value: Value, epoch: int) -> None:
        """Put `key`, durably."""
        if not self._change(epoch, WRITE, (key_to_bytes(key), value_to_bytes(value), epoch)):
            raise StoreTimeout(f"shard {self.name!r} changed its ring just then; try again")

    def erase(self, key: StoredKey, epoch: int) -> bool:
        """Delete `key`, durably; was it here?"""
        return bool(self._change(epoch, ERASE, (key_to_bytes(key), epoch)))

    def page(
        self, epoch: int, after: StoredKey, upto: StoredKey | None = None, limit: int = -1
    ) -> list[StoredKey]:
        """Return the keys with `after < key <= upto` in order, the first `limit` of them."""
        last = LAST if upto is None else key_to_bytes(upto)
        found = self._look(epoch, PAGE, (key_to_bytes(after), last, None if limit < 0 else limit))
        return [key_from_bytes(data) for data in found]

    def join(self, gid: str) -> PostgresShardBranch:
        """Begin a branch of transaction `gid`, which takes the shard's lock."""
        branch = self.participant.begin(gid)
        try:
            branch.execute(ALONE)
        except Aborted as error:
            self.participant.rollback(gid)
            raise self._in_the_way() from error
        return PostgresShardBranch(branch)

    def close(self) -> None:
        """Close the shard's own connections."""
        self._pool.close()

    def _look(self, epoch: int, sql: str, parameters: Sequence[Any]) -> Any:
        """Ask for the epoch and something more, once no prepared transaction stands here."""
        with self._line() as line:
            pending, found = self._ask(line, PENDING, line.statement(sql, parameters))
            self._check_settled(line, pending)
            [(current, more)] = line.rows(found)
        self._check_epoch(epoch, current)
        return more

    def _change(self, epoch: int, sql: str, parameters: Sequence[Any]) -> int:
        """Write beside others who do; return how many rows that changed."""
        with self._line() as line:
            results = line.ask([BEGIN, BESIDE, line.statement(sql, parameters), CURRENT, COMMIT], PATIENCE)
            error = failure(results)
            if error is not None:
                self._ask(line, ROLLBACK)
                raise self._in_the_way() if error.sqlstate == BUSY else _refused(error) from error
            [(current,)] = line.rows(results[3])
            changed = int(results[2].command_tuples or 0)
        if not changed:
            self._check_epoch(epoch, current)
        return changed

    def _check_settled(self, line: BaseLine, pending: Any) -> None:
        # First: on a shard that is about to join, the ring is in what is prepared.
        rules.check_settled(self.name, next((gid for (gid,) in line.rows(pending)), None))

    def _check_epoch(self, epoch: int, current: int | None) -> None:
        if current is None:
            raise no_ring(self.name)
        rules.check_epoch(self.name, epoch, current)

    def _in_the_way(self) -> Exception:
        """What to say when the lock was not to be had."""
        with self._line() as line:
            [pending] = self._ask(line, PENDING)
            for (gid,) in line.rows(pending):
                return InDoubt(
                    gid, f"it is prepared on shard {self.name!r}, where others wait for its outcome"
                )
        return StoreTimeout(f"a transaction is at work on shard {self.name!r}; try again")

    @contextmanager
    def _line(self) -> Iterator[Line]:
        line = self._pool.take()
        try:
            yield line
        finally:
            self._pool.give(line)

    def _ask(self, line: Line, *statements: Statement) -> list[Any]:
        results = line.ask(statements, PATIENCE)
        error = failure(results)
        if error is not None:
            raise _refused(error) from error
        return results


class PostgresShardBranch:
    """What a transaction does on one shard.

    Args:
        branch: the participant's branch.
    """

    def __init__(self, branch: PostgresBranch) -> None:
        self._branch = branch
        self._execute = branch.execute

    @property
    def wrote(self) -> bool:
        """Has it tried to change anything?"""
        return self._branch.wrote

    def mark(self) -> Mark | None:
        """Return epoch, migrating and fence; None before the shard joined a ring."""
        for epoch, migrating, fence in self._execute(MARK):
            return Mark(epoch, migrating, fence)
        return None

    def set_state(self, state: RingState) -> None:
        """Write the state."""
        self._execute(SET_STATE, state.row())

    def set_fence(self, fence: int) -> None:
        """Write the fence of the state."""
        self._execute(SET_FENCE, (fence,))

    def empty(self) -> bool:
        """Is there no key here?"""
        return not self._execute("SELECT 1 FROM entry LIMIT 1")

    def get(self, key: StoredKey) -> Value | None:
        """Return the value of `key`, None when it is not here."""
        for (value,) in self._execute(GET, (key_to_bytes(key),)):
            return value_from_bytes(value)
        return None

    def put(self, key: StoredKey, value: Value) -> None:
        """Write `key`."""
        self._execute(PUT, (key_to_bytes(key), value_to_bytes(value)))

    def delete(self, key: StoredKey) -> bool:
        """Delete `key`; was it here?"""
        there = self.get(key) is not None
        if there:
            self._execute(DELETE, (key_to_bytes(key),))
        return there

    def rows(self, keys: Sequence[StoredKey], room: int) -> tuple[list[Row], int]:
        """Return those of `keys` that are here, with their values, ending early once `room` bytes are filled."""
        rows: list[Row] = []
        seen = 0
        while seen < len(keys) and room > 0:
            asked = [key_to_bytes(key) for key in keys[seen : seen + AT_ONCE]]
            found = [_row(key, value) for key, value in self._execute(ROWS, (asked,))]
            room -= sum(size(value) for _, value in found)
            rows += found
            seen += len(asked)
        return rows, seen

    def insert(self, rows: Sequence[Row]) -> None:
        """Write keys that are not here."""
        self._branch.executemany(INSERT, [(key_to_bytes(key), value_to_bytes(value)) for key, value in rows])

    def discard(self, keys: Sequence[StoredKey]) -> None:
        """Delete keys."""
        self._branch.executemany(DELETE, [(key_to_bytes(key),) for key in keys])


def _row(key: bytes, value: bytes) -> Row:
    kept = value_from_bytes(value)
    assert kept is not None
    return key_from_bytes(key), kept


def _make_ready(line: BaseLine) -> Steps[None]:
    """Make a new connection ready, and the tables where they are missing.

    Raises:
        InvalidValue: a transaction would see what was there when it began, and not what is.
    """
    results = yield [settings(IMPATIENCE), ISOLATION]
    refuse_failed(results)
    [(isolation,)] = line.rows(results[1])
    if isolation != "read committed":
        raise InvalidValue(
            f"a shard needs the isolation 'read committed', and the database has {isolation!r}"
        )
    yield from find_tables(line, TABLES)


def _refused(error: Any) -> StoreError:
    return StoreError(f"PostgreSQL refused ({error}); nothing was changed")
