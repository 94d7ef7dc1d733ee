"""What recipes need whose locks are touched by another process than took them, or outlive it."""

from __future__ import annotations

from ringfence.errors import InvalidValue
from ringfence.locks.stores import LockStore


def check_outliving(store: LockStore, what: str) -> None:
    """Refuse a store whose leases end with the session of the process that took them.

    Raises:
        InvalidValue: it is one.
    """
    if getattr(store, "session_bound", False):
        raise InvalidValue(
            f"the leases of this store end with the session of the process that took them, so it carries no {what}; "
            "take memory, SQLite, Redis, etcd, or a table in a database"
        )
