"""Plain DB-API connections as branches: psycopg, PyMySQL and sqlite3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from ringfence import TransactionManager, _mysql
from ringfence.bindings.dbapi import participant
from ringfence.errors import Aborted, InvalidValue
from ringfence.transactions import Outcome

from .pairs import Pair

TIMES = 40


class OnePool:
    """A pool of one connection, which sees what is given back."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self.idle: list[Any] = []
        self.opened = 0

    def get(self) -> Any:
        while self.idle:
            connection = self.idle.pop()
            if not is_closed(connection):
                return connection
        self.opened += 1
        return self._connect()

    def give(self, connection: Any) -> None:
        assert not self.idle
        self.idle.append(connection)

    def close(self) -> None:
        for connection in self.idle:
            if not is_closed(connection):
                connection.close()


def is_closed(connection: Any) -> bool:
    return bool(connection.closed) if hasattr(connection, "closed") else not connection.open


def opener(url: str) -> Callable[[], Any]:
    if url.startswith("postgresql"):
        return lambda: psycopg.connect(url)
    return lambda: manual(_mysql.connect(url, timeout=30))


def manual(connection: Any) -> Any:
    connection.autocommit(False)
    return connection


@pytest.fixture
def pools(pair: Pair) -> Iterator[dict[str, OnePool]]:
    made = {name: OnePool(opener(url)) for name, url in pair.urls.items()}
    yield made
    for pool in made.values():
        pool.close()


@pytest.fixture
def tm(pair: Pair, pools: dict[str, OnePool], decisions: str, name: str) -> Iterator[TransactionManager]:
    participants = {side: participant(pair.urls[side], pool.get, pool.give) for side, pool in pools.items()}
    with TransactionManager(decisions, participants, name=name) as opened:
        yield opened


def move(tx: Any, cents: int = 10) -> None:
    tx["east"].cursor().execute("UPDATE account SET cents = cents - %s", (cents,))
    with tx["west"].cursor() as cursor:
        cursor.executemany("UPDATE account SET cents = cents + %s", [(cents,)])


def test_commit_and_roll_back(pair: Pair, pools: dict[str, OnePool], tm: TransactionManager) -> None:
    for _ in range(3):
        with tm.transaction() as tx:
            move(tx)
        assert tm.outcome(tx.gid) is Outcome.COMMITTED
        with suppress(LookupError), tm.transaction() as tx:
            move(tx, 500)
            raise LookupError
    assert pair.moved() == 30
    assert [pool.opened for pool in pools.values()] == [1, 1]


def test_an_error_that_is_swallowed_never_commits_half(pair: Pair, tm: TransactionManager) -> None:
    for number in range(TIMES):
        tx = tm.transaction()
        move(tx)
        with suppress(Exception):
            tx[("east", "west")[number % 2]].cursor().execute("SELECT * FROM missing")
        with pytest.raises(Aborted):
            tx.commit()
    assert pair.moved() == 0
    assert pair.prepared() == 0


def test_what_is_undone_to_a_savepoint_has_not_failed(pair: Pair, tm: TransactionManager) -> None:
    with tm.transaction() as tx:
        move(tx)
        cursor = tx["east"].cursor()
        cursor.execute("SAVEPOINT here")
        with suppress(Exception):
            cursor.execute("SELECT * FROM missing")
        cursor.execute("ROLLBACK TO SAVEPOINT here")
    assert pair.moved() == 10


def test_a_branch_that_only_read_is_not_prepared(pair: Pair, tm: TransactionManager) -> None:
    with tm.transaction() as tx:
        cursor = tx["east"].cursor()
        cursor.execute("SELECT cents FROM account")
        assert cursor.fetchone() == (1000,)
        tx["west"].cursor().execute("UPDATE account SET cents = 1")
    assert tm.decisions.get(tx.gid) is None
    assert tm.outcome(tx.gid) is Outcome.COMMITTED
    assert pair.cents() == [1000, 1]


PROCEDURE = "CREATE OR REPLACE PROCEDURE pay() BEGIN UPDATE account SET cents = 7; END"
FUNCTION = "CREATE OR REPLACE FUNCTION pay() RETURNS INT BEGIN UPDATE account SET cents = 7; RETURN 1; END"
VIEW = "CREATE OR REPLACE VIEW paid AS SELECT pay() AS done"


@pytest.fixture
def paying(mariadb: Pair) -> Pair:
    """The pair in MariaDB, where much writes that does not look so."""
    with closing(_mysql.connect(mariadb.east, timeout=30)) as connection, connection.cursor() as cursor:
        for statement in (PROCEDURE, FUNCTION, VIEW):
            cursor.execute(statement)
    return mariadb


@pytest.fixture
def side(paying: Pair, decisions: str, name: str) -> Iterator[TransactionManager]:
    sides = {side: participant(url, opener(url)) for side, url in paying.urls.items()}
    with TransactionManager(decisions, sides, name=name) as opened:
        yield opened


@pytest.mark.parametrize(
    "write",
    [
        lambda branch: branch.cursor().callproc("pay"),
        lambda branch: branch.cursor().execute("SELECT `pay`()"),
        lambda branch: branch.cursor().execute("SELECT pay/**/()"),
        lambda branch: branch.cursor().execute("SELECT done FROM paid"),
        lambda branch: branch.cursor().connection.query("UPDATE account SET cents = 7"),  # no note is taken
    ],
)
def test_what_a_branch_in_mariadb_wrote_is_committed_however_it_did(
    paying: Pair, side: TransactionManager, write: Callable[[Any], None]
) -> None:
    with side.transaction() as tx:
        write(tx["east"])
        tx["west"].cursor().execute("UPDATE account SET cents = 8")
    assert paying.cents() == [7, 8]


def test_a_procedure_that_failed_aborts(paying: Pair, side: TransactionManager) -> None:
    tx = side.transaction()
    tx["west"].cursor().execute("UPDATE account SET cents = 8")
    with suppress(Exception):
        tx["east"].cursor().callproc("missing")
    with pytest.raises(Aborted):
        tx.commit()
    assert paying.cents() == [1000, 1000]


def test_transaction_control_is_refused(pair: Pair, tm: TransactionManager) -> None:
    with suppress(LookupError), tm.transaction() as tx:
        move(tx)
        for statement in ("COMMIT", "ROLLBACK", "BEGIN", b"COMMIT"):
            with pytest.raises(InvalidValue):
                tx["east"].cursor().execute(statement)
        raise LookupError
    assert pair.moved() == 0


def test_a_cursor_that_is_kept_does_nothing_later(pair: Pair, tm: TransactionManager) -> None:
    with tm.transaction() as tx:
        move(tx)
        cursor = tx["east"].cursor()
    with pytest.raises(InvalidValue, match="over"):
        cursor.execute("UPDATE account SET cents = 0")
    assert pair.moved() == 10


def test_what_the_driver_offers(postgresql: Pair, decisions: str, name: str) -> None:
    def connect() -> Any:
        return psycopg.connect(postgresql.east, row_factory=dict_row)

    east = participant(postgresql.east, connect)
    with TransactionManager(decisions, {"east": east}, name=name) as tm, tm.transaction() as tx:
        cursor = tx["east"].cursor()
        assert list(cursor.execute("SELECT 1 AS one")) == [{"one": 1}]
        cursor.execute(sql.SQL("UPDATE {} SET cents = 5").format(sql.Identifier("account")))
        assert cursor.rowcount == 1
    assert postgresql.cents() == [5, 1000]


@pytest.mark.parametrize("statement", ["SELECT 1", None])
def test_connections_that_cannot_be_branches_are_refused(
    postgresql: Pair, decisions: str, name: str, statement: str | None
) -> None:
    """One that is in a transaction already, and one in autocommit mode."""
    connection = psycopg.connect(postgresql.east, autocommit=statement is None)
    if statement is not None:
        connection.execute(statement)
    made = participant(postgresql.east, lambda: connection)
    with TransactionManager(decisions, {"east": made}, name=name) as tm:
        tx = tm.transaction()
        with pytest.raises(InvalidValue):
            tx["east"]
        tx.rollback()
    assert connection.closed


def test_a_connection_that_is_lost(pair: Pair, pools: dict[str, OnePool], tm: TransactionManager) -> None:
    for lost in ("east", "west"):
        connection = pools[lost].get()
        pools[lost].give(connection)
        tx = tm.transaction()
        move(tx)
        getattr(connection, "_force_close", connection.close)()
        with pytest.raises(Aborted):
            tx.commit()
        assert pair.moved() == 0
    with tm.transaction() as tx:
        move(tx)
    assert pair.moved() == 10


def test_a_database_that_holds_the_decisions(pair: Pair, pools: dict[str, OnePool], name: str) -> None:
    participants = {side: participant(pair.urls[side], pool.get, pool.give) for side, pool in pools.items()}
    with TransactionManager(pair.east, participants, name=name) as tm:
        with tm.transaction() as tx:
            move(tx)
        assert tm.decisions.get(tx.gid) is Outcome.COMMITTED
        assert pair.moved() == 10
        tx = tm.transaction()
        move(tx)
        tm.decisions.put_if_absent(tx.gid, Outcome.ABORTED)
        with pytest.raises(Aborted):
            tx.commit()
    assert pair.moved() == 10
    assert pair.prepared() == 0


def test_unknown_urls_are_refused() -> None:
    with pytest.raises(InvalidValue):
        participant("oracle://host", list)
