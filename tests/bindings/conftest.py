from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.testing.proxy import Proxy
from ringfence.testing.servers import Server

from .pairs import Pair, new_name


@pytest.fixture(scope="session")
def in_postgresql(postgresql_server: Server) -> Pair:
    """The pair of databases in PostgreSQL."""
    return Pair.on(postgresql_server)


@pytest.fixture(scope="session")
def in_mariadb(mariadb_server: Server) -> Pair:
    """The pair of databases in MariaDB."""
    return Pair.on(mariadb_server)


@pytest.fixture
def postgresql(in_postgresql: Pair) -> Pair:
    """The pair in PostgreSQL, with 1000 cents on each side."""
    in_postgresql.reset()
    return in_postgresql


@pytest.fixture
def mariadb(in_mariadb: Pair) -> Pair:
    """The pair in MariaDB, with 1000 cents on each side."""
    in_mariadb.reset()
    return in_mariadb


@pytest.fixture(params=["postgresql", "mariadb"])
def pair(request: pytest.FixtureRequest, in_postgresql: Pair, in_mariadb: Pair) -> Pair:
    """A pair of databases with 1000 cents on each side."""
    found = in_postgresql if request.param == "postgresql" else in_mariadb
    found.reset()
    return found


@pytest.fixture
def decisions(tmp_path: Path) -> str:
    """The URL of a decision store of the test's own."""
    return f"sqlite:///{tmp_path}/decisions.db"


@pytest.fixture
def name() -> str:
    """A coordinator's name of the test's own."""
    return new_name()


@pytest.fixture
def proxy(postgresql_server: Server) -> Iterator[Proxy]:
    """A proxy in front of PostgreSQL."""
    port = int(postgresql_server.url.rpartition(":")[2].partition("/")[0])
    with Proxy(port) as opened:
        yield opened
