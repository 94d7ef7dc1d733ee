"""What stands on a shard, as plain `sqlite3`, psycopg or redis-py say, and none of the code that is on trial."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from ringfence import _postgresql, _redis
from ringfence.cli.demo.stores import SQLITE, TIMEOUT, rows, tag_of

SCANNED = 500
"""Keys read from a Redis at a time."""


class Witness(Protocol):
    """One shard."""

    def entries(self) -> Iterator[tuple[str, bytes | str]]:
        """Yield all keys and values."""

    def prepared(self) -> list[str]:
        """Return the gids of what is prepared."""

    def states(self) -> list[tuple[int, str | None]]:
        """Return epoch and previous ring of each state that stands there; one, if all is well."""


def witness(url: str) -> Witness:
    """Return the witness of a shard that has a URL."""
    if url.startswith(SQLITE):
        return SqliteWitness(Path(url.removeprefix(f"{SQLITE}:///")))
    return PostgresWitness(url) if url.startswith(_postgresql.SCHEMES) else RedisWitness(url)


class SqliteWitness:
    """A shard in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def entries(self) -> Iterator[tuple[str, bytes | str]]:
        """Yield all keys and values."""
        return sqlite_rows(self._path, "SELECT key, value FROM entry")

    def prepared(self) -> list[str]:
        """Return the gids of what is prepared."""
        return [gid for (gid,) in sqlite_rows(self._path, "SELECT gid FROM ringfence_intent")]

    def states(self) -> list[tuple[int, str | None]]:
        """Return epoch and previous ring."""
        return list(sqlite_rows(self._path, "SELECT epoch, previous FROM ringfence_ring"))


class PostgresWitness:
    """A shard in a PostgreSQL database."""

    def __init__(self, url: str) -> None:
        self._url = url

    def entries(self) -> Iterator[tuple[str, bytes | str]]:
        """Yield all keys and values."""
        return (decoded(key, value) for key, value in rows(self._url, "SELECT key, value FROM entry"))

    def prepared(self) -> list[str]:
        """Return the gids of what is prepared."""
        query = "SELECT split_part(gid, ':', 2) FROM pg_prepared_xacts WHERE database = current_database()"
        return [gid for (gid,) in rows(self._url, query)]

    def states(self) -> list[tuple[int, str | None]]:
        """Return epoch and previous ring."""
        return list(rows(self._url, "SELECT epoch, previous FROM ringfence_ring"))


class RedisWitness:
    """A shard in a Redis."""

    def __init__(self, url: str) -> None:
        self._address, self._tag = tag_of(url)

    def entries(self) -> Iterator[tuple[str, bytes | str]]:
        """Yield all keys and values; each key twice if it is listed and has none, or has one and is not listed."""
        keys = self._ask("ZRANGE", "order", 0, -1)
        values = dict(self._scanned())
        for key in {*keys} ^ {*values}:
            yield decoded(key, b"sdamaged")
            yield decoded(key, b"sdamaged")
        yield from (decoded(key, value) for key, value in values.items())

    def prepared(self) -> list[str]:
        """Return the gids of what is prepared."""
        return [gid.decode() for gid in self._ask("ZRANGE", "prepared", 0, -1)]

    def states(self) -> list[tuple[int, str | None]]:
        """Return epoch and previous ring."""
        mark, previous = self._ask("HMGET", "ring", "mark", "previous")
        return [] if mark is None else [(int(mark.split()[0]), (previous or b"").decode() or None)]

    def _ask(self, command: str, kind: str, *words: Any) -> Any:
        with closing(_redis.client(self._address, timeout=TIMEOUT)) as client:
            return client.execute_command(command, f"ringfence:{{{self._tag}}}:{kind}", *words)

    def _scanned(self) -> Iterator[tuple[bytes, bytes]]:
        with closing(_redis.client(self._address, timeout=TIMEOUT)) as client:
            yield from client.hscan_iter(f"ringfence:{{{self._tag}}}:entry", count=SCANNED)


def decoded(key: bytes, value: bytes) -> tuple[str, bytes | str]:
    """Return a key that is text, and a value, from the bytes of a server, with a letter for the type before each."""
    return key[1:].decode(), value[1:].decode() if value[:1] == b"s" else value[1:]


def sqlite_rows(path: Path, query: str) -> Iterator[Any]:
    """Yield the rows of a query on an SQLite file."""
    with closing(sqlite3.connect(path)) as connection:
        yield from connection.execute(query)
