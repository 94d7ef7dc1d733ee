"""The statements of the row store, as PostgreSQL and MariaDB want them.

Times are microseconds since 2020 by the server's clock, of the moment at which the statement arrived.
"""

from __future__ import annotations

from dataclasses import dataclass

from ringfence.locks.stores.sql.connection import Answer


@dataclass(frozen=True)
class RowDialect:
    """What differs between the databases.

    Attributes:
        table: makes the table.
        make: makes the table when several do so at once.
        now: the time.
        insert: the words before and after the columns of a row that is inserted unless it is there.
        issue: raises the last fence and keeps the first of the new ones, when `%s` more than one are issued.
        returning: what ends that statement.
    """

    table: str
    make: str
    now: str
    insert: tuple[str, str]
    issue: str
    returning: str

    def fence(self, answer: Answer) -> int | None:
        """Return the fence that a granting statement issued; None if it granted nothing."""
        if answer.rows:
            return int(answer.rows[0][0])
        return answer.number if answer.changed else None


_POSTGRESQL_NOW = "((extract(epoch FROM statement_timestamp()) * 1000000)::bigint - 1577836800000000)"
_POSTGRESQL_TABLE = """CREATE TABLE IF NOT EXISTS ringfence_lock (
    name TEXT, shared SMALLINT, version BIGINT NOT NULL, last BIGINT NOT NULL,
    owner TEXT NOT NULL, fence BIGINT NOT NULL, deadline BIGINT NOT NULL, share BIGINT NOT NULL,
    of_shares BIGINT NOT NULL, waited BIGINT NOT NULL,
    rest TEXT NOT NULL, PRIMARY KEY (name, shared)) WITH (fillfactor = 50)"""

POSTGRESQL = RowDialect(
    table=_POSTGRESQL_TABLE,
    make=f"SELECT pg_advisory_xact_lock(hashtext('ringfence_lock')); {_POSTGRESQL_TABLE}",
    now=_POSTGRESQL_NOW,
    insert=("INSERT INTO", "ON CONFLICT DO NOTHING"),
    issue=f"fence = greatest(last + 1, {_POSTGRESQL_NOW}), last = greatest(last + 1, {_POSTGRESQL_NOW}) + %s",
    returning="RETURNING fence",
)

_MARIADB_NOW = "timestampdiff(MICROSECOND, '2020-01-01', utc_timestamp(6))"
_MARIADB_TABLE = """CREATE TABLE IF NOT EXISTS ringfence_lock (
    name VARBINARY(255), shared SMALLINT, version BIGINT NOT NULL, last BIGINT NOT NULL,
    owner VARBINARY(255) NOT NULL, fence BIGINT NOT NULL, deadline BIGINT NOT NULL, share BIGINT NOT NULL,
    of_shares BIGINT NOT NULL, waited BIGINT NOT NULL,
    rest MEDIUMBLOB NOT NULL, PRIMARY KEY (name, shared)) ENGINE = InnoDB"""

MARIADB = RowDialect(
    table=_MARIADB_TABLE,
    make=_MARIADB_TABLE,
    now=_MARIADB_NOW,
    insert=("INSERT IGNORE INTO", ""),
    issue=f"fence = last_insert_id(greatest(last + 1, {_MARIADB_NOW})), last = fence + %s",  # left to right
    returning="",
)
