"""Transactions over two SQLite files, beside the only atomic way SQLite itself has: ATTACH, with rollback journals."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ringfence.transactions import TransactionManager

NAMES = ("east", "west")
TRANSACTIONS = 20
LESS = "UPDATE {}account SET balance = balance - 1 WHERE id = ?"
MORE = "UPDATE {}account SET balance = balance + 1 WHERE id = ?"


def opened(folder: Path) -> dict[str, str]:
    """Two files with accounts."""
    folder.mkdir()
    for name in NAMES:
        with closing(sqlite3.connect(folder / f"{name}.db")) as connection:
            connection.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, balance)")
            connection.executemany(
                "INSERT INTO account VALUES (?, 100)", [(number,) for number in range(100)]
            )
            connection.commit()
    return {name: f"sqlite:///{folder}/{name}.db" for name in NAMES}


@pytest.fixture(params=["marker", "row"])
def tm(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[TransactionManager]:
    """A manager whose decisions are in one of the files, or in a third one."""
    urls = opened(tmp_path / "ours")
    decisions = None if request.param == "marker" else f"sqlite:///{tmp_path}/decisions.db"
    with TransactionManager(decisions, urls) as manager:
        yield manager


@pytest.fixture
def attached(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to both files, in the journal mode in which SQLite commits to both or to none."""
    opened(tmp_path / "attached")
    with closing(sqlite3.connect(tmp_path / "attached" / "east.db", isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS west", (f"{tmp_path}/attached/west.db",))
        for schema in ("main", "west"):
            assert connection.execute(f"PRAGMA {schema}.journal_mode").fetchone() == ("delete",)
            connection.execute(f"PRAGMA {schema}.synchronous = FULL")
        yield connection


def test_two_files_beside_attach(
    race: Any, tm: TransactionManager, attached: sqlite3.Connection, request: pytest.FixtureRequest
) -> None:
    marker = "marker" in request.node.name
    race(
        f"two updates in two SQLite files, decision in {'one of them' if marker else 'a third'}, beside ATTACH",
        ours(tm),
        peer(attached),
        operations=TRANSACTIONS,
        at_least=4.0 if marker else 2.5,
        rounds=20,
    )


def ours(tm: TransactionManager) -> Callable[[], None]:
    def work() -> None:
        for number in range(TRANSACTIONS):
            with tm.transaction() as tx:
                tx["east"].execute(LESS.format(""), (number,))
                tx["west"].execute(MORE.format(""), (number,))

    return work


def peer(connection: sqlite3.Connection) -> Callable[[], None]:
    def work() -> None:
        for number in range(TRANSACTIONS):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(LESS.format("main."), (number,))
            connection.execute(MORE.format("west."), (number,))
            connection.execute("COMMIT")

    return work
