"""Locks in a private PostgreSQL and MariaDB, beside sqlalchemy-dlock."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy_dlock.factory import create_sadlock

from ringfence.locks.manager import LockManager
from ringfence.testing.servers import MariaDB, PostgreSQL
from ringfence.testing.servers.single import SingleServer

CYCLES = 20
DRIVERS = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql"}
TARGETS = {"postgresql": 1.0, "mariadb": 0.4}
PATIENCE = {"postgresql": None, "mariadb": 10}  # MariaDB refuses what stands for ever in MySQL


@pytest.fixture(scope="module", params=[PostgreSQL, MariaDB], ids=lambda kind: kind.needed.kind)
def server(request: pytest.FixtureRequest) -> Iterator[SingleServer]:
    with request.param() as started:
        yield started


@pytest.mark.parametrize("mode", ["row", "session"])
def test_a_cycle_beside_sqlalchemy_dlock(race: Any, server: SingleServer, mode: str) -> None:
    kind = server.needed.kind
    engine = sqlalchemy.create_engine(server.url.replace(kind, DRIVERS[kind], 1))
    with (
        closing(engine.connect()) as connection,
        LockManager.from_url(f"{server.url}?mode={mode}") as manager,
    ):
        what = f"{kind}://…?mode={mode} lock, acquire and release, beside sqlalchemy-dlock"
        race(
            what,
            ours(manager),
            peer(connection, PATIENCE[kind]),
            operations=CYCLES,
            at_least=TARGETS[kind],
            rounds=40,
        )
    engine.dispose()


def ours(manager: LockManager) -> Callable[[], None]:
    lock = manager.lock("ours")

    def cycles() -> None:
        for _ in range(CYCLES):
            lease = lock.acquire()
            assert lease is not None
            lease.release()

    return cycles


def peer(connection: Any, timeout: int | None) -> Callable[[], None]:
    """Return sqlalchemy-dlock at its best: on one connection, which stays open, and in a transaction."""

    def cycles() -> None:
        for _ in range(CYCLES):
            with create_sadlock(connection, "peer", contextual_timeout=timeout):
                pass

    return cycles
