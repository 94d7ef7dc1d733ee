"""The tables and statements of decisions in a PostgreSQL database."""

from __future__ import annotations

from typing import NamedTuple

from ringfence._postgresql.statement import Statement, statement
from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome

TABLES = {
    "ringfence_epoch": """
        CREATE TABLE IF NOT EXISTS ringfence_epoch (name TEXT COLLATE "C" PRIMARY KEY, epoch BIGINT NOT NULL)""",
    "ringfence_decision": """
        CREATE TABLE IF NOT EXISTS ringfence_decision (gid TEXT COLLATE "C" PRIMARY KEY, outcome TEXT NOT NULL)""",
    "ringfence_heuristic": """
        CREATE TABLE IF NOT EXISTS ringfence_heuristic (
            gid TEXT COLLATE "C", branch TEXT COLLATE "C", found TEXT NOT NULL, PRIMARY KEY (gid, branch))""",
}

PAGE = 1000
"""How many decisions are read at once."""


class DecisionSql(NamedTuple):
    """The statements of a decision store, over its tables' full names."""

    epoch: str
    decision: str
    heuristic: str

    @classmethod
    def over(cls, tables: dict[str, str]) -> DecisionSql:
        """The statements over tables that were found."""
        return cls(tables["ringfence_epoch"], tables["ringfence_decision"], tables["ringfence_heuristic"])

    def begin_epoch(self, name: str) -> Statement:
        """Add one to an epoch."""
        return statement(
            f"INSERT INTO {self.epoch} AS e VALUES ($1, 1) "
            "ON CONFLICT (name) DO UPDATE SET epoch = e.epoch + 1 RETURNING epoch",
            name,
        )

    def read_epoch(self, name: str) -> Statement:
        """Read an epoch."""
        return statement(f"SELECT epoch FROM {self.epoch} WHERE name = $1", name)

    def put(self, gid: Gid, outcome: Outcome) -> Statement:
        """Put a decision if none stands, and return what stands: the update of a row that stands only reads it."""
        return statement(
            f"INSERT INTO {self.decision} AS d VALUES ($1, CASE WHEN $2 = 'committed' AND $4 IS DISTINCT FROM "
            f"(SELECT epoch FROM {self.epoch} WHERE name = $3) THEN 'aborted' ELSE $2 END) "
            "ON CONFLICT (gid) DO UPDATE SET outcome = d.outcome RETURNING outcome",
            str(gid),
            outcome.value,
            gid.name,
            gid.epoch,
        )

    def put_many(self, rows: dict[str, Outcome]) -> Statement:
        """`put` for many gids, always in one order, so that two who do it at once do not block each other."""
        gids = sorted(rows)
        return statement(
            f"INSERT INTO {self.decision} AS d SELECT gid, CASE WHEN outcome = 'committed' AND "
            f"split_part(gid, '.', 2)::bigint IS DISTINCT FROM "
            f"(SELECT epoch FROM {self.epoch} AS e WHERE e.name = split_part(gid, '.', 1)) THEN 'aborted' ELSE outcome "
            "END FROM unnest($1, $2) WITH ORDINALITY AS wanted (gid, outcome, number) ORDER BY number "
            "ON CONFLICT (gid) DO UPDATE SET outcome = d.outcome RETURNING gid, outcome",
            gids,
            [rows[gid].value for gid in gids],
        )

    def mark(self, gid: Gid) -> Statement:
        """Put "committed" in the transaction that is open; it fails when the epoch is stale or an abort stands.

        A transaction that sees an old snapshot locks the row of the epoch, which fails if that has changed since.
        """
        epoch = f"SELECT epoch FROM {self.epoch} WHERE name = $2"
        return statement(
            f"INSERT INTO {self.decision} AS d VALUES ($1, CASE WHEN $3 = "
            "CASE current_setting('transaction_isolation') WHEN 'read committed' "
            f"THEN ({epoch}) ELSE ({epoch} FOR SHARE) END THEN 'committed' END) "
            "ON CONFLICT (gid) DO UPDATE SET outcome = CASE d.outcome WHEN 'committed' THEN 'committed' END",
            str(gid),
            gid.name,
            gid.epoch,
        )

    def read(self, gid: str) -> Statement:
        """Read a decision."""
        return statement(f"SELECT outcome FROM {self.decision} WHERE gid = $1", gid)

    def page(self, prefix: str, after: str) -> Statement:
        """Read the next decisions."""
        return statement(
            f"SELECT gid, outcome FROM {self.decision} "
            f"WHERE starts_with(gid, $1) AND gid > $2 ORDER BY gid LIMIT {PAGE}",
            prefix,
            after,
        )

    def report(self, gid: str, branch: str, found: str) -> Statement:
        """Record what was found."""
        return statement(
            f"INSERT INTO {self.heuristic} VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", gid, branch, found
        )

    def heuristics(self) -> Statement:
        """Read what was found."""
        return statement(f"SELECT gid, branch, found FROM {self.heuristic} ORDER BY gid, branch")

    def forget(self, gid: str) -> Statement:
        """Drop what was found."""
        return statement(f"DELETE FROM {self.heuristic} WHERE gid = $1 RETURNING gid", gid)
