"""Sessions over two engines: all or nothing, whatever the application swallows, and nothing broken goes to the pool."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext, suppress
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import Engine, create_engine, event, orm, text

from ringfence import TransactionManager
from ringfence.bindings import kinds
from ringfence.bindings.sqlalchemy import Session, participant
from ringfence.errors import Aborted, InvalidValue
from ringfence.transactions import Outcome

from .pairs import Pair, new_name

TIMES = 40


class Base(orm.DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    cents: orm.Mapped[int]


@pytest.fixture
def engines(pair: Pair) -> Iterator[dict[str, Engine]]:
    opened = {name: create_engine(url) for name, url in pair.engines.items()}
    yield opened
    for engine in opened.values():
        engine.dispose()


@pytest.fixture
def tm(engines: dict[str, Engine], decisions: str, name: str) -> Iterator[TransactionManager]:
    participants = {branch: participant(engine) for branch, engine in engines.items()}
    with TransactionManager(decisions, participants, name=name) as opened:
        yield opened


def run(session: orm.Session, engine: Engine, sql: str) -> Any:
    return session.execute(text(sql), bind_arguments={"bind": engine})


def move(session: orm.Session, engines: dict[str, Engine], cents: int = 10) -> None:
    run(session, engines["east"], f"UPDATE account SET cents = cents - {cents}")
    run(session, engines["west"], f"UPDATE account SET cents = cents + {cents}")


def swallow(session: orm.Session, engine: Engine) -> None:
    with suppress(sqlalchemy.exc.DBAPIError):
        run(session, engine, "SELECT * FROM missing")


def test_commit(pair: Pair, engines: dict[str, Engine], tm: TransactionManager) -> None:
    with Session(manager=tm) as session, session.begin():
        move(session, engines)
    assert pair.moved() == 10
    assert session.gid is not None
    assert tm.outcome(session.gid) is Outcome.COMMITTED
    assert tm.decisions.get(session.gid) is Outcome.COMMITTED


def test_the_work_of_one_session_after_the_other(
    pair: Pair, engines: dict[str, Engine], tm: TransactionManager
) -> None:
    sessions = orm.sessionmaker(class_=Session, manager=tm)
    with sessions() as session:
        for _ in range(3):
            move(session, engines)
            session.commit()
            move(session, engines, 500)
            session.rollback()
        move(session, engines, 500)
    assert pair.moved() == 30
    assert pair.prepared() == 0


def test_objects(pair: Pair, engines: dict[str, Engine], tm: TransactionManager) -> None:
    east = orm.sessionmaker(class_=Session, manager=tm, binds={Account: engines["east"]})
    told: list[int] = []
    with east() as session:
        event.listen(session, "after_commit", lambda _: told.append(pair.cents()[0]))
        account = session.get_one(Account, 1)
        account.cents -= 10
        run(session, engines["west"], "UPDATE account SET cents = cents + 10")
        with session.begin_nested():
            account.cents -= 5
        run(session, engines["west"], "UPDATE account SET cents = cents + 5")
        session.commit()
        assert account.cents == 985
    assert pair.moved() == 15
    assert told[-1] == 985  # once it was decided


def test_an_exception_rolls_back(pair: Pair, engines: dict[str, Engine], tm: TransactionManager) -> None:
    with Session(manager=tm) as session, suppress(LookupError), session.begin():
        move(session, engines)
        raise LookupError
    assert pair.moved() == 0
    assert session.gid is not None
    assert tm.outcome(session.gid) is Outcome.ABORTED


def test_an_error_that_is_swallowed_never_commits_half(
    pair: Pair, engines: dict[str, Engine], tm: TransactionManager
) -> None:
    for number in range(TIMES):
        with Session(manager=tm) as session:
            move(session, engines)
            swallow(session, engines[("east", "west")[number % 2]])
            with pytest.raises(Aborted):
                session.commit()
    assert pair.moved() == 0
    assert pair.prepared() == 0


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_plain_twophase_commits_half(postgresql: Pair) -> None:
    """What this binding is for; when it no longer fails, say so in the documentation."""
    halves = 0
    with ExitStack() as until:
        engines = {name: create_engine(url) for name, url in postgresql.engines.items()}
        for engine in engines.values():
            until.callback(engine.dispose)
        for number in range(TIMES):  # which side comes first depends on where objects lie in memory
            with (
                suppress(sqlalchemy.exc.SQLAlchemyError, AssertionError),
                orm.Session(twophase=True) as session,
            ):
                move(session, engines)
                swallow(session, engines[("east", "west")[number % 2]])
                session.commit()
            halves += sum(postgresql.cents()) != 2000
            postgresql.reset()
    gc.collect()  # what it leaves behind is not the next test's
    assert halves


def test_what_is_undone_to_a_savepoint_has_not_failed(
    pair: Pair, engines: dict[str, Engine], tm: TransactionManager
) -> None:
    with Session(manager=tm) as session, session.begin():
        move(session, engines)
        with pytest.raises(sqlalchemy.exc.DBAPIError), session.begin_nested():
            run(session, engines["east"], "SELECT * FROM missing")
        move(session, engines)
    assert pair.moved() == 20


def test_a_bind_that_only_read_is_not_prepared(
    pair: Pair, engines: dict[str, Engine], tm: TransactionManager
) -> None:
    statements = listen(engines["east"])
    with Session(manager=tm) as session, session.begin():
        run(session, engines["east"], "SELECT * FROM account")
        run(session, engines["west"], "UPDATE account SET cents = 1")
    assert session.gid is not None
    assert pair.cents() == [1000, 1]
    assert tm.decisions.get(session.gid) is None  # one writing bind commits in one phase
    assert tm.outcome(session.gid) is Outcome.COMMITTED
    assert statements == ["SELECT * FROM account"]
    with Session(manager=tm) as session, session.begin():
        run(session, engines["east"], "SELECT * FROM account")
    assert session.gid is not None


def listen(engine: Engine) -> list[str]:
    """The statements of the application on an engine."""
    heard: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *arguments: heard.append(arguments[2]))
    return heard


def test_transaction_control_is_refused(
    pair: Pair, engines: dict[str, Engine], tm: TransactionManager
) -> None:
    with Session(manager=tm) as session:
        move(session, engines)
        with pytest.raises(InvalidValue, match="COMMIT"):
            run(session, engines["east"], "COMMIT")
    assert pair.moved() == 0


def test_an_engine_that_is_no_participant_is_refused(
    pair: Pair, engines: dict[str, Engine], decisions: str
) -> None:
    with (
        TransactionManager(decisions, {"east": participant(engines["east"])}, name=new_name()) as tm,
        Session(manager=tm) as session,
    ):
        run(session, engines["east"], "UPDATE account SET cents = 1")
        for _ in range(2):
            with pytest.raises((InvalidValue, sqlalchemy.exc.SQLAlchemyError)):
                run(session, engines["west"], "UPDATE account SET cents = 1")
        session.rollback()
    assert pair.moved() == 0


def test_what_a_session_cannot_work_with_is_refused(
    pair: Pair, engines: dict[str, Engine], tm: TransactionManager
) -> None:
    with pytest.raises(InvalidValue, match="twophase"):
        Session(manager=tm, twophase=True)
    participants = {"east": participant(engines["east"])}
    with (
        TransactionManager("memory://twophase", participants, ack="decided") as hasty,
        pytest.raises(InvalidValue, match="ack"),
    ):
        Session(manager=hasty)
    alone = engines["east"].execution_options(isolation_level="AUTOCOMMIT")
    if engines["east"].dialect.name == "postgresql":
        with Session(manager=tm) as session, pytest.raises(InvalidValue, match="autocommit"):
            run(session, alone, "SELECT 1")


def test_a_stale_lease_aborts(pair: Pair, engines: dict[str, Engine], tm: TransactionManager) -> None:
    resource = new_name()
    for fence, happens in ((7, True), (6, False), (8, True)):
        with Session(manager=tm) as session:
            move(session, engines)
            session.tx.guard(SimpleNamespace(name=resource, fence=fence))
            with nullcontext() if happens else pytest.raises(Aborted, match="fence"):
                session.commit()
    assert pair.moved() == 20
    with pytest.raises(InvalidValue, match="first statement"):
        _ = Session(manager=tm).tx


def test_engines_of_unknown_drivers_are_refused() -> None:
    with pytest.raises(InvalidValue, match="psycopg2"):
        kinds.of("psycopg2")
