"""The same for tasks: `AsyncSession`, cancellation, and pools that stay sound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from ringfence import aio
from ringfence.bindings.sqlalchemy import AsyncSession, participant
from ringfence.errors import Aborted
from ringfence.transactions import Outcome

from .pairs import Pair

TIMES = 20
SLEEP = {"postgresql": "SELECT pg_sleep(300)", "mariadb": "SELECT sleep(300)"}
ASLEEP = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
    "mariadb": "SELECT count(*) FROM information_schema.processlist WHERE state = 'User sleep'",
}


@pytest.fixture(params=["postgresql", pytest.param("mariadb", marks=pytest.mark.slow)])
def pair(request: pytest.FixtureRequest, in_postgresql: Pair, in_mariadb: Pair) -> Pair:
    """A pair of databases with 1000 cents on each side."""
    found = in_postgresql if request.param == "postgresql" else in_mariadb
    found.reset()
    return found


@pytest.fixture
async def engines(pair: Pair) -> AsyncIterator[dict[str, AsyncEngine]]:
    urls = {name: url.replace("pymysql", "asyncmy") for name, url in pair.engines.items()}
    opened = {name: create_async_engine(url) for name, url in urls.items()}
    yield opened
    for engine in opened.values():
        await engine.dispose()


@pytest.fixture
async def tm(
    engines: dict[str, AsyncEngine], decisions: str, name: str
) -> AsyncIterator[aio.TransactionManager]:
    participants: Any = {branch: participant(engine) for branch, engine in engines.items()}
    async with aio.TransactionManager(decisions, participants, name=name) as opened:
        yield opened


async def run(session: AsyncSession, engine: AsyncEngine, sql: str) -> Any:
    return await session.execute(text(sql), bind_arguments={"bind": engine.sync_engine})


async def move(session: AsyncSession, engines: dict[str, AsyncEngine], cents: int = 10) -> None:
    await run(session, engines["east"], f"UPDATE account SET cents = cents - {cents}")
    await run(session, engines["west"], f"UPDATE account SET cents = cents + {cents}")


async def test_commit_and_roll_back(
    pair: Pair, engines: dict[str, AsyncEngine], tm: aio.TransactionManager
) -> None:
    sessions = async_sessionmaker(class_=AsyncSession, manager=tm)
    async with sessions() as session:
        await move(session, engines)
        await session.commit()
        assert session.gid is not None
        assert await tm.outcome(session.gid) is Outcome.COMMITTED
        await move(session, engines, 500)
        await session.rollback()
        await move(session, engines, 500)
    assert pair.moved() == 10


async def test_one_writing_bind_commits_in_one_phase(
    pair: Pair, engines: dict[str, AsyncEngine], tm: aio.TransactionManager
) -> None:
    async with AsyncSession(manager=tm) as session, session.begin():
        await run(session, engines["east"], "SELECT * FROM account")
        await run(session, engines["west"], "UPDATE account SET cents = 1")
    assert session.gid is not None
    assert await tm.decisions.get(session.gid) is None
    assert await tm.outcome(session.gid) is Outcome.COMMITTED
    assert pair.cents() == [1000, 1]


async def test_an_error_that_is_swallowed_never_commits_half(
    pair: Pair, engines: dict[str, AsyncEngine], tm: aio.TransactionManager
) -> None:
    for _ in range(TIMES):
        async with AsyncSession(manager=tm) as session:
            await move(session, engines)
            with suppress(sqlalchemy.exc.DBAPIError):
                await run(session, engines["east"], "SELECT * FROM missing")
            with pytest.raises(Aborted):
                await session.commit()
    assert pair.moved() == 0
    assert pair.prepared() == 0


async def test_sessions_side_by_side(
    pair: Pair, engines: dict[str, AsyncEngine], tm: aio.TransactionManager
) -> None:
    async def transfer() -> None:
        async with AsyncSession(manager=tm) as session, session.begin():
            await move(session, engines)

    await asyncio.gather(*(transfer() for _ in range(10)))
    assert pair.moved() == 100


async def test_a_task_that_is_cancelled_before_it_commits_does_nothing(
    pair: Pair, engines: dict[str, AsyncEngine], tm: aio.TransactionManager
) -> None:
    async def stuck() -> None:
        async with AsyncSession(manager=tm) as session, session.begin():
            await move(session, engines)
            await run(session, engines["west"], SLEEP[engines["west"].dialect.name])

    task = asyncio.create_task(stuck())
    await until_asleep(engines["east"])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pair.moved() == 0
    async with AsyncSession(manager=tm) as session, session.begin():
        await move(session, engines)
    assert pair.moved() == 10


async def test_a_task_that_is_cancelled_while_it_commits_commits_on_both_sides_or_on_none(
    pair: Pair, engines: dict[str, AsyncEngine], tm: aio.TransactionManager
) -> None:
    for steps in range(0, 60, 4):
        session = AsyncSession(manager=tm)
        await move(session, engines)
        task = asyncio.create_task(session.commit())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await session.close()
        pair.moved()
        assert pair.prepared() == 0
    async with AsyncSession(manager=tm) as session, session.begin():
        await move(session, engines)


async def until_asleep(engine: AsyncEngine) -> None:
    """Wait until a connection of the server sleeps."""
    asleep = ASLEEP[engine.dialect.name]
    async with engine.connect() as connection, asyncio.timeout(60):
        while not await connection.scalar(text(asleep)):
            await asyncio.sleep(0.02)
            await connection.rollback()
