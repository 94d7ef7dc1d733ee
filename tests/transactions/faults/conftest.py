"""The servers of these tests, and the stores in them."""

from __future__ import annotations

import pytest

from ringfence.testing.servers import MariaDB, PostgreSQL

from .stores import MariaStores, PostgresStores, Stores


@pytest.fixture
def postgresql(request: pytest.FixtureRequest) -> PostgreSQL:
    """The PostgreSQL that all tests share; one of its own where that is somebody else's."""
    server = request.getfixturevalue("postgresql_server")
    if isinstance(server, PostgreSQL):
        return server
    own: PostgreSQL = request.getfixturevalue("private_server")(PostgreSQL())
    return own


@pytest.fixture
def mariadb(request: pytest.FixtureRequest) -> MariaDB:
    """The MariaDB that all tests share; one of its own where that is somebody else's."""
    server = request.getfixturevalue("mariadb_server")
    if isinstance(server, MariaDB):
        return server
    own: MariaDB = request.getfixturevalue("private_server")(MariaDB())
    return own


@pytest.fixture
def stores(request: pytest.FixtureRequest) -> Stores:
    """Databases of "postgresql" or "mariadb"."""
    server = request.getfixturevalue(request.param)
    return PostgresStores(server) if isinstance(server, PostgreSQL) else MariaStores(server)
