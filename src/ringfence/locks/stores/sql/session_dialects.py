"""The statements of the session store, as PostgreSQL and MariaDB want them.

The lock itself is an advisory lock, which belongs to the session of a connection and ends with it. Beside it stands a
row with the fence, and with the time at which the holder must have given the lock up: by it a waiter ends the session
of a holder that does not, as a process that was stopped cannot. Times are microseconds since 2020 by the server.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

GRACE = 400_000
"""Microseconds that a process has to give up by itself what is over, before a waiter ends its session."""


@dataclass(frozen=True)
class SessionDialect:
    """What differs between the databases.

    Attributes:
        table: makes the table.
        make: makes the table when several do so at once.
        prepare: sets a new connection up.
        now: the time.
        take: takes the lock if it is free, and returns the fence. Values: key, name, key, owner, fences less one,
            ttl.
        wait: the same, and waits for it.
        unlock: gives the lock back, and notes in the row that nobody has it. Values: name, key.
        holder: returns the session that has the lock, and the session, owner, fence and time left of the row.
            Values: name, key.
        leases: returns name, owner, fence and time left of all that are held.
        waits: returns a row when a session waits for a lock. Value: its number.
        lives: returns a row while there is a session. Value: its number.
        end: ends a session. Value: its number.
    """

    table: str
    make: str
    prepare: str
    now: str
    take: str
    wait: str
    unlock: str
    holder: str
    leases: str
    waits: str
    lives: str
    end: str

    @property
    def strike_out(self) -> str:
        """Return the statement that takes a holder out of its row. Values: name, owner, fence."""
        return "UPDATE ringfence_session SET owner = '' WHERE name = %s AND owner = %s AND fence = %s"

    def renew(self, count: int) -> str:
        """Return the statement that extends so many leases. Values: ttl, and name, owner and fence of each."""
        return (
            f"UPDATE ringfence_session SET until = greatest(until, {self.now} + %s)"
            f" WHERE (name, owner, fence) IN ({', '.join(['(%s, %s, %s)'] * count)})"
        )


def number_key(name: str) -> int:
    """Return the advisory lock of PostgreSQL for a name: 64 bits, signed; each database has its own."""
    digest = hashlib.blake2b(name.encode(), digest_size=8, person=b"ringfence").digest()
    return int.from_bytes(digest, "big", signed=True)


def text_key(database: str, name: str) -> str:
    """Return the user lock of MariaDB for a name: 50 of the 64 letters there may be; all databases share them."""
    digest = hashlib.blake2b(f"{database}\0{name}".encode(), digest_size=20)
    return f"ringfence:{digest.hexdigest()}"


_POSTGRESQL_NOW = "((extract(epoch FROM clock_timestamp()) * 1000000)::bigint - 1577836800000000)"
_POSTGRESQL_TABLE = """CREATE TABLE IF NOT EXISTS ringfence_session (
    name TEXT PRIMARY KEY, lock_key BIGINT NOT NULL, last BIGINT NOT NULL, owner TEXT NOT NULL,
    fence BIGINT NOT NULL, session BIGINT NOT NULL, until BIGINT NOT NULL) WITH (fillfactor = 50)"""

# The row is written once the lock is had, in the same statement: nobody is needed to go on between the two.
_POSTGRESQL_STAMP = f"""INSERT INTO ringfence_session AS known (name, lock_key, owner, last, fence, session, until)
    SELECT %s, %s, %s, moment + %s, moment, pg_backend_pid(), moment + %s
    FROM (SELECT {_POSTGRESQL_NOW} AS moment FROM got WHERE ok) AS had
    ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, session = excluded.session, until = excluded.until,
    lock_key = excluded.lock_key, fence = greatest(known.last + 1, excluded.fence),
    last = greatest(known.last + 1, excluded.fence) + excluded.last - excluded.fence RETURNING fence"""

_POSTGRESQL_HELD = """locktype = 'advisory' AND objsubid = 1 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
_POSTGRESQL_KEY = "((classid::bigint << 32) | objid::bigint)"

POSTGRESQL = SessionDialect(
    table=_POSTGRESQL_TABLE,
    make=f"SELECT pg_advisory_xact_lock(hashtext('ringfence_session')); {_POSTGRESQL_TABLE}",
    prepare="""SELECT set_config(name,
        CASE name WHEN 'default_transaction_isolation' THEN 'read committed' ELSE '0' END, false) FROM pg_settings
        WHERE name IN ('default_transaction_isolation', 'statement_timeout', 'lock_timeout', 'idle_session_timeout')""",
    now=_POSTGRESQL_NOW,
    take=f"WITH got AS MATERIALIZED (SELECT pg_try_advisory_lock(%s) AS ok) {_POSTGRESQL_STAMP}",
    wait=f"WITH got AS MATERIALIZED (SELECT pg_advisory_lock(%s)::text = '' AS ok) {_POSTGRESQL_STAMP}",
    unlock="""WITH noted AS (UPDATE ringfence_session SET session = 0 WHERE name = %s AND session = pg_backend_pid()
        RETURNING 1) SELECT pg_advisory_unlock(%s) FROM (SELECT count(*) FROM noted) AS done""",
    holder=f"""SELECT pid, session, owner, fence, until - {_POSTGRESQL_NOW}
        FROM pg_locks LEFT JOIN ringfence_session ON name = %s
        WHERE {_POSTGRESQL_HELD} AND {_POSTGRESQL_KEY} = %s""",
    leases=f"""SELECT name, owner, fence, until - {_POSTGRESQL_NOW} FROM ringfence_session
        JOIN pg_locks ON pid = session AND {_POSTGRESQL_KEY} = lock_key WHERE {_POSTGRESQL_HELD}""",
    waits="SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'",
    lives="SELECT 1 FROM pg_stat_activity WHERE pid = %s",
    end="SELECT pg_terminate_backend(%s::int)",
)

_MARIADB_NOW = "timestampdiff(MICROSECOND, '2020-01-01', utc_timestamp(6))"
_MARIADB_TABLE = """CREATE TABLE IF NOT EXISTS ringfence_session (
    name VARBINARY(255) PRIMARY KEY, lock_key VARBINARY(64) NOT NULL, last BIGINT NOT NULL,
    owner VARBINARY(255) NOT NULL, fence BIGINT NOT NULL, session BIGINT NOT NULL, until BIGINT NOT NULL)
    ENGINE = InnoDB"""

# Several statements in one message; the server needs nobody to go on with the next one.
_MARIADB_STAMP = f"""SET @ringfence_name = %s;
    INSERT INTO ringfence_session (name, lock_key, owner, last, fence, session, until)
    SELECT @ringfence_name, %s, %s, {_MARIADB_NOW} + %s, {_MARIADB_NOW}, connection_id(), {_MARIADB_NOW} + %s
    FROM DUAL WHERE @ringfence_got = 1
    ON DUPLICATE KEY UPDATE lock_key = VALUES(lock_key), owner = VALUES(owner), session = VALUES(session),
    until = VALUES(until), fence = greatest(last + 1, VALUES(fence)), last = fence + VALUES(last) - VALUES(fence);
    SELECT fence FROM ringfence_session WHERE name = @ringfence_name AND @ringfence_got = 1"""
_FOR_EVER = 31_536_000

MARIADB = SessionDialect(
    table=_MARIADB_TABLE,
    make=_MARIADB_TABLE,
    prepare="SET SESSION wait_timeout = 31536000",
    now=_MARIADB_NOW,
    take=f"SET @ringfence_got = get_lock(%s, 0); {_MARIADB_STAMP}",
    wait=f"SET @ringfence_got = get_lock(%s, {_FOR_EVER}); {_MARIADB_STAMP}",
    unlock="""UPDATE ringfence_session SET session = 0 WHERE name = %s AND session = connection_id();
        SELECT release_lock(%s)""",
    holder=f"""SELECT is_used_lock(asked.lock_key), session, owner, fence, until - {_MARIADB_NOW}
        FROM (SELECT CAST(%s AS BINARY) AS name, %s AS lock_key) AS asked
        LEFT JOIN ringfence_session ON ringfence_session.name = asked.name
        WHERE is_used_lock(asked.lock_key) IS NOT NULL""",
    leases=f"""SELECT name, owner, fence, until - {_MARIADB_NOW} FROM ringfence_session
        WHERE until > {_MARIADB_NOW} AND is_used_lock(lock_key) = session""",
    waits="SELECT 1 FROM information_schema.processlist WHERE id = %s AND state = 'User lock'",
    lives="SELECT 1 FROM information_schema.processlist WHERE id = %s",
    end="KILL %s",
)
