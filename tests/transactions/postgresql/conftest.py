"""A PostgreSQL that the tests of this folder kill, stop and restart, with two databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ringfence.testing.proxy import Proxy
from ringfence.testing.servers import PostgreSQL

from .databases import Database


@pytest.fixture(scope="session")
def started() -> Iterator[PostgreSQL]:
    """The server of all these tests."""
    with PostgreSQL() as server:
        yield server


@pytest.fixture
def server(started: PostgreSQL) -> PostgreSQL:
    """A server that a test may kill; the next one finds it running."""
    started.resume()
    return started.start()


@pytest.fixture
def east(server: PostgreSQL) -> Database:
    """An empty database with the table `kept`."""
    return Database.emptied(server, "east")


@pytest.fixture
def west(server: PostgreSQL) -> Database:
    """Another one on the same server."""
    return Database.emptied(server, "west")


@pytest.fixture
def proxy(server: PostgreSQL) -> Iterator[Proxy]:
    """A proxy in front of the server."""
    with Proxy(server.port) as opened:
        yield opened
