"""Guard triggers: programs that use plain SQLite cannot change a file while prepared work stands in it."""

from __future__ import annotations

import secrets
import sqlite3

_MESSAGE = "ringfence: prepared work of a transaction stands in this file; try again later, or run recover()"

_SHADOWS = (
    "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'"
    if sqlite3.sqlite_version_info >= (3, 37)
    else """
        SELECT t.name FROM sqlite_master AS t, sqlite_master AS v
        WHERE v.type = 'table' AND v.rootpage = 0 AND substr(t.name, 1, length(v.name) + 1) = v.name || '_'
    """
)
_UNGUARDED = f"""
    WITH operation (name) AS (VALUES ('insert'), ('update'), ('delete'))
    SELECT t.name, operation.name FROM sqlite_master AS t, operation
    WHERE t.type = 'table' AND t.rootpage > 0
      AND t.name NOT LIKE 'sqlite~_%' ESCAPE '~' AND t.name NOT LIKE 'ringfence~_%' ESCAPE '~'
      AND t.name NOT IN ({_SHADOWS})
      AND NOT EXISTS (
        SELECT 1 FROM sqlite_master AS g
        WHERE g.type = 'trigger' AND g.tbl_name = t.name COLLATE NOCASE
          AND g.name LIKE 'ringfence~_guard~_' || operation.name || '~_%' ESCAPE '~')
"""


def install(connection: sqlite3.Connection) -> list[str]:
    """Guard every ordinary table that is not guarded yet, in the transaction that is open; return the new triggers.

    A view is guarded by the tables beneath it. Virtual tables cannot have such triggers, and those that hold their
    data must not: SQLite 3.40 crashes. Tables whose names begin with `ringfence_` are the library's own.
    """
    added = []
    for table, operation in connection.execute(_UNGUARDED).fetchall():
        # named at random: a table that was renamed keeps its triggers, and leaves its name to another one
        name = f"ringfence_guard_{operation}_{secrets.token_hex(8)}"
        connection.execute(_trigger(name, table, operation))
        added.append(name)
    return added


def _trigger(name: str, table: str, operation: str) -> str:
    quoted = table.replace('"', '""')
    return (
        f'CREATE TRIGGER {name} BEFORE {operation} ON "{quoted}" '
        f"WHEN EXISTS (SELECT 1 FROM ringfence_intent) BEGIN SELECT RAISE(ABORT, '{_MESSAGE}'); END"
    )
