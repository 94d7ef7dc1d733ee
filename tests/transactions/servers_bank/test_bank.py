"""Databases of PostgreSQL and MariaDB under fire: with ringfence no money is lost, with SQLAlchemy's twophase it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from ringfence import TransactionManager

from .nemesis import PATIENCE, Nemesis, Workers, decisions_in, seed
from .places import TOTAL, Books, Places

WORKERS = 3


@pytest.fixture
def places() -> Iterator[Places]:
    with Places() as opened:
        yield opened


def recover(places: Places, names: list[str], number: int) -> None:
    """Take over what all processes left; a second time there is nothing to do."""
    decisions = places.url(decisions_in(number), proxied=False)
    until = time.monotonic() + PATIENCE
    with TransactionManager(decisions, places.urls(proxied=False), name="last", timeout=10) as tm:
        while unresolved := [found for name in names for found in tm.recover(name).unresolved]:
            assert time.monotonic() < until, f"cannot be resolved: {unresolved}"
            time.sleep(0.1)
        again = [tm.recover(name) for name in names]
    assert not any(len(recovery) or recovery.unresolved for recovery in again)


def take_over(places: Places, number: int, name: str) -> None:
    """Recover in the name of a process that is alive, and will go on without knowing of it."""
    decisions = places.url(decisions_in(number), proxied=False)
    with TransactionManager(decisions, places.urls(proxied=False), name="other", timeout=10) as tm:
        tm.recover(name)


TAKE_OVER = {"ringfence": take_over, "sqlalchemy": lambda *_: None}


def under_fire(kind: str, places: Places, folder: Path, seconds: float, number: int) -> tuple[Workers, str]:
    """Move money while harm is done, and then have all processes dead and all servers alive; a report."""
    with Workers(kind, places, folder, number, WORKERS) as workers:
        nemesis = Nemesis(places, workers, number, partial(TAKE_OVER[kind], places, number))
        begun = nemesis.sees_work(5, PATIENCE)
        nemesis.work(seconds)
        went_on = begun and nemesis.sees_work(5, PATIENCE if kind == "ringfence" else 0.0)
    places.heal()
    report = f"seed {number}, {', '.join(nemesis.done)}\n{workers.errors()}"
    assert went_on or kind != "ringfence", f"nothing is done any more: {report}"
    return workers, report


def settled(places: Places) -> Books:
    """The books, once the servers have done what the dead processes had asked for last."""
    books = places.books()
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        time.sleep(1.0)
        before, books = books, places.books()
        if books == before:
            return books
    raise AssertionError("the books change, and nobody is at work")


@pytest.mark.servers
@pytest.mark.parametrize(
    "seconds", [6, pytest.param(180, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_no_money_is_lost_and_nothing_stays_in_doubt(places: Places, tmp_path: Path, seconds: float) -> None:
    number = seed()
    workers, report = under_fire("ringfence", places, tmp_path, seconds, number)
    recover(places, workers.names, number)
    books, acknowledged = places.books(), workers.acknowledged()
    print(f"{books}; {report}")
    assert (books.total, books.torn, books.in_doubt) == (TOTAL, frozenset(), 0), report
    assert acknowledged <= books.whole, f"{acknowledged - books.whole} were told to be done; {report}"


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_same_with_sqlalchemys_twophase_tears_transfers(places: Places, tmp_path: Path) -> None:
    """Whoever dies between two commits tears a transfer, and before them leaves it in doubt; and nothing mends it."""
    for round_ in range(10):
        _, report = under_fire("sqlalchemy", places, tmp_path, 6, seed() + round_)
        books = settled(places)
        print(f"{books}; {report}")
        if books.torn:
            break
    assert books.torn or books.in_doubt
