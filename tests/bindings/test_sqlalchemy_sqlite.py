"""Engines of SQLite: alone, with the decisions in their file, or refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from ringfence import TransactionManager
from ringfence.bindings.sqlalchemy import Session, participant
from ringfence.errors import Aborted
from ringfence.transactions import Outcome

NAMES = ("app", "east")


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[dict[str, Engine]]:
    opened = {name: create_engine(f"sqlite:///{tmp_path}/{name}.db") for name in NAMES}
    for engine in opened.values():
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE account (cents INTEGER)"))
            connection.execute(text("INSERT INTO account VALUES (1000)"))
    yield opened
    for engine in opened.values():
        engine.dispose()


def cents(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT cents FROM account")).scalar_one())


def put(session: Session, engine: Engine, value: int) -> None:
    session.execute(text(f"UPDATE account SET cents = {value}"), bind_arguments={"bind": engine})


def test_the_only_one_that_wrote_commits_in_one_phase(engines: dict[str, Engine], decisions: str) -> None:
    app, east = engines.values()
    with TransactionManager(decisions, {"app": participant(app), "east": participant(east)}) as tm:
        with Session(manager=tm) as session, session.begin():
            put(session, app, 5)
            session.execute(text("SELECT * FROM account"), bind_arguments={"bind": east})
        assert session.gid is not None
        assert tm.outcome(session.gid) is Outcome.COMMITTED
        assert cents(app) == 5
        with Session(manager=tm) as session:
            put(session, app, 6)
            session.rollback()
            put(session, app, 7)
            session.commit()
        assert cents(app) == 7


def test_two_that_wrote_are_refused(engines: dict[str, Engine], decisions: str) -> None:
    app, east = engines.values()
    with TransactionManager(decisions, {"app": participant(app), "east": participant(east)}) as tm:
        with Session(manager=tm) as session:
            put(session, app, 5)
            put(session, east, 5)
            with pytest.raises(Aborted, match="SQLite prepares nothing"):
                session.commit()
        assert (cents(app), cents(east)) == (1000, 1000)


def test_a_file_that_holds_the_decisions_of_a_session(engines: dict[str, Engine], tmp_path: Path) -> None:
    app = engines["app"]
    east = f"sqlite:///{tmp_path}/east.db"
    with TransactionManager(f"sqlite:///{tmp_path}/app.db", {"app": participant(app), "east": east}) as tm:
        with Session(manager=tm) as session, session.begin():
            put(session, app, 5)
            session.tx["east"].execute("UPDATE account SET cents = 5")
        assert session.gid is not None
        assert tm.decisions.get(session.gid) is Outcome.COMMITTED
        with Session(manager=tm) as session:
            put(session, app, 6)
            session.tx["east"].execute("UPDATE account SET cents = 6")
            with suppress(DBAPIError):
                session.execute(text("SELECT * FROM missing"), bind_arguments={"bind": app})
            with pytest.raises(Aborted):
                session.commit()
        assert tm.recover().unresolved == []
    assert [cents(engine) for engine in engines.values()] == [5, 5]
