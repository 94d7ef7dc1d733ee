"""Decisions in an SQLite file, shared by the processes of one machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence

from ringfence._sqlite import Connection, Pool, begin, commit, has_table, immediate, translating
from ringfence.errors import StoreDamaged
from ringfence.transactions.decisions import Heuristic, check_outcome, recorded
from ringfence.transactions.decisions.poison import deciding, poison_of
from ringfence.transactions.gid import Gid, check_name
from ringfence.transactions.outcome import Outcome

_TABLES = (
    "CREATE TABLE IF NOT EXISTS ringfence_epoch (name TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS ringfence_decision (gid TEXT PRIMARY KEY, outcome TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS ringfence_heuristic (
        gid TEXT, branch TEXT, found TEXT NOT NULL, PRIMARY KEY (gid, branch)) WITHOUT ROWID""",
)
_BEGIN_EPOCH = "INSERT INTO ringfence_epoch VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET epoch = epoch + 1"
_DECISIONS = "SELECT gid, outcome FROM ringfence_decision WHERE gid >= ? AND gid < ? ORDER BY gid"


class SqliteDecisions:
    """A `DecisionStore` in the file `path`; one row of some 40 bytes a two-phase transaction, kept for ever.

    After the disk failed under a decision this process puts no more of them into the file: what the system's cache
    says then may not be what the disk says.

    Args:
        path: the file, in a folder that exists.
        timeout: seconds to wait for other processes.
    """

    def __init__(self, path: str | os.PathLike[str], *, timeout: float = 5.0) -> None:
        self.path = os.fspath(path)
        self._pool = Pool(self.path, timeout=timeout, prepare=_make_tables)
        self._poison = poison_of(self.path)
        self._turn = threading.Lock()

    def begin_epoch(self, name: str) -> int:
        """Add one to the epoch of `name`, durably, and return it."""
        check_name(name)
        with self._pool.borrow() as connection, immediate(connection):
            connection.execute(_BEGIN_EPOCH, (name,))
            return _newest(connection, name)

    def epoch(self, name: str) -> int:
        """The newest epoch of `name`, 0 if it never started."""
        with self._pool.borrow() as connection:
            return _newest(connection, name)

    def put_if_absent(self, gid: str, outcome: Outcome) -> Outcome:
        """Record `outcome` durably unless one stands; return the one that stands.

        Raises:
            OutcomeUnknown: the disk failed; the row may or may not be there.
            StoreError: nothing was recorded: the disk failed before, or the file cannot be used.
        """
        [standing] = self.put_many([(gid, outcome)])
        return standing

    def put_many(self, rows: Sequence[tuple[str, Outcome]]) -> list[Outcome]:
        """`put_if_absent` for each of `rows`, in one transaction."""
        wanted = [(Gid.parse(gid), check_outcome(outcome)) for gid, outcome in rows]
        with self._turn, self._pool.borrow() as connection:
            begin(connection)
            with deciding(self._poison), translating(self.path):
                standing = [put(connection, gid, outcome) for gid, outcome in wanted]
                commit(connection)
            return standing

    def get(self, gid: str) -> Outcome | None:
        """The outcome that stands, or None."""
        with self._pool.borrow() as connection:
            return _standing(connection, gid)

    def decisions(self, prefix: str = "") -> Iterator[tuple[str, Outcome]]:
        """All decisions on gids that begin with `prefix`."""
        with self._pool.borrow() as connection:
            rows = connection.execute(_DECISIONS, (prefix, _after(prefix))).fetchall()
        return ((gid, _known(outcome, self.path)) for gid, outcome in rows)

    def carried_by(self, participant: object) -> bool:
        """Is that participant's file the one of this store?"""
        path = getattr(participant, "path", None)
        return isinstance(path, str) and os.path.realpath(path) == os.path.realpath(self.path)

    def report(self, gid: str, branch: str, found: str) -> None:
        """Record durably that a branch did not end as was decided."""
        with self._pool.borrow() as connection, immediate(connection):
            connection.execute(
                "INSERT OR REPLACE INTO ringfence_heuristic VALUES (?, ?, ?)", (gid, branch, found)
            )

    def heuristics(self) -> list[Heuristic]:
        """What was reported and not forgotten yet."""
        with self._pool.borrow() as connection:
            rows = connection.execute(
                "SELECT gid, branch, found FROM ringfence_heuristic ORDER BY gid, branch"
            )
            return [Heuristic(*row) for row in rows]

    def forget(self, gid: str) -> bool:
        """Drop what was reported of `gid`; was there anything?"""
        with self._pool.borrow() as connection, immediate(connection):
            return connection.execute("DELETE FROM ringfence_heuristic WHERE gid = ?", (gid,)).rowcount > 0

    def close(self) -> None:
        """Close the file."""
        self._pool.close()


def put(connection: Connection, gid: Gid, outcome: Outcome) -> Outcome:
    """`put_if_absent` within the transaction that is open."""
    return _standing(connection, str(gid)) or _record(connection, gid, outcome)


def _make_tables(connection: Connection) -> None:
    if not has_table(connection, "ringfence_heuristic"):
        with immediate(connection):
            for table in _TABLES:
                connection.execute(table)


def _after(prefix: str) -> str:
    """What sorts behind every gid that begins with `prefix`; they are ASCII."""
    return prefix + "\x7f"


def _newest(connection: Connection, name: str) -> int:
    row = connection.execute("SELECT epoch FROM ringfence_epoch WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else 0


def _standing(connection: Connection, gid: str) -> Outcome | None:
    row = connection.execute("SELECT outcome FROM ringfence_decision WHERE gid = ?", (gid,)).fetchone()
    return None if row is None else _known(row[0], connection.path)


def _known(outcome: str, path: str) -> Outcome:
    try:
        return Outcome(outcome)
    except ValueError as error:
        message = f"{path!r} holds a decision {outcome!r}, which is none; restore it from a copy"
        raise StoreDamaged(message) from error


def _record(connection: Connection, gid: Gid, outcome: Outcome) -> Outcome:
    outcome = recorded(str(gid), outcome, _newest(connection, gid.name))
    connection.execute("INSERT INTO ringfence_decision VALUES (?, ?)", (str(gid), outcome.value))
    return outcome
