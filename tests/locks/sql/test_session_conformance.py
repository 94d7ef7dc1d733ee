"""The suite of lock stores over the sessions of a real PostgreSQL and a real MariaDB, on a clock moved by hand."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from ringfence.locks.stores import LockStore
from ringfence.locks.stores.sql.session_dialects import (
    MARIADB,
    POSTGRESQL,
    SessionDialect,
    number_key,
    text_key,
)
from ringfence.locks.stores.sql.session_store import SessionStore
from ringfence.testing.lock_store import LockStoreSuite
from ringfence.testing.servers import Server
from tests.locks.sql.shifted import Clock, Shifted, connect
from tests.locks.sql.tables import empty
from tests.locks.waiters import until

pytestmark = pytest.mark.servers
PATIENCE = 30.0


class Sessions(LockStoreSuite):
    ttl = 5.0
    shows_queue = False
    dialect: SessionDialect
    key: Any
    server: Server
    clock: Clock
    stores: list[SessionStore]

    def use(self, server: Server) -> Iterator[None]:
        self.server, self.clock, self.stores = server, Clock(), []
        empty(server.url)
        yield

    def open(self) -> LockStore:
        store = SessionStore(
            lambda _: Shifted(connect(self.server.url, PATIENCE), self.clock),
            self.dialect,
            self.key,
            timeout=PATIENCE,
            clock=self.now,
        )
        self.stores.append(store)
        return store

    def wait(self, seconds: float) -> None:
        """Move the clock on when all was heard, and let the stores give up what is over then."""
        for store in self.stores:
            if not store.closed:
                until(partial(has_heard, store), "it does not hear of a grant")
        self.clock.offset += seconds
        for store in self.stores:
            if not store.closed:
                store._attend()
                until(partial(is_tended, store), "it gives nothing up")

    def now(self) -> float:
        return time.monotonic() + self.clock.offset


def has_heard(store: SessionStore) -> bool:
    """Say whether a store knows of all grants that the server has made to it."""
    waiting = list(store._places.values())
    return all(store._view.watch(place.claim.name)[0] != place.line.number for place in waiting)


def is_tended(store: SessionStore) -> bool:
    """Say whether nothing in a store is over."""
    return store.watched()[1] > 0


class TestPostgres(Sessions):
    dialect = POSTGRESQL
    key = staticmethod(number_key)

    @pytest.fixture(autouse=True)
    def _use(self, postgresql_server: Server) -> Iterator[None]:
        yield from self.use(postgresql_server)


class TestMariaDB(Sessions):
    dialect = MARIADB
    key = staticmethod(partial(text_key, "test"))

    @pytest.fixture(autouse=True)
    def _use(self, mariadb_server: Server) -> Iterator[None]:
        yield from self.use(mariadb_server)
