"""Databases of their own for tests, in a MariaDB that they may kill, stop and cut off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ringfence.testing.proxy import Proxy
from ringfence.testing.servers import MariaDB

from .databases import Databases


@pytest.fixture(scope="session")
def started_server() -> Iterator[MariaDB]:
    """The server that the tests of this folder share."""
    with MariaDB() as server:
        yield server


@pytest.fixture(scope="session")
def emptied() -> list[str]:
    """Databases that no test uses any more."""
    return []


@pytest.fixture
def databases(started_server: MariaDB, emptied: list[str]) -> Iterator[Databases]:
    """Gives out databases; the server runs."""
    started_server.resume()
    opened = Databases(started_server.start(), emptied)
    yield opened
    opened.give_back()


@pytest.fixture
def proxy(databases: Databases) -> Iterator[Proxy]:
    """A proxy in front of the server."""
    with Proxy(databases.server.port) as opened:
        yield opened
