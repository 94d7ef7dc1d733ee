"""The stores of a demo: files of its folder, or shards and leases in servers that were named.

In a server the demo has names of its own: a database for each shard in a PostgreSQL, a tag for each one in a Redis.
What they are stands in the folder, for the workers, and they are removed from the server at the end.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ringfence import _postgresql, _redis
from ringfence._url import split

FILE = "stores.json"
TIMEOUT = 5.0
SQLITE = "sqlite"
DROP = "DROP DATABASE IF EXISTS {} WITH (FORCE)"


@dataclass(frozen=True, slots=True)
class Stores:
    """The URLs of a demo.

    Attributes:
        shards: by name.
        locks: of the leases.
    """

    shards: dict[str, str]
    locks: str


def found(folder: Path, names: tuple[str, ...]) -> Stores:
    """Return the stores of the demo in a folder."""
    try:
        return Stores(**json.loads((folder / FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Stores(
            {name: f"sqlite:///{folder / name}.db" for name in names}, f"sqlite:///{folder}/locks.db"
        )


def make(folder: Path, names: tuple[str, ...], shards: str | None, locks: str | None) -> None:
    """Make the stores of a demo in servers, and write down what they are.

    Args:
        folder: of the demo.
        names: of the shards.
        shards: URL of the server that gets the shards; None for files.
        locks: URL of the store of the leases; None for a file.

    Raises:
        InvalidValue: no shard can be in such a server.
        StoreError: the server cannot be reached, or refuses.
    """
    files = found(folder, names)
    urls = files.shards if shards is None else _named(shards, names)
    path = folder / FILE
    path.touch(mode=0o600)  # there may be passwords in it
    path.write_text(json.dumps(asdict(Stores(urls, locks or files.locks))), encoding="utf-8")
    with ExitStack() as undo:
        for url in urls.values():
            if url.startswith(_postgresql.SCHEMES):
                _in_postgresql(url, "CREATE DATABASE {}")
                undo.callback(_in_postgresql, url, DROP)
        undo.pop_all()


def remove(stores: Stores) -> None:
    """Remove the shards from the server that has them."""
    for url in stores.shards.values():
        if url.startswith(_postgresql.SCHEMES):
            _roll_back_prepared(url)
            _in_postgresql(url, DROP)
        elif not url.startswith(SQLITE):
            _forget_tag(url)


def hint(url: str) -> str:
    """Return how to look at a shard in a server."""
    if url.startswith(_postgresql.SCHEMES):
        return f"psql {_redis.where(url)} -c 'SELECT length(value) FROM entry LIMIT 5'"
    address, tag = tag_of(url)
    return f"redis-cli -u {_redis.where(address)} HLEN 'ringfence:{{{tag}}}:entry'"


def tag_of(url: str) -> tuple[str, str]:
    """Return the URL of a Redis without its tag, and the tag."""
    address, tag = _redis.option(url, "tag")
    return address, tag or ""


def rows(url: str, query: str) -> Iterator[Any]:
    """Yield the rows of a query on a PostgreSQL database."""
    with closing(_postgresql.connect(url, timeout=TIMEOUT)) as connection:
        yield from connection.execute(query).fetchall()


def _named(url: str, names: tuple[str, ...]) -> dict[str, str]:
    scheme, _ = split(url, (*_postgresql.SCHEMES, *_redis.SCHEMES, _redis.SENTINEL))
    run = secrets.token_hex(3)
    if scheme in _postgresql.SCHEMES:
        return {name: _with_path(url, f"ringfence_demo_{run}_{name.replace('-', '_')}") for name in names}
    mark = "&" if "?" in url else "?"
    return {name: f"{url}{mark}tag=demo-{run}-{name}" for name in names}


def _with_path(url: str, path: str) -> str:
    return urlsplit(url)._replace(path=f"/{path}").geturl()


def _in_postgresql(url: str, statement: str) -> None:
    """Carry out a statement about a database, from the one that every server has."""
    name = urlsplit(url).path.strip("/")
    with (
        closing(_postgresql.connect(_with_path(url, "postgres"), timeout=TIMEOUT)) as connection,
        _postgresql.translating(),
    ):
        connection.execute(statement.format(name))


def _roll_back_prepared(url: str) -> None:
    with closing(_postgresql.connect(url, timeout=TIMEOUT)) as connection, _postgresql.translating():
        query = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
        for (gid,) in connection.execute(query).fetchall():
            connection.execute(f"ROLLBACK PREPARED '{gid}'")


def _forget_tag(url: str) -> None:
    address, tag = tag_of(url)
    with (
        closing(_redis.client(address, timeout=TIMEOUT)) as client,
        _redis.translating(_redis.where(address)),
    ):
        for key in client.scan_iter(f"ringfence:{{{tag}}}:*", count=1000):
            client.unlink(key)
