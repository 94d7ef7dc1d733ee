"""Decisions in a table of MariaDB or MySQL, shared by the processes of many machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from ringfence._mysql.session import Answer
from ringfence.protocol import Effects, run
from ringfence.transactions.decisions import Heuristic, check_outcome
from ringfence.transactions.gid import Gid, check_name
from ringfence.transactions.outcome import Outcome
from ringfence.transactions.participants.mariadb import tables
from ringfence.transactions.participants.mariadb.asking import PATIENCE, Database, decision
from ringfence.transactions.participants.mariadb.failures import STALE, STANDS, code, known, refusal
from ringfence.transactions.participants.mariadb.pool import Pool, for_requests
from ringfence.transactions.participants.mariadb.tables import literal

T = TypeVar("T")

_AT_ONCE = 500


class MariaDecisions:
    """A `DecisionStore` in the tables `ringfence_…` of a database, made when they are missing. Needs PyMySQL.

    A decision is a row that is inserted; the primary key sees to it that it is the only one. It reads the row of its
    coordinator's epoch locked, so a new start and a decision of the old one come one after the other. A decision of a
    participant's `decide` that has not ended yet is waited for, but not for longer than `timeout`.

    Args:
        url: `mariadb://user:password@host:port/database`, or `mysql://…`.
        timeout: seconds, in whole ones, to wait for other transactions.

    Raises:
        BackendUnavailable: PyMySQL is not installed.
        InvalidValue: it is no URL of MariaDB, or names no database.
    """

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        self._pool = Pool(url, timeout + PATIENCE, for_requests(timeout))
        self.database = Database(url, self._pool, timeout)

    def begin_epoch(self, name: str) -> int:
        """Add one to the epoch of `name`, durably, and return it."""
        row = f"('{check_name(name)}', LAST_INSERT_ID(1))"
        newer = "ON DUPLICATE KEY UPDATE epoch = LAST_INSERT_ID(epoch + 1)"
        return self._ask(f"INSERT INTO ringfence_epoch VALUES {row} {newer}").number

    def epoch(self, name: str) -> int:
        """The newest epoch of `name`, 0 if it never started."""
        found = self._ask(f"SELECT epoch FROM ringfence_epoch WHERE name = '{check_name(name)}'")
        return int(found.rows[0][0]) if found.rows else 0

    def put_if_absent(self, gid: str, outcome: Outcome) -> Outcome:
        """Record `outcome` durably unless one stands; return the one that stands.

        Raises:
            OutcomeUnknown: no answer came; the row may or may not be there.
            StoreTimeout: another transaction, that puts a row for the same gid, did not end in time.
            StoreError: nothing was recorded.
        """
        return self._run(self._put(Gid.parse(gid), check_outcome(outcome)))

    def put_many(self, rows: Sequence[tuple[str, Outcome]]) -> list[Outcome]:
        """`put_if_absent` for each of `rows`; those that abort by the hundred."""
        wanted = [(Gid.parse(gid), check_outcome(outcome)) for gid, outcome in rows]
        standing: list[Outcome] = []
        for start in range(0, len(wanted), _AT_ONCE):
            standing += self._run(self._put_batch(wanted[start : start + _AT_ONCE]))
        return standing

    def get(self, gid: str) -> Outcome | None:
        """The outcome that stands, or None."""
        return self._run(decision(self.database, Gid.parse(gid)))

    def decisions(self, prefix: str = "") -> Iterator[tuple[str, Outcome]]:
        """All decisions on gids that begin with `prefix`."""
        found = self._ask(
            "SELECT gid, outcome FROM ringfence_decision "
            f"WHERE gid >= {literal(prefix)} AND gid < {literal(prefix + chr(127))} ORDER BY gid"
        )
        return ((gid.decode(), known(outcome)) for gid, outcome in found.rows)

    def carried_by(self, participant: object) -> bool:
        """Is that participant's database the one of this store?"""
        database = getattr(participant, "database", None)
        return isinstance(database, Database) and database.place == self.database.place

    def report(self, gid: str, branch: str, found: str) -> None:
        """Record durably that a branch did not end as was decided."""
        row = ", ".join(map(literal, (gid, branch, found)))
        self._ask(f"REPLACE INTO ringfence_heuristic VALUES ({row})")

    def heuristics(self) -> list[Heuristic]:
        """What was reported and not forgotten yet."""
        found = self._ask("SELECT gid, branch, found FROM ringfence_heuristic ORDER BY gid, branch")
        return [Heuristic(*(text.decode() for text in row)) for row in found.rows]

    def forget(self, gid: str) -> bool:
        """Drop what was reported of `gid`; was there anything?"""
        return self._ask(f"DELETE FROM ringfence_heuristic WHERE gid = {literal(gid)}").changed > 0

    def close(self) -> None:
        """Close the connections. Closing twice is harmless."""
        self._pool.close()

    def _ask(self, sql: str) -> Answer:
        return self._run(self.database.one(sql))

    def _run(self, steps: Effects[T]) -> T:
        run(self.database.name())
        return run(steps)

    def _put(self, gid: Gid, outcome: Outcome) -> Effects[Outcome]:
        reply = yield from self.database.reply(_row(gid, outcome))
        if isinstance(reply, Answer):
            return outcome
        if code(reply) == STALE:
            return (yield from self._put(gid, Outcome.ABORTED))
        if code(reply) != STANDS:
            raise refusal(reply) from reply
        found = yield from decision(self.database, gid)
        return found or (yield from self._put(gid, outcome))  # what stood was rolled back

    def _put_batch(self, rows: Sequence[tuple[Gid, Outcome]]) -> Effects[list[Outcome]]:
        aborted = sorted(str(gid) for gid, outcome in rows if outcome is Outcome.ABORTED)
        for gid, outcome in rows:
            if outcome is Outcome.COMMITTED:
                yield from self._put(gid, outcome)
        if aborted:
            values = ", ".join(f"('{gid}', 'aborted')" for gid in aborted)
            yield from self.database.one(f"INSERT IGNORE INTO ringfence_decision VALUES {values}")
        gids = ", ".join(f"'{gid}'" for gid, _ in rows)
        found = yield from self.database.one(
            f"SELECT gid, outcome FROM ringfence_decision WHERE gid IN ({gids})"
        )
        outcomes = {gid.decode(): known(outcome) for gid, outcome in found.rows}
        return [outcomes[str(gid)] for gid, _ in rows]


def _row(gid: Gid, outcome: Outcome) -> str:
    if outcome is Outcome.COMMITTED:
        return tables.decided(gid)
    return f"INSERT INTO ringfence_decision VALUES ('{gid}', 'aborted')"
