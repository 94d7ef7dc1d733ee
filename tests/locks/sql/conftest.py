"""A PostgreSQL and a MariaDB that the tests of this folder kill, stop and restart."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from ringfence.testing.proxy import Proxy
from ringfence.testing.servers import MariaDB, PostgreSQL
from ringfence.testing.servers.single import SingleServer

_numbers = itertools.count()


@pytest.fixture(scope="session")
def started() -> Iterator[dict[str, SingleServer]]:
    """The servers that were started."""
    servers: dict[str, SingleServer] = {}
    with ExitStack() as until:
        for kind in (PostgreSQL, MariaDB):
            server = kind()
            until.callback(server.close)
            servers[server.needed.kind] = server
        yield servers


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest, started: dict[str, SingleServer]) -> SingleServer:
    """A server that a test may kill; the next one finds it running."""
    server = started[request.param]
    server.resume()
    return server.start()


@pytest.fixture
def proxy(server: SingleServer) -> Iterator[Proxy]:
    """A proxy in front of it."""
    with Proxy(server.port) as opened:
        yield opened


@pytest.fixture
def name() -> str:
    """The name of a lock that no other test uses."""
    return f"x{next(_numbers)}"
