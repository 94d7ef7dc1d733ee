"""The table of branches, what prepared transactions are called, and the statements about both.

A PostgreSQL server has one name space of prepared transactions for all its databases, so a name ends with the oid of
the database. The id that the server itself gave a transaction still tells, when its name is gone, whether it was
committed or rolled back, by whomever.
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

COMMITTED, ABORTED = "committed", "aborted"
"""States of a branch: committed in one phase, or never to be so committed."""

BEGIN = Statement(b"BEGIN")
COMMIT = Statement(b"COMMIT")
ROLLBACK = Statement(b"ROLLBACK")
HAS_WRITTEN = Statement(b"SELECT pg_current_xact_id_if_assigned()")
NUMBER = Statement(b"SELECT pg_current_xact_id()::text::bigint")
"""The server's own id of the transaction that is open."""

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

    def state(self, gid: str) -> Statement:
        """Read the state of a branch."""
        return statement(f"SELECT state FROM {self.branch} WHERE gid = $1", gid)

    def ends(self, numbers: dict[str, int]) -> Statement:
        """Read what became of transactions by the server's own ids: "committed", "aborted", or NULL after long."""
        return statement(
            "SELECT gid, pg_xact_status(number::xid8) FROM unnest($1, $2) AS wanted (gid, number)",
            list(numbers),
            [str(number) for number in numbers.values()],
        )

    def recover(self, prefix: str) -> Statement:
        """Read the names of the transactions that ringfence prepared in this database, and the server's own ids.

        It shows the lower 32 bits of these; the upper ones are those of the next transaction, or one less.
        """
        return statement(
            "SELECT gid, next - ((next - transaction::text::bigint) & 4294967295) FROM pg_prepared_xacts, "
            "CAST(pg_snapshot_xmax(pg_current_snapshot())::text AS bigint) AS next "
            "WHERE database = current_database() AND starts_with(gid, $1)",
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
