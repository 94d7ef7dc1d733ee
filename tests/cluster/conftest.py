"""Clusters to test: on shards in memory, on files, and in servers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from ringfence.cluster import Cluster
from ringfence.cluster.shards.encoding import key_from_bytes, value_from_bytes
from ringfence.testing.servers import PostgreSQL, resp
from ringfence.testing.servers.redis import Redis
from ringfence.transactions.participants.memory import MemoryParticipant


class Store:
    """Where the shards of a test are; `open` opens a cluster over them, as another process would."""

    def __init__(self, urls: dict[str, Any], decisions: str, locks: str) -> None:
        self.urls = urls
        self.decisions = decisions
        self.locks = locks
        self.opened: list[Cluster] = []

    def open(self, names: Any = "abc", **options: Any) -> Cluster:
        shards = {name: self.urls[name] for name in names}
        options = {"decisions": self.decisions, "locks": self.locks, "timeout": 0.3, **options}
        cluster = Cluster(shards, **options)
        self.opened.append(cluster)
        return cluster

    def contents(self, name: str) -> dict[Any, Any]:
        """What is on one shard, looked at from outside."""
        if isinstance(self.urls[name], MemoryParticipant):
            return {kept[1]: value for kept, value in self.urls[name].snapshot().items() if kept[0] >= 0}
        return entries(self.urls[name])

    def placed(self, names: Any) -> list[tuple[str, Any]]:
        """Which key is on which shard."""
        return [(name, key) for name in names for key in self.contents(name)]


def entries(url: str) -> dict[Any, Any]:
    """What is on a shard that has a URL, without asking the library."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return dict(connection.execute("SELECT key, value FROM entry"))
    found = in_redis(url) if url.startswith("redis") else in_postgresql(url)
    return {key_from_bytes(key): value_from_bytes(value) for key, value in found.items()}


def in_redis(url: str) -> dict[bytes, bytes]:
    address, _, tag = url.partition("?tag=")
    with closing(redis.Redis.from_url(address)) as client:
        found: Any = client.hgetall(f"ringfence:{{{tag}}}:entry")
        order: Any = client.zrange(f"ringfence:{{{tag}}}:order", 0, -1)
        assert sorted(found) == order
        return dict(found)


def in_postgresql(url: str) -> dict[bytes, bytes]:
    with closing(psycopg.connect(url)) as connection:
        return dict(connection.execute("SELECT key, value FROM entry").fetchall())


SERVERS = [pytest.param(kind, marks=pytest.mark.servers) for kind in ("redis", "postgresql")]
SLOW = [pytest.param(kind, marks=[pytest.mark.servers, pytest.mark.slow]) for kind in ("redis", "postgresql")]


@pytest.fixture(params=["memory", "sqlite", *SLOW])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    match request.param:
        case "sqlite":
            found = files(tmp_path)
        case "memory":
            names = {name: MemoryParticipant(timeout=0.3) for name in "abcdef"}
            found = Store(names, f"memory://{tmp_path}", f"memory://{tmp_path}")
        case kind:
            found = in_servers(request, kind, tmp_path)
    yield found
    for cluster in found.opened:
        cluster.close()


@pytest.fixture(params=SERVERS)
def server_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    found = in_servers(request, request.param, tmp_path)
    yield found
    for cluster in found.opened:
        cluster.close()


def in_servers(request: pytest.FixtureRequest, kind: str, folder: Path) -> Store:
    urls = request.getfixturevalue(f"{kind}_shards")
    return Store(urls, f"sqlite:///{folder}/decisions.db", f"sqlite:///{folder}/locks.db")


@pytest.fixture(scope="session")
def redis_shards_server() -> Iterator[Redis]:
    with Redis() as server:
        yield server


@pytest.fixture
def redis_shards(redis_shards_server: Redis) -> dict[str, str]:
    """Empty shards in one Redis."""
    resp.ask(redis_shards_server.port, "FLUSHALL")
    return {name: f"{redis_shards_server.url}?tag={name}" for name in "abcdef"}


@pytest.fixture(scope="session")
def postgresql_shards_server() -> Iterator[PostgreSQL]:
    with PostgreSQL() as server:
        with closing(psycopg.connect(server.url, autocommit=True)) as connection:
            for name in "abcdef":
                connection.execute(f"CREATE DATABASE {name}")
        yield server


@pytest.fixture
def postgresql_shards(postgresql_shards_server: PostgreSQL) -> dict[str, str]:
    """Empty shards in databases of one PostgreSQL."""
    urls = {name: postgresql_shards_server.url.removesuffix("postgres") + name for name in "abcdef"}
    for url in urls.values():
        with closing(psycopg.connect(url, autocommit=True)) as connection:
            for (gid,) in connection.execute(
                "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
            ).fetchall():
                connection.execute(f"ROLLBACK PREPARED '{gid}'")
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return urls


@pytest.fixture
def file_store(tmp_path: Path) -> Iterator[Store]:
    found = files(tmp_path)
    yield found
    for cluster in found.opened:
        cluster.close()


def files(folder: Path) -> Store:
    urls = {name: f"sqlite:///{folder}/{name}.db" for name in "abcdef"}
    return Store(urls, f"sqlite:///{folder}/decisions.db", f"sqlite:///{folder}/locks.db")
