"""SIGKILL, cut connections and a decision store that does not answer, under sessions of SQLAlchemy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from ringfence import TransactionManager
from ringfence.bindings.sqlalchemy import Session, participant
from ringfence.errors import Aborted, InDoubt, OutcomeUnknown
from ringfence.testing.proxy import Proxy
from ringfence.transactions import Outcome
from ringfence.transactions.decisions.sqlite import SqliteDecisions

from .pairs import Pair, connect

DIES = """
import os, signal, sys
from sqlalchemy import create_engine, text
from ringfence import TransactionManager
from ringfence.bindings.sqlalchemy import Session, participant

name, decisions, east, west, point = sys.argv[1:]
engines = {"east": create_engine(east), "west": create_engine(west)}
tm = TransactionManager(decisions, {side: participant(engine) for side, engine in engines.items()}, name=name)
for side in tm.participants.values():
    side.send = lambda *_: None  # one after the other
who, operation = point.split(".")
setattr(tm.decisions if who == "decisions" else tm.participants[who], operation,
        lambda *_: os.kill(os.getpid(), signal.SIGKILL))
with Session(manager=tm) as session, session.begin():
    session.execute(text("UPDATE account SET cents = cents - 10"), bind_arguments={"bind": engines["east"]})
    session.execute(text("UPDATE account SET cents = cents + 10"), bind_arguments={"bind": engines["west"]})
"""


@contextmanager
def opened(urls: dict[str, str]) -> Iterator[dict[str, Engine]]:
    engines = {name: create_engine(url, pool_size=1, max_overflow=0) for name, url in urls.items()}
    try:
        yield engines
    finally:
        for engine in engines.values():
            engine.dispose()


def move(
    manager: TransactionManager, engines: dict[str, Engine], then: Callable[[], None] = lambda: None
) -> None:
    with Session(manager=manager) as session, session.begin():
        session.execute(
            text("UPDATE account SET cents = cents - 10"), bind_arguments={"bind": engines["east"]}
        )
        session.execute(
            text("UPDATE account SET cents = cents + 10"), bind_arguments={"bind": engines["west"]}
        )
        then()


@pytest.mark.parametrize(
    ("point", "prepared", "moved"),
    [
        pytest.param("west.prepare", 1, 0, marks=pytest.mark.slow),
        pytest.param("decisions.put_if_absent", 2, 0, marks=pytest.mark.slow),
        pytest.param("east.commit", 2, 10, marks=pytest.mark.slow),
        ("west.commit", 1, 10),
    ],
)
def test_killed_and_recovered(
    pair: Pair, decisions: str, name: str, point: str, prepared: int, moved: int
) -> None:
    command = [sys.executable, "-c", DIES, name, decisions, *pair.engines.values(), point]
    died = subprocess.run(command, timeout=120, check=False)
    assert died.returncode == -9
    with opened(pair.engines) as engines:
        participants = {side: participant(engine) for side, engine in engines.items()}
        with TransactionManager(decisions, participants, name=name) as tm:
            assert pair.prepared() == prepared
            found = tm.recover()
            assert (len(found), found.unresolved) == (prepared, [])
            assert pair.moved() == moved
            assert len(tm.recover()) == 0
            move(tm, engines)  # no lock is left
    assert pair.moved() == moved + 10
    assert pair.prepared() == 0


@pytest.fixture
def far(postgresql: Pair, proxy: Proxy) -> Iterator[dict[str, Engine]]:
    """Engines, of which that of the west leads through the proxy."""
    west = postgresql.engines["west"]
    port = west.rpartition(":")[2].partition("/")[0]
    with opened({"east": postgresql.engines["east"], "west": west.replace(port, str(proxy.port))}) as engines:
        yield engines


class Interfering:
    """A decision store; something is done before or after it decides."""

    def __init__(self, store: SqliteDecisions, before: Callable[[], None], after: Callable[[], None]) -> None:
        self._store, self._before, self._after = store, before, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put_if_absent(self, gid: str, outcome: Outcome) -> Outcome:
        self._before()
        standing = self._store.put_if_absent(gid, outcome)
        self._after()
        return standing


@contextmanager
def managing(
    pair: Pair, engines: dict[str, Engine], decisions: str, name: str, before: Any = int, after: Any = int
) -> Iterator[TransactionManager]:
    participants = {
        side: participant(engine, url=pair.urls[side], timeout=1) for side, engine in engines.items()
    }
    store: Any = Interfering(SqliteDecisions(decisions.removeprefix("sqlite:///")), before, after)
    with TransactionManager(store, participants, name=name) as tm:
        yield tm


def test_cut_before_the_vote(
    postgresql: Pair, far: dict[str, Engine], proxy: Proxy, decisions: str, name: str
) -> None:
    with managing(postgresql, far, decisions, name) as tm:
        with pytest.raises(Aborted):
            move(tm, far, then=proxy.cut)
        assert postgresql.moved() == 0
        move(tm, far)  # the pool has no broken connection
        assert postgresql.moved() == 10


def test_cut_after_the_decision(
    postgresql: Pair, far: dict[str, Engine], proxy: Proxy, decisions: str, name: str
) -> None:
    with managing(postgresql, far, decisions, name, after=proxy.cut) as tm:
        for times in (1, 2):
            move(tm, far)
            assert postgresql.moved() == 10 * times
            assert postgresql.prepared() == 0


def test_in_doubt(pair: Pair, decisions: str, name: str) -> None:
    def silent() -> None:
        raise OutcomeUnknown("no answer")

    with opened(pair.engines) as engines:
        with managing(pair, engines, decisions, name, before=silent) as tm, pytest.raises(InDoubt):
            move(tm, engines)
        assert pair.prepared() == 2
        for engine in engines.values():  # with connections that are not in the transaction any more
            with engine.connect() as connection:
                assert connection.scalar(text("SELECT cents FROM account")) == 1000
        with managing(pair, engines, decisions, name) as tm:
            assert tm.recover().aborted == 2
            move(tm, engines)
    assert pair.moved() == 10


def test_a_lock_that_was_not_to_be_had_leaves_the_pools_sound(
    postgresql: Pair, decisions: str, name: str
) -> None:
    with opened(postgresql.engines) as engines, managing(postgresql, engines, decisions, name) as tm:
        with connect(postgresql.east) as other, other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("UPDATE account SET cents = cents")
            with Session(manager=tm, bind=engines["east"]) as session:
                session.execute(text("SET LOCAL lock_timeout = 50"))
                with pytest.raises(OperationalError, match="lock"):
                    session.execute(text("UPDATE account SET cents = 0"))
        for _ in range(3):
            move(tm, engines)
    assert postgresql.moved() == 30
