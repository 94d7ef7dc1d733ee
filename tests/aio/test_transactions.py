import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ringfence.aio.transactions import Transaction, TransactionManager
from ringfence.errors import Aborted, InvalidValue
from ringfence.transactions import Outcome
from ringfence.transactions.participants.sqlite import SqliteParticipant

NAMES = ("east", "west")


@pytest.fixture
async def tm(tmp_path: Path) -> AsyncIterator[TransactionManager]:
    for name in NAMES:
        connection = sqlite3.connect(tmp_path / f"{name}.db")
        connection.execute("CREATE TABLE account (balance CHECK (balance >= 0))")
        connection.execute("INSERT INTO account VALUES (100)")
        connection.commit()
        connection.close()
    urls = {name: f"sqlite:///{tmp_path}/{name}.db" for name in NAMES}
    async with TransactionManager(f"sqlite:///{tmp_path}/decisions.db", urls, timeout=5) as manager:
        yield manager


async def move(tm: TransactionManager, amount: int) -> str:
    async with tm.transaction() as tx:
        await tx["east"].execute("UPDATE account SET balance = balance - ?", (amount,))
        await tx["west"].executemany("UPDATE account SET balance = balance + ?", [(amount,)])
    return tx.gid


async def balances(tm: TransactionManager) -> list[int]:
    async with tm.transaction() as tx:
        return [(await tx[name].execute("SELECT balance FROM account"))[0][0] for name in NAMES]


async def test_a_transaction_happens_on_all_participants(tm: TransactionManager) -> None:
    gid = await move(tm, 10)
    assert await balances(tm) == [90, 110]
    assert await tm.outcome(gid) == "committed"


async def test_arguments_may_be_named(tm: TransactionManager) -> None:
    async with tm.transaction() as tx:
        await tx["east"].execute("UPDATE account SET balance = ?", parameters=(1,))
    assert await balances(tm) == [1, 100]


async def test_an_exception_rolls_back(tm: TransactionManager) -> None:
    tx = tm.transaction()

    async def fail() -> None:
        async with tx:
            await tx["east"].execute("UPDATE account SET balance = 0")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await balances(tm) == [100, 100]
    assert await tm.outcome(tx.gid) == "aborted"


async def test_a_swallowed_error_aborts(tm: TransactionManager) -> None:
    async def swallow() -> None:
        async with tm.transaction() as tx:
            await tx["west"].execute("UPDATE account SET balance = balance + 1000")
            with pytest.raises(sqlite3.IntegrityError):
                await tx["east"].execute("UPDATE account SET balance = balance - 1000")

    with pytest.raises(Aborted, match="a statement failed: CHECK"):
        await swallow()
    assert await balances(tm) == [100, 100]


async def test_many_tasks_lose_no_update(tm: TransactionManager) -> None:
    await asyncio.gather(*(move(tm, 1) for _ in range(30)))
    assert await balances(tm) == [70, 130]


async def test_waiting_for_each_other_ends(tmp_path: Path, tm: TransactionManager) -> None:
    urls = {name: f"sqlite:///{tmp_path}/{name}.db" for name in NAMES}
    async with TransactionManager("memory://aio-deadlock", urls, timeout=0.1) as impatient:

        async def cross(first: str, second: str) -> None:
            async with impatient.transaction() as tx:
                await tx[first].execute("UPDATE account SET balance = balance + 1")
                await asyncio.sleep(0.05)
                await tx[second].execute("UPDATE account SET balance = balance + 1")

        ended = await asyncio.gather(cross(*NAMES), cross(*reversed(NAMES)), return_exceptions=True)
        committed = ended.count(None)
        assert committed < 2
        assert all(result is None or isinstance(result, Aborted) for result in ended)
        assert await balances(impatient) == [100 + committed] * 2


@pytest.mark.parametrize("steps", range(0, 60, 2))
async def test_cancelled_at_any_await_all_or_nothing_happened(tm: TransactionManager, steps: int) -> None:
    async with tm.transaction() as first:
        pass
    task = asyncio.create_task(move(tm, 10))
    for _ in range(steps):
        await asyncio.sleep(0.0005)
    task.cancel()
    [done] = await asyncio.gather(task, return_exceptions=True)
    happened = await balances(tm) == [90, 110]
    assert happened or (await balances(tm) == [100, 100] and isinstance(done, asyncio.CancelledError))
    assert (await tm.recover()).resolved == []
    if steps:
        assert await tm.outcome(first.gid.replace(".1.1", ".1.2")) == ("committed" if happened else "aborted")


async def test_cancelled_while_another_holds_the_file(tm: TransactionManager) -> None:
    async with tm.transaction() as tx:
        await tx["east"].execute("UPDATE account SET balance = 50")
        task = asyncio.create_task(move(tm, 10))
        await asyncio.sleep(0.05)
        task.cancel()
        await tx["west"].execute("UPDATE account SET balance = 150")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await balances(tm) == [50, 150]


async def test_recovery(tm: TransactionManager, tmp_path: Path) -> None:
    left = SqliteParticipant(tmp_path / "east.db")
    left.begin("gone.1.1").execute("UPDATE account SET balance = 0")
    left.prepare("gone.1.1")
    left.close()
    assert str(await tm.recover("gone")) == "0 committed, 1 rolled back, 0 left\ngone.1.1 aborted on east"
    assert await tm.outcome("gone.1.1") is Outcome.ABORTED


async def test_memory_participants_wait_in_threads(tmp_path: Path) -> None:
    participants = {name: f"memory://{tmp_path}/{name}" for name in "ab"}
    async with TransactionManager("memory://", participants) as tm:

        async def add(tx: Transaction) -> None:
            for name in ("a", "b"):
                await tx[name].put("x", (await tx[name].get("x") or 0) + 1)

        async def once() -> None:
            async with tm.transaction() as tx:
                await add(tx)

        await asyncio.gather(*(once() for _ in range(10)))
        async with tm.transaction() as tx:
            assert [await tx[name].get("x") for name in ("a", "b")] == [10, 10]


async def test_bad_use_is_refused(tm: TransactionManager) -> None:
    with pytest.raises(InvalidValue, match="was not started; use it as"):
        tm.transaction()["east"]
    async with tm.transaction() as tx:
        with pytest.raises(InvalidValue, match="no participant 'north'"):
            tx["north"]
    with pytest.raises(InvalidValue, match="is over"):
        tx["east"]
    await tm.close()
    await tm.close()
