"""Fixtures for pytest: `pytest_plugins = ["ringfence.testing.servers.fixtures"]` in a project's `conftest.py`.

`redis_server` and its like are started when the first test asks for them and shared by all tests of a process (with
pytest-xdist each worker has its own), so a test uses names of its own in them. A test that stops, kills or pauses its
server takes one from `private_server` instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import TypeVar

import pytest

from ringfence.testing.servers import Server, obtain

AnyServer = TypeVar("AnyServer", bound=Server)


def shared(kind: str) -> Iterator[Server]:
    """Yield a server until the end of the tests."""
    with closing(obtain(kind)) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """A Redis that all tests share."""
    yield from shared("redis")


@pytest.fixture(scope="session")
def redis_sentinel_server() -> Iterator[Server]:
    """A Redis, its replica and three Sentinels that all tests share."""
    yield from shared("redis-sentinel")


@pytest.fixture(scope="session")
def redis_cluster_server() -> Iterator[Server]:
    """A Redis Cluster of six that all tests share."""
    yield from shared("redis-cluster")


@pytest.fixture(scope="session")
def zookeeper_server() -> Iterator[Server]:
    """A ZooKeeper that all tests share."""
    yield from shared("zookeeper")


@pytest.fixture(scope="session")
def etcd_server() -> Iterator[Server]:
    """An etcd that all tests share."""
    yield from shared("etcd")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    """A PostgreSQL that all tests share."""
    yield from shared("postgresql")


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[Server]:
    """A MariaDB that all tests share."""
    yield from shared("mariadb")


class PrivateServers:
    """Starts servers for one test."""

    def __init__(self, until: ExitStack) -> None:
        self._until = until

    def __call__(self, server: AnyServer) -> AnyServer:
        """Start a server, and close it after the test."""
        self._until.callback(server.close)
        return server.start()


@pytest.fixture
def private_server() -> Iterator[PrivateServers]:
    """Start a server for this test alone: `private_server(Redis(durable=True))`."""
    with ExitStack() as servers:
        yield PrivateServers(servers)
