"""The demo over shards in servers: it ends well, removes what it made, and says so when anything is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from ringfence.cli import main
from ringfence.cli.demo import journal, stores
from ringfence.cli.demo.place import JOINING, Place
from ringfence.cli.demo.verify import verify
from ringfence.testing.servers import PostgreSQL
from ringfence.testing.servers.redis import Redis

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def cache() -> Iterator[Redis]:
    with Redis(durable=True) as server:
        yield server


@pytest.fixture(scope="module", params=["redis", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, cache: Redis) -> Iterator[str]:
    """Of the server that gets the shards."""
    if request.param == "redis":
        yield cache.url
        return
    with PostgreSQL() as server:
        yield server.url


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, source: Path, url: str, cache: Redis) -> Iterator[Place]:
    """A run without kills whose shards are still there; tests mend what they break."""
    folder = tmp_path_factory.mktemp("demo") / "kept"
    options = ["--source", str(source), "--keep", str(folder), "--kills", "0"]
    assert main(["demo", *options, "--shards", url, "--locks", cache.url]) == 0
    place = Place(folder)
    yield place
    stores.remove(place.stores)


def problems(place: Place) -> str:
    found = verify(place, place.manifest(), journal.read(place.folder), lambda _: None).problems
    return "\n".join(found)


class Shard:
    """The shard that has joined, changed by its store's own client."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.in_redis = url.startswith("redis")
        self.address, self.tag = stores.tag_of(url) if self.in_redis else (url, "")

    def ask(self, command: str, kind: str, *words: Any) -> Any:
        with closing(redis.Redis.from_url(self.address)) as client:
            execute: Any = client.execute_command
            return execute(command, f"ringfence:{{{self.tag}}}:{kind}", *words)

    def execute(self, sql: str, *values: Any) -> Any:
        with closing(psycopg.connect(self.url, autocommit=True)) as connection:
            found = connection.execute(sql, values)
            return found.fetchall() if found.description else []

    def first(self) -> tuple[bytes, bytes]:
        """A file that it has."""
        if self.in_redis:
            found = self.ask("HGETALL", "entry")
            pairs = (
                [*found.items()] if isinstance(found, dict) else [*zip(found[::2], found[1::2], strict=True)]
            )
        else:
            pairs = self.execute("SELECT key, value FROM entry")
        return next((key, value) for key, value in sorted(pairs) if key.startswith(b"sfile/"))

    def put(self, key: bytes, value: bytes) -> None:
        if self.in_redis:
            self.ask("HSET", "entry", key, value)
            self.ask("ZADD", "order", 0, key)
        else:
            self.execute(
                "INSERT INTO entry VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                key,
                value,
            )

    def delete(self, key: bytes) -> None:
        if self.in_redis:
            self.ask("HDEL", "entry", key)
            self.ask("ZREM", "order", key)
        else:
            self.execute("DELETE FROM entry WHERE key = %s", key)


def test_all_is_well_at_the_end(kept: Place) -> None:
    assert problems(kept) == ""


def test_a_file_that_is_lost_changed_or_misplaced_is_found(kept: Place) -> None:
    shard = Shard(kept.urls[JOINING])
    key, value = shard.first()
    try:
        shard.delete(key)
        assert "lost" in problems(kept)
        shard.put(key, value + b"!")
        assert "corrupted" in problems(kept)
        Shard(kept.urls["shard-1"]).put(key, value)
        assert "duplicated" in problems(kept)
    finally:
        shard.put(key, value)
        Shard(kept.urls["shard-1"]).delete(key)
    assert problems(kept) == ""


def test_an_unfinished_move_is_found(kept: Place) -> None:
    shard = Shard(kept.urls[JOINING])
    if shard.in_redis:
        before = shard.ask("HGET", "ring", "previous")
        shard.ask("HSET", "ring", "previous", "{}")
    else:
        shard.execute("UPDATE ringfence_ring SET previous = ring")
    try:
        assert "unfinished" in problems(kept)
    finally:
        if shard.in_redis:
            shard.ask("HSET", "ring", "previous", before)
        else:
            shard.execute("UPDATE ringfence_ring SET previous = NULL")


def test_what_is_left_prepared_is_found(kept: Place) -> None:
    shard = Shard(kept.urls[JOINING])
    if shard.in_redis:
        shard.ask("ZADD", "prepared", 0, "writer-1.1.1")
    else:
        with closing(psycopg.connect(shard.url, autocommit=True)) as connection:
            connection.execute("BEGIN; SELECT 1; PREPARE TRANSACTION 'ringfence:writer-1.1.1:0'")
    try:
        assert "in doubt: transaction writer-1.1.1" in problems(kept)
    finally:
        if shard.in_redis:
            shard.ask("DEL", "prepared")
        else:
            shard.execute("ROLLBACK PREPARED 'ringfence:writer-1.1.1:0'")


def names_on(url: str) -> set[str]:
    """What demos have left on a server."""
    if url.startswith("redis"):
        with closing(redis.Redis.from_url(url)) as client:
            found = (key.decode() for key in client.scan_iter("ringfence:{demo-*"))
            return {name.partition("}")[0] for name in found}
    with closing(psycopg.connect(url)) as connection:
        query = "SELECT datname FROM pg_database WHERE datname LIKE 'ringfence_demo%'"
        return {name for (name,) in connection.execute(query).fetchall()}


@pytest.mark.slow
def test_it_survives_kills_and_leaves_nothing_behind(source: Path, url: str, cache: Redis) -> None:
    before = names_on(url)
    options = ["--source", str(source), "--kills", "6", "--shards", url, "--locks", cache.url]
    assert main(["demo", *options]) == 0
    assert names_on(url) == before


@pytest.mark.parametrize("given", ["mysql://host/db", "sqlite:///x.db", "nonsense"])
def test_what_has_no_room_for_shards_is_refused(source: Path, given: str) -> None:
    assert main(["demo", "--source", str(source), "--shards", given]) == 2


def test_a_server_that_is_not_there_is_told(source: Path) -> None:
    for given in ("postgresql://postgres@127.0.0.1:1/postgres", "redis://127.0.0.1:1/0"):
        assert main(["demo", "--source", str(source), "--shards", given]) == 2
