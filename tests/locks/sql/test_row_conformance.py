"""The suite of lock stores over rows in a real PostgreSQL and a real MariaDB, on a clock that is moved by hand."""

import time
from collections.abc import Iterator

import pytest

from ringfence.locks.stores import LockStore
from ringfence.locks.stores.sql.connection import Connection
from ringfence.locks.stores.sql.row_dialects import MARIADB, POSTGRESQL, RowDialect
from ringfence.locks.stores.sql.row_store import RowStore
from ringfence.testing.lock_store import LockStoreSuite
from ringfence.testing.servers import Server
from ringfence.testing.shared_lock import SharedLockSuite
from tests.locks.sql.shifted import Clock, Scattered, Shifted, connect
from tests.locks.sql.tables import empty

pytestmark = pytest.mark.servers
PATIENCE = 30.0


class Rows(SharedLockSuite, LockStoreSuite):
    ttl = 5.0
    dialect: RowDialect
    server: Server
    clock: Clock

    def use(self, server: Server) -> Iterator[None]:
        self.server, self.clock = server, Clock()
        empty(server.url)
        yield

    def open(self) -> LockStore:
        return RowStore(lambda _: Shifted(self.connection(), self.clock), self.dialect, timeout=PATIENCE)

    def connection(self) -> Connection:
        return connect(self.server.url, PATIENCE)

    def wait(self, seconds: float) -> None:
        self.clock.offset += seconds

    def now(self) -> float:
        return time.monotonic() + self.clock.offset


class TestPostgres(Rows):
    dialect = POSTGRESQL

    @pytest.fixture(autouse=True)
    def _use(self, postgresql_server: Server) -> Iterator[None]:
        yield from self.use(postgresql_server)


@pytest.mark.slow
class TestPostgresBehindAPooler(TestPostgres):
    def connection(self) -> Connection:
        return Scattered([connect(self.server.url, PATIENCE) for _ in range(3)])


class TestMariaDB(Rows):
    dialect = MARIADB

    @pytest.fixture(autouse=True)
    def _use(self, mariadb_server: Server) -> Iterator[None]:
        yield from self.use(mariadb_server)
