"""The lock store in an SQLite file."""

from ringfence.locks.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
