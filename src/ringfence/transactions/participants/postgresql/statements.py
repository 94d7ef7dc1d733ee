"""The table of branches, what prepared transactions are called, and the statements about both.

A PostgreSQL server has one name space of prepared transactions for all its databases, so a name ends with the oid of
the database. The row of a branch is inserted together with `PREPARE TRANSACTION` and seen once that is committed, by
whomever: it tells what was committed by hand from what was rolled back.
"""

from __future__ import annotations

from typing import NamedTuple

from ringfence._postgresql.session import GUARD_TABLE
from ringfence._postgresql.statement import Statement, literal, once, statement
from ringfence.transactions.decisions.postgresql.statements import TABLES as DECISION_TABLES
from ringfence.transactions.decisions.postgresql.statements import DecisionSql

TABLES = {
    "ringfence_branch": """
        CREATE TABLE IF NOT EXISTS ringfence_branch (gid TEXT COLLATE "C" PRIMARY KEY, state TEXT NOT NULL)""",
    "ringfence_guard": GUARD_TABLE,
    **DECISION_TABLES,
}

PREPARED, COMMITTED, ABORTED = "prepared", "committed", "aborted"
"""States of a branch: prepared, seen once it is committed; committed in one phase; never to be so committed."""

BEGIN = Statement(b"BEGIN")
COMMIT = Statement(b"COMMIT")
ROLLBACK = Statement(b"ROLLBACK")
DURABLY = Statement(
    b"SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
)
"""Have COMMIT outlast a crash, whatever the branch has set: others commit because of it."""
SOON = Statement(b"SELECT set_config('lock_timeout', '100', true)")
"""Have what is sent together with it not wait long for locks."""
HAS_WRITTEN = Statement(b"SELECT pg_current_xact_id_if_assigned()")
WHERE = once(
    "SELECT oid, current_setting('max_prepared_transactions')::int FROM pg_database"
    " WHERE datname = current_database()"
)
_PREFIX = "ringfence:"


class BranchSql(NamedTuple):
    """The statements of a participant, over its tables' full names.

    Attributes:
        database: the oid of the database.
        branch: the table of branches.
        guard: the table of marks.
        decisions: those of the decision store in the same database.
    """

    database: int
    branch: str
    guard: str
    decisions: DecisionSql

    @classmethod
    def over(cls, tables: dict[str, str], database: int) -> BranchSql:
        """The statements over tables that were found."""
        return cls(database, tables["ringfence_branch"], tables["ringfence_guard"], DecisionSql.over(tables))

    def prepare(self, gid: str) -> Statement:
        """Prepare the transaction that is open."""
        return once(f"PREPARE TRANSACTION {self._name(gid)}")

    def finish(self, verb: str, gid: str) -> Statement:
        """Commit or roll back a prepared one."""
        return once(f"{verb} PREPARED {self._name(gid)}")

    def insert(self, gid: str, state: str) -> Statement:
        """Insert the row of a branch; it fails when there is one."""
        return statement(f"INSERT INTO {self.branch} VALUES ($1, $2)", gid, state)

    def settle(self, gid: str) -> Statement:
        """Say that a branch is never committed in one phase unless it was, and return its state."""
        return statement(
            f"INSERT INTO {self.branch} AS b VALUES ($1, '{ABORTED}') "
            "ON CONFLICT (gid) DO UPDATE SET state = b.state RETURNING state",
            gid,
        )

    def states(self, gids: list[str]) -> Statement:
        """Read the states of branches."""
        return statement(f"SELECT gid, state FROM {self.branch} WHERE gid = ANY($1)", gids)

    def recover(self, prefix: str) -> Statement:
        """Read the names of the prepared transactions that ringfence left in this database."""
        return statement(
            "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() AND starts_with(gid, $1)",
            _PREFIX + prefix,
        )

    def gid_of(self, name: str) -> str:
        """The gid that a prepared transaction's name holds; "" when it is none of this database."""
        prefix, _, rest = name.partition(":")
        gid, _, database = rest.rpartition(":")
        return gid if prefix + ":" == _PREFIX and database == str(self.database) else ""

    def raise_mark(self, resource: str, fence: int) -> Statement:
        """Raise the mark of a resource; it fails when the mark stands above the fence."""
        return statement(
            f"INSERT INTO {self.guard} AS g VALUES ($1, $2) ON CONFLICT (resource) "
            "DO UPDATE SET fence = CASE WHEN g.fence <= excluded.fence THEN excluded.fence END",
            resource,
            fence,
        )

    def mark_of(self, resource: str) -> Statement:
        """Read the mark of a resource."""
        return statement(f"SELECT fence FROM {self.guard} WHERE resource = $1", resource)

    def _name(self, gid: str) -> str:
        return literal(f"{_PREFIX}{gid}:{self.database}")
