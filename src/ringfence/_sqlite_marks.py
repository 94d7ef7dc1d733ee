"""Marks in an SQLite file: the highest fence that has written, by resource, in the table `ringfence_guard`."""

from __future__ import annotations

import sqlite3

_TABLE = "CREATE TABLE IF NOT EXISTS ringfence_guard (resource TEXT PRIMARY KEY, fence INTEGER NOT NULL) WITHOUT ROWID"
_THERE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'ringfence_guard'"
_READ = "SELECT fence FROM ringfence_guard WHERE resource = ?"
_PUT = "INSERT OR REPLACE INTO ringfence_guard (resource, fence) VALUES (?, ?)"


def read(connection: sqlite3.Connection, resource: str) -> int:
    """The mark of `resource`, 0 if none has written."""
    cursor = connection.cursor()
    cursor.row_factory = None  # tuples, whatever rows the caller's connection gives
    if not cursor.execute(_THERE).fetchall():
        return 0
    rows = cursor.execute(_READ, (resource,)).fetchall()
    return int(rows[0][0]) if rows else 0


def put(connection: sqlite3.Connection, resource: str, fence: int) -> None:
    """Make `fence` the mark of `resource`, in the transaction that is open."""
    connection.execute(_TABLE)
    connection.execute(_PUT, (resource, fence))
