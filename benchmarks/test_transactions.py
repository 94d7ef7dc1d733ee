"""Transactions over two private PostgreSQL servers that sync, beside what people use today."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import local
from typing import Any, Literal
from urllib.parse import urlsplit

import psycopg
import pytest
import sqlalchemy
import transaction as zope
from sqlalchemy.orm import Session
from zope.sqlalchemy import register

from benchmarks.transfers import (
    FILL,
    MANY,
    OPERATIONS,
    TABLE,
    UPDATE,
    Transaction,
    passes,
    processor_time,
    row,
)
from ringfence.testing.proxy import Proxy
from ringfence.testing.servers import PostgreSQL
from ringfence.transactions import TransactionManager

NAMED = sqlalchemy.text("UPDATE account SET balance = balance + :change WHERE id = :id")
OPTIONS: dict[str, str | int] = {
    "fsync": "on",
    "max_connections": 300,
    "max_prepared_transactions": 200,
    "max_wal_size": "4GB",
}
BRANCHES = 10_000
Ack = Literal["applied", "decided"]
_numbers = count()


@dataclass
class Databases:
    """Two databases by their URLs, and what was opened on them.

    Attributes:
        urls: where they are.
        folder: where a decision log may lie.
        until: what closes all.
    """

    urls: tuple[str, str]
    folder: Path
    until: ExitStack = field(default_factory=ExitStack)

    def manager(self, decisions: str, ack: Ack = "applied") -> TransactionManager:
        """Open a manager with a name of its own."""
        participants = dict(zip(("east", "west"), self.urls, strict=True))
        name = f"benchmark-{next(_numbers)}"
        return self.until.enter_context(TransactionManager(decisions, participants, name=name, ack=ack))

    def engines(self) -> list[sqlalchemy.Engine]:
        """Open engines of SQLAlchemy, with a connection for each client."""
        engines = [
            sqlalchemy.create_engine(url.replace("postgresql", "postgresql+psycopg", 1), pool_size=MANY)
            for url in self.urls
        ]
        for engine in engines:
            self.until.callback(engine.dispose)
        return engines

    def connections(self) -> Callable[[], list[psycopg.Connection]]:
        """Return what gives each thread a connection to each database."""
        kept = local()

        def mine() -> list[psycopg.Connection]:
            if not hasattr(kept, "connections"):
                kept.connections = [self.until.enter_context(psycopg.connect(url)) for url in self.urls]
            return list(kept.connections)

        return mine


def ours(databases: Databases, decisions: str, ack: Ack = "applied", later: bool = False) -> Transaction:
    """Return the transaction of a manager; `later` sends the updates with what ends the branches."""
    manager = databases.manager(decisions, ack)
    method = "execute_later" if later else "execute"

    def transaction() -> None:
        with manager.transaction() as tx:
            for name in ("east", "west"):
                getattr(tx[name], method)(UPDATE, (1, row()))

    return transaction


def log(databases: Databases) -> Transaction:
    return ours(databases, f"file://{databases.folder}/decisions")


def marker(databases: Databases) -> Transaction:
    return ours(databases, databases.urls[0])


def one_shot(databases: Databases) -> Transaction:
    return ours(databases, databases.urls[0], ack="decided", later=True)


def sqlalchemy_twophase(databases: Databases) -> Transaction:
    engines = databases.engines()

    def transaction() -> None:
        with Session(twophase=True) as session:
            for engine in engines:
                session.execute(NAMED, {"change": 1, "id": row()}, bind_arguments={"bind": engine})
            session.commit()

    return transaction


def zope_twophase(databases: Databases) -> Transaction:
    engines = databases.engines()

    def transaction() -> None:
        manager = zope.TransactionManager(explicit=False)
        with Session(twophase=True) as session:
            register(session, transaction_manager=manager, initial_state="changed")
            for engine in engines:
                session.execute(NAMED, {"change": 1, "id": row()}, bind_arguments={"bind": engine})
            manager.commit()

    return transaction


def tpc_by_hand(databases: Databases) -> Transaction:
    mine = databases.connections()

    def transaction() -> None:
        connections = mine()
        number = next(_numbers)
        for side, connection in enumerate(connections):
            connection.tpc_begin(connection.xid(1, f"by-hand-{number}", f"{side}"))
            connection.execute(UPDATE, (1, row()))
        for connection in connections:
            connection.tpc_prepare()
        for connection in connections:
            connection.tpc_commit()

    return transaction


def one_database(databases: Databases) -> Transaction:
    mine = databases.connections()

    def transaction() -> None:
        connection, _ = mine()
        for _ in range(2):
            connection.execute(UPDATE, (1, row()))
        connection.commit()

    return transaction


OURS = {
    "file log": (log, 1.5),
    "marker": (marker, 1.8),
    "marker, sent at once, ack decided": (one_shot, 2.2),
}
PEERS = {
    "tpc_* by hand": tpc_by_hand,
    "zope.sqlalchemy": zope_twophase,
    "one plain transaction in one database": one_database,
}
WAYS = {
    **{name: way for name, (way, _) in OURS.items()},
    "SQLAlchemy twophase": sqlalchemy_twophase,
    **PEERS,
}


@pytest.fixture(scope="module")
def servers() -> Iterator[list[PostgreSQL]]:
    """Two servers that sync."""
    with ExitStack() as until:
        started = [until.enter_context(PostgreSQL(options=OPTIONS)) for _ in range(2)]
        for server in started:
            with psycopg.connect(server.url, autocommit=True) as connection:
                for statement in (TABLE, FILL, "VACUUM ANALYZE account", "CHECKPOINT"):
                    connection.execute(statement)
        yield started


@pytest.fixture
def databases(servers: list[PostgreSQL], tmp_path: Path) -> Iterator[Databases]:
    """Their databases, and all that a test opens on them."""
    found = Databases((servers[0].url, servers[1].url), tmp_path)
    with found.until:
        yield found


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """A thread for each client."""
    with ThreadPoolExecutor(MANY) as executor:
        yield executor


@pytest.mark.parametrize("clients", [1, MANY])
@pytest.mark.parametrize("way", OURS)
def test_two_updates_in_two_databases(
    race: Any, databases: Databases, threads: ThreadPoolExecutor, way: str, clients: int
) -> None:
    open_way, at_least = OURS[way]
    beside(race, databases, threads, way, open_way, clients, at_least)


@pytest.mark.parametrize("clients", [1, MANY])
@pytest.mark.parametrize("way", PEERS)
def test_what_people_do_without_us(
    race: Any, databases: Databases, threads: ThreadPoolExecutor, way: str, clients: int
) -> None:
    beside(race, databases, threads, way, PEERS[way], clients, 0.0)


def beside(
    race: Any,
    databases: Databases,
    threads: ThreadPoolExecutor,
    name: str,
    way: Callable[[Databases], Transaction],
    clients: int,
    at_least: float,
) -> None:
    """Measure a way beside SQLAlchemy."""
    race(
        f"PostgreSQL, {name}, {clients} client{'s' * (clients > 1)}, beside SQLAlchemy twophase",
        passes(way(databases), clients, threads),
        passes(sqlalchemy_twophase(databases), clients, threads),
        operations=OPERATIONS[clients],
        at_least=at_least,
        rounds=25,
    )


@pytest.mark.parametrize("way", WAYS)
def test_round_trips_and_syncs(
    benchmark: Any, note: Any, servers: list[PostgreSQL], databases: Databases, way: str
) -> None:
    transactions = 40
    with ExitStack() as until:
        proxies = [until.enter_context(Proxy(server.port)) for server in servers]
        east, west = map(through, servers, proxies)
        synced = -syncs(servers)
        with ExitStack() as opened:  # what is closed has told the server how often it synced
            one = WAYS[way](Databases((east, west), databases.folder, opened))
            one()
            replies = -sum(proxy.replies for proxy in proxies)
            benchmark.pedantic(one, rounds=transactions)
            wait_for_the_background()
            replies += sum(proxy.replies for proxy in proxies)
        synced += syncs(servers)
    trips, synced = replies / transactions, synced / transactions
    note(f"PostgreSQL, {way}: requests and the servers' syncs", f"{trips:.1f} {synced:.1f}", "", True)


@pytest.mark.parametrize("way", WAYS)
def test_processor_time_of_the_client(benchmark: Any, note: Any, databases: Databases, way: str) -> None:
    one = WAYS[way](databases)
    benchmark.pedantic(one, rounds=20)
    note(f"PostgreSQL, {way}: processor time of the client", f"{processor_time(one) * 1e6:.0f} us", "", True)


def test_recovery_of_ten_thousand_branches(benchmark: Any, note: Any, tmp_path: Path) -> None:
    """Half of them in each of two databases, all of transactions that nobody decided."""
    options = {**OPTIONS, "max_prepared_transactions": BRANCHES // 2 + 100, "max_locks_per_transaction": 10}
    with PostgreSQL(options=options) as east, PostgreSQL(options=options) as west, ExitStack() as until:
        databases = Databases((east.url, west.url), tmp_path, until)
        names = {"east": east.url, "west": west.url}
        with TransactionManager(f"file://{tmp_path}/decisions", names) as dead:
            with dead.transaction() as tx:  # so that the tables are there
                tx["east"].execute("CREATE TABLE account (id INTEGER PRIMARY KEY)")
                tx["west"].execute("CREATE TABLE account (id INTEGER PRIMARY KEY)")
            for url in databases.urls:
                leave_prepared(url, BRANCHES // 2)
        with TransactionManager(f"file://{tmp_path}/decisions", names) as successor:
            found = benchmark.pedantic(successor.recover, rounds=1)
            assert (len(found), len(found.unresolved)) == (BRANCHES, 0)
    seconds = benchmark.stats.stats.median
    note(
        f"recovery of {BRANCHES} branches in two PostgreSQL databases",
        f"{seconds:.1f} s",
        "<= 10 s",
        seconds <= 10,
    )


def leave_prepared(url: str, branches: int) -> None:
    """Prepare branches of the coordinator "main" in its first epoch, and leave them."""
    with psycopg.connect(url, autocommit=True) as connection:
        [(database,)] = connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()")
        for seq in range(10, 10 + branches):
            connection.execute(
                f"BEGIN; INSERT INTO account VALUES ({seq});"
                f"INSERT INTO ringfence_branch VALUES ('main.1.{seq}', 'prepared');"
                f"PREPARE TRANSACTION 'ringfence:main.1.{seq}:{database}'"
            )


def through(server: PostgreSQL, proxy: Proxy) -> str:
    """Return the URL of a server through a proxy."""
    return server.url.replace(f":{urlsplit(server.url).port}/", f":{proxy.port}/")


def wait_for_the_background() -> None:
    """Give the second phase of what is decided the time to end."""
    time.sleep(1)


def syncs(servers: list[PostgreSQL]) -> float:
    """Return how often the servers have synced their logs."""
    wait_for_the_background()
    found = 0
    for server in servers:
        with psycopg.connect(server.url) as connection:
            found += connection.execute("SELECT wal_sync FROM pg_stat_wal").fetchall()[0][0]
    return found
