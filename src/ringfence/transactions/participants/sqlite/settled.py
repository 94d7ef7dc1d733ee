"""Which transactions committed in one phase: two bits each, kept for ever at some bytes for sixty transactions.

A one-phase commit has no decision row: its own commit decides. It sets its bit in the same transaction, and does not
commit when the other bit says that somebody settled it as aborted before.
"""

from __future__ import annotations

import sqlite3

from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome

_BITS = 60

TABLE = """
    CREATE TABLE IF NOT EXISTS ringfence_settled (
        name TEXT, epoch INTEGER, block INTEGER, committed INTEGER NOT NULL, aborted INTEGER NOT NULL,
        PRIMARY KEY (name, epoch, block)) WITHOUT ROWID
"""
_COMMIT = """
    INSERT INTO ringfence_settled VALUES (?, ?, ?, ?, 0) ON CONFLICT (name, epoch, block) DO
    UPDATE SET committed = committed | excluded.committed WHERE aborted & excluded.committed = 0
"""
_ABORT = """
    INSERT INTO ringfence_settled VALUES (?, ?, ?, 0, ?) ON CONFLICT (name, epoch, block) DO
    UPDATE SET aborted = aborted | excluded.aborted WHERE committed & excluded.aborted = 0
"""
_READ = "SELECT committed, aborted FROM ringfence_settled WHERE name = ? AND epoch = ? AND block = ?"


def commit(connection: sqlite3.Connection, gid: Gid) -> bool:
    """Mark `gid` as committed, in the transaction that is open; False when it was settled as aborted."""
    block, bit = _place(gid)
    return connection.execute(_COMMIT, (gid.name, gid.epoch, block, bit)).rowcount == 1


def abort(connection: sqlite3.Connection, gid: Gid) -> bool:
    """Mark `gid` as aborted, in the transaction that is open; False when it is committed."""
    block, bit = _place(gid)
    return connection.execute(_ABORT, (gid.name, gid.epoch, block, bit)).rowcount == 1


def read(connection: sqlite3.Connection, gid: Gid) -> Outcome | None:
    """What `gid` was settled as, None if it was not."""
    block, bit = _place(gid)
    row = connection.execute(_READ, (gid.name, gid.epoch, block)).fetchone()
    if row is None or not (row[0] | row[1]) & bit:
        return None
    return Outcome.COMMITTED if row[0] & bit else Outcome.ABORTED


def _place(gid: Gid) -> tuple[int, int]:
    return gid.seq // _BITS, 1 << gid.seq % _BITS
