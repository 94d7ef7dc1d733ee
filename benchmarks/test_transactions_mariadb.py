"""Transactions over two databases of a private MariaDB that syncs, beside SQLAlchemy's `twophase=True`."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pymysql
import pytest
import sqlalchemy
from sqlalchemy.orm import Session

from ringfence import TransactionManager
from ringfence.testing.proxy import Proxy
from ringfence.testing.servers import MariaDB

NAMES = ("east", "west")
ROWS = 2000
TRANSACTIONS = 20
CLIENTS = (1, 16)
UPDATE = "UPDATE account SET balance = balance + 1 WHERE id = "

_starts = itertools.count()

Transfer = Callable[[int], None]
"""Updates the row of that number in both databases."""


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDB]:
    with MariaDB(options={"innodb-flush-method": "fsync"}) as started:
        rows = ", ".join(f"({number}, 0)" for number in range(ROWS))
        with closing(connected(started.port)) as connection, connection.cursor() as cursor:
            for name in NAMES:
                cursor.execute(f"CREATE DATABASE {name}")
                cursor.execute(
                    f"CREATE TABLE {name}.account (id INT PRIMARY KEY, balance INT) ENGINE = InnoDB"
                )
                cursor.execute(f"INSERT INTO {name}.account VALUES {rows}")
        yield started


def connected(port: int, database: str | None = None) -> Any:
    return pymysql.connect(host="127.0.0.1", port=port, user="root", database=database, autocommit=True)


def url(port: int, name: str) -> str:
    return f"mariadb://root@127.0.0.1:{port}/{name}"


class Opened:
    """Ways to run a transaction, and their connections."""

    def __init__(self, port: int, until: ExitStack, folder: Path) -> None:
        self._port = port
        self._until = until
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def ringfence(self, decisions: str) -> Transfer:
        places = {name: url(self._port, name) for name in NAMES}
        name = f"bench{next(_starts)}"  # new decision stores over the same databases must not use a gid again
        tm = self._until.enter_context(TransactionManager(decisions, places, name=name, timeout=30))

        def transfer(number: int) -> None:
            with tm.transaction() as tx:
                for name in NAMES:
                    tx[name].execute(f"{UPDATE}%s", (number,))

        return transfer

    def log(self) -> Transfer:
        return self.ringfence(f"file://{self._folder}/log")

    def marker(self) -> Transfer:
        return self.ringfence(url(self._port, NAMES[0]))

    def sqlalchemy(self) -> Transfer:
        engines = [self._engine(name) for name in NAMES]
        update = sqlalchemy.text(f"{UPDATE}:number")

        def transfer(number: int) -> None:
            with Session(twophase=True) as session:
                for engine in engines:
                    session.execute(update, {"number": number}, bind_arguments={"bind": engine})
                session.commit()

        return transfer

    def one_alone(self) -> Transfer:
        """A transaction of ringfence in one database."""
        places = {"east": url(self._port, "east")}
        one = TransactionManager(f"file://{self._folder}/one", places, name=f"one{next(_starts)}", timeout=30)
        tm = self._until.enter_context(one)

        def transfer(number: int) -> None:
            with tm.transaction() as tx:
                tx["east"].execute(f"{UPDATE}%s", (number,))

        return transfer

    def plain(self) -> Transfer:
        """The floor: one plain transaction in one database."""
        connection = self._until.enter_context(closing(connected(self._port, "east")))

        def transfer(number: int) -> None:
            connection.begin()
            with connection.cursor() as cursor:
                cursor.execute(f"{UPDATE}%s", (number,))
            connection.commit()

        return transfer

    def _engine(self, name: str) -> Any:
        engine = sqlalchemy.create_engine(
            url(self._port, name).replace("mariadb", "mariadb+pymysql", 1),
            pool_size=max(CLIENTS),
        )
        self._until.callback(engine.dispose)
        return engine


@pytest.fixture
def opened(server: MariaDB, tmp_path: Path) -> Iterator[Opened]:
    with ExitStack() as until:
        yield Opened(server.port, until, tmp_path)


def clients(count: int, transfer: Transfer, until: ExitStack) -> Callable[[], object]:
    """Have clients run their transactions at once, each on rows of its own."""
    pool = until.enter_context(ThreadPoolExecutor(count))
    numbers = [itertools.cycle(range(first, ROWS, count)) for first in range(count)]

    def work(client: int) -> None:
        for _ in range(TRANSACTIONS):
            transfer(next(numbers[client]))

    return lambda: deque(pool.map(work, range(count)), maxlen=0)


@pytest.mark.parametrize(("how", "at_least"), [("log", 1.5), ("marker", 1.9)])
@pytest.mark.parametrize("count", CLIENTS)
def test_two_databases_beside_sqlalchemy(
    race: Any, opened: Opened, how: str, at_least: float, count: int
) -> None:
    with ExitStack() as until:
        race(
            f"MariaDB, two databases, {how}, {count} client{'s' * (count > 1)}, beside SQLAlchemy twophase",
            clients(count, getattr(opened, how)(), until),
            clients(count, opened.sqlalchemy(), until),
            operations=TRANSACTIONS * count,
            at_least=at_least,
            rounds=30 if count == 1 else 10,
        )


def test_one_database_beside_a_plain_transaction(race: Any, opened: Opened) -> None:
    with ExitStack() as until:
        race(
            "MariaDB, one database, beside a plain transaction of PyMySQL",
            clients(1, opened.one_alone(), until),
            clients(1, opened.plain(), until),
            operations=TRANSACTIONS,
            at_most=2.0,
            rounds=30,
        )


MESSAGES = {"log": 6, "marker": 5, "sqlalchemy": 12}


@pytest.mark.parametrize("how", MESSAGES)
def test_messages_and_processor_time(note: Any, server: MariaDB, tmp_path: Path, how: str) -> None:
    """Requests of the client that were answered, and its processor time, of one transaction in two databases."""
    with Proxy(server.port) as proxy, ExitStack() as until:
        transfer = getattr(Opened(proxy.port, until, tmp_path), how)()
        transfer(0)
        before = proxy.replies
        for number in range(TRANSACTIONS):
            transfer(number)
        messages = (proxy.replies - before) / TRANSACTIONS
    note(
        f"MariaDB, two databases, {how}: messages",
        f"{messages:g}",
        f"<= {MESSAGES[how]}",
        messages <= MESSAGES[how],
    )
    with ExitStack() as until:
        transfer = getattr(Opened(server.port, until, tmp_path / "direct"), how)()
        transfer(0)
        start = time.thread_time()
        for number in range(10 * TRANSACTIONS):
            transfer(number)
        micros = (time.thread_time() - start) / (10 * TRANSACTIONS) * 1e6
    note(f"MariaDB, two databases, {how}: processor time of the client", f"{micros:.0f} µs", "", ok=True)
