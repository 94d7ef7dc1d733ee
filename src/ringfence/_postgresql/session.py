"""What every new connection of the library's own is told first, and how its tables come to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ringfence._postgresql.line import BaseLine, Steps, failure
from ringfence._postgresql.statement import Statement, literal, once, statement
from ringfence.errors import StoreError

GUARD_TABLE = "CREATE TABLE IF NOT EXISTS ringfence_guard (resource TEXT PRIMARY KEY, fence BIGINT NOT NULL)"
"""The marks of guarded resources: what locks' guards and guarded transactions compare fences with."""

ALONE = "SELECT pg_advisory_xact_lock(hashtext('ringfence_guard'))"
"""One at a time makes tables: `IF NOT EXISTS` fails when two do it at once."""

_FIND = """
    SELECT wanted.name, format('%I.%I', n.nspname, c.relname)
    FROM unnest($1) AS wanted (name)
    LEFT JOIN pg_class AS c ON c.oid = to_regclass(wanted.name) LEFT JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid IS NOT NULL
"""


def settings(timeout: float, more: Mapping[str, str] | None = None) -> Statement:
    """Bound every wait for a lock, find clients out that are gone, and have commits outlast a crash."""
    seconds = max(2, round(timeout))
    wanted = {
        "lock_timeout": f"{max(1, round(timeout * 1000))}",
        "tcp_keepalives_idle": f"{seconds}",
        "tcp_keepalives_interval": f"{seconds}",
        "synchronous_commit": "on",
        **(more or {}),
    }
    rows = ", ".join(f"({literal(name)}, {literal(value)})" for name, value in wanted.items())
    return once(
        f"SELECT set_config(name, value, false) FROM (VALUES {rows}) AS wanted (name, value) "
        "WHERE name <> 'synchronous_commit' OR current_setting(name) = 'off'"
    )


def find_tables(line: BaseLine, wanted: Mapping[str, str]) -> Steps[dict[str, str]]:
    """Return the full names of tables, made where they are missing; `wanted` says by which SQL.

    Raises:
        StoreError: one cannot be made.
    """
    found = yield from _found(line, list(wanted))
    if len(found) < len(wanted):
        refuse_failed((yield [once(ALONE), *map(once, wanted.values())]))
        found = yield from _found(line, list(wanted))
    return found


def refuse_failed(results: list[Any]) -> None:
    """Refuse results among which there is an error.

    Raises:
        StoreError: there is one.
    """
    error = failure(results)
    if error is not None:
        raise StoreError(f"PostgreSQL refused to prepare a connection: {error}") from error


def _found(line: BaseLine, names: list[str]) -> Steps[dict[str, str]]:
    results = yield [statement(_FIND, names)]
    refuse_failed(results)
    return dict(line.rows(results[0]))
