"""The stores of these tests."""

from __future__ import annotations

import pytest

from ringfence.testing.servers import MariaDB, PostgreSQL, Server

from .stores import MariaStores, PostgresStores, Stores


@pytest.fixture
def stores(request: pytest.FixtureRequest) -> Stores:
    """Databases of a server that all tests share: "postgresql" or "mariadb"."""
    server: Server = request.getfixturevalue(f"{request.param}_server")
    if isinstance(server, PostgreSQL):
        return PostgresStores(server)
    assert isinstance(server, MariaDB), "these tests look at what only a server of theirs shows"
    return MariaStores(server)
