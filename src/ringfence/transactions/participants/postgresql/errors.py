"""What a refusal of PostgreSQL means for a transaction."""

from __future__ import annotations

from typing import Any

from ringfence.errors import Aborted

_IN_THE_WAY = {
    "40001": "a serialization failure",
    "40P01": "a deadlock",
    "55P03": "another transaction held a lock for too long",
    "53200": "the server has no room for more prepared transactions or locks (max_prepared_transactions)",
    "25006": "the server takes no writes just now",
}
MISSING = "42704"
"""There is no such prepared transaction."""

BUSY = ("55000", "40001", "40P01", "55P03", "57014", "53200")
"""Another session is at work on it, or stands in the way."""

_NO_LONGER_PARSED = "26000"
_OF_ANOTHER_TYPE = ("0A000", "RevalidateCachedQuery")


def conflict(gid: str, error: Any) -> Aborted | None:
    """What to raise for an error by which a transaction only came in the way of another; None for others."""
    reason = _IN_THE_WAY.get(error.sqlstate)
    return Aborted(gid, f"{reason} ({error})", retryable=True) if reason else None


def refused(gid: str, error: Any) -> Aborted:
    """What to raise for an error that ends a transaction."""
    return conflict(gid, error) or Aborted(gid, f"PostgreSQL refused: {error}")


def parsed_anew(error: Any) -> bool:
    """Was the error that a statement which was parsed once is not any more, or would give other columns now?"""
    return (
        error.sqlstate == _NO_LONGER_PARSED
        or (
            error.sqlstate,
            error.diag.source_function,
        )
        == _OF_ANOTHER_TYPE
    )


def violates(error: Any, table: str, state: str) -> bool:
    """Is the error that a row of that table breaks a constraint?"""
    return bool(error.sqlstate == state and error.diag.table_name == table)
