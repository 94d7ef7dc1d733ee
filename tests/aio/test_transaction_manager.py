"""Transactions for asyncio: markers, acknowledgement at the decision, retries, fences, recovery in the background."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from ringfence.aio.transactions import Transaction, TransactionManager
from ringfence.errors import Aborted, InvalidType, StoreError
from ringfence.transactions import Heuristic, Outcome, Recovery
from ringfence.transactions.decisions.memory import MemoryDecisions
from ringfence.transactions.outcome import Vote
from ringfence.transactions.participants import Capabilities
from ringfence.transactions.participants.memory import MemoryBranch, MemoryParticipant

PATIENCE = 30.0
NAMES = ("east", "west")


class Native:
    """A participant whose methods are coroutines; its second phase waits until it is let."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        self.inner = MemoryParticipant(timeout=0.0)
        self.let = asyncio.Event()
        self.let.set()

    async def begin(self, gid: str) -> Any:
        return Coroutines(self.inner.begin(gid))

    async def prepare(self, gid: str) -> Vote:
        return self.inner.prepare(gid)

    async def commit(self, gid: str) -> None:
        await asyncio.wait_for(self.let.wait(), PATIENCE)
        self.inner.commit(gid)

    async def one_phase(self, gid: str) -> None:
        self.inner.one_phase(gid)

    async def rollback(self, gid: str) -> None:
        self.inner.rollback(gid)

    async def recover(self, prefix: str = "") -> list[str]:
        return self.inner.recover(prefix)

    def guard(self, gid: str, resource: str, fence: int) -> None:
        self.inner.guard(gid, resource, fence)

    async def close(self) -> None:
        self.let.set()


class Coroutines:
    def __init__(self, branch: MemoryBranch) -> None:
        self.branch = branch

    @property
    def wrote(self) -> bool:
        return self.branch.wrote

    async def put(self, key: str, value: int) -> None:
        self.branch.put(key, value)


async def transfer(tm: TransactionManager, value: int = 1) -> str:
    async with tm.transaction() as tx:
        for name in NAMES:
            await tx[name].put("key", value)
    return tx.gid


def native() -> dict[str, Any]:
    return {name: Native() for name in NAMES}


def values(stores: dict[str, Any]) -> list[Any]:
    return [store.inner.snapshot().get("key") for store in stores.values()]


async def test_participants_of_coroutines_are_asked_as_they_are() -> None:
    stores = native()
    async with TransactionManager(MemoryDecisions(), stores) as tm:
        gid = await transfer(tm)
        assert await tm.outcome(gid) == "committed"
    assert values(stores) == [1, 1]


async def test_a_commit_returns_once_it_is_decided() -> None:
    stores = native()
    async with TransactionManager(MemoryDecisions(), stores, ack="decided") as tm:
        for store in stores.values():
            store.let.clear()
        gid = await transfer(tm)
        assert await tm.outcome(gid) == "committed"
        assert values(stores) == [None, None]
        for store in stores.values():
            store.let.set()
    assert values(stores) == [1, 1]


async def test_what_cannot_be_told_is_left_to_recovery() -> None:
    stores = native()

    async def gone(_: str) -> None:
        raise StoreError("gone")

    stores["west"].commit = gone
    decisions = MemoryDecisions()
    async with TransactionManager(decisions, stores, ack="decided") as tm:
        await transfer(tm)
    del stores["west"].commit
    async with TransactionManager(decisions, stores) as tm:
        assert (await tm.recover()).committed == 1
    assert values(stores) == [1, 1]


async def test_what_came_in_the_way_is_run_again() -> None:
    stores = native()
    runs = []

    async def work(tx: Transaction) -> int:
        runs.append(tx.gid)
        await tx["east"].put("key", len(runs))
        if len(runs) < 3:
            raise Aborted(tx.gid, "deadlock", retryable=True)
        return 42

    async with TransactionManager(MemoryDecisions(), stores, random=Random(1)) as tm:
        assert await tm.run(work) == 42
        with pytest.raises(InvalidType, match="retries"):
            await tm.run(work, "3")  # type: ignore[arg-type]
    assert values(stores) == [3, None]
    assert len(set(runs)) == 3


async def test_a_stale_holder_changes_nothing() -> None:
    stores = native()
    async with TransactionManager(MemoryDecisions(), stores) as tm:
        for fence in (5, 6):
            async with tm.transaction() as tx:
                tx.guard(SimpleNamespace(name="report", fence=fence))
                await tx["east"].put("key", fence)
        tx = tm.transaction()
        async with tx:
            tx.guard(SimpleNamespace(name="report", fence=5))
            await tx["east"].put("key", 7)
            with pytest.raises(Aborted, match="fence 6 has already written"):
                await tx.commit()
    assert values(stores) == [6, None]


async def test_recovery_goes_on_in_the_background() -> None:
    decisions = MemoryDecisions()
    decisions.begin_epoch("main")
    decisions.put_if_absent("main.1.1", Outcome.COMMITTED)
    stores = native()
    resolved: asyncio.Queue[str] = asyncio.Queue()

    def seen(recovery: Recovery) -> None:
        for branch in recovery:
            resolved.put_nowait(str(branch))

    def prepare(gid: str) -> None:
        stores["east"].inner.begin(gid).put("key", 1)
        stores["east"].inner.prepare(gid)

    prepare("main.1.1")
    async with TransactionManager(decisions, stores) as tm, tm.recover_forever(0.01, seen) as worker:
        assert await asyncio.wait_for(resolved.get(), PATIENCE) == "main.1.1 committed on east"
        prepare("main.1.2")
        assert await asyncio.wait_for(resolved.get(), PATIENCE) == "main.1.2 aborted on east"
        await worker.stop()
        assert worker.error is None
        assert worker.rounds >= 1
    assert values(stores) == [1, None]


async def test_recovering_another_name_does_not_fence_off_who_runs_under_the_own_one() -> None:
    stores, decisions = native(), MemoryDecisions()
    async with TransactionManager(decisions, stores) as tm:
        async with tm.transaction() as tx:
            await tx["east"].put("key", 1)
            async with TransactionManager(decisions, native()) as command:
                assert (await command.recover("other")).resolved == []
            await tx["west"].put("key", 1)
        assert decisions.epoch("other") == decisions.epoch("main") == 1
    assert values(stores) == [1, 1]


async def test_a_store_that_cannot_be_closed_keeps_no_other_open() -> None:
    closed: list[str] = []

    class Decisions(MemoryDecisions):
        def close(self) -> None:
            closed.append("decisions")

    class Closing(Native):
        async def close(self) -> None:
            closed.append("east" if self is stores["east"] else "west")
            raise StoreError("gone")

    stores: dict[str, Any] = {name: Closing() for name in NAMES}
    tm = TransactionManager(Decisions(), stores)
    with pytest.raises(StoreError, match="gone"):
        await tm.close()
    assert closed == ["east", "west", "decisions"]
    await tm.close()


async def test_errors_that_nobody_expected_end_no_recovery() -> None:
    stores = native()
    failures = [ZeroDivisionError("a bug")]
    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: reported.append(str(context["exception"]))
    )
    recover = stores["east"].recover

    async def faulty(prefix: str = "") -> Any:
        if failures:
            raise failures.pop()
        return await recover(prefix)

    def seen(_: Recovery) -> None:
        raise ZeroDivisionError("in seen")

    stores["east"].recover = faulty
    async with TransactionManager(MemoryDecisions(), stores) as tm:
        worker = tm.recover_forever(0.01, seen)
        async with asyncio.timeout(PATIENCE):
            while worker.rounds < 3:
                await asyncio.sleep(0.01)
        await worker.stop()
        assert str(worker.error) == "in seen"
    assert reported[:3] == ["a bug", "in seen", "in seen"]


async def test_decisions_that_wait_for_a_branch_do_not_keep_it_from_ending(tmp_path: Path) -> None:
    file = f"sqlite:///{tmp_path}/both.db"
    async with TransactionManager(file, {"east": file}, timeout=PATIENCE) as tm:
        async with tm.transaction() as tx:
            await tx["east"].execute("CREATE TABLE account (balance)")
            decisions = [
                asyncio.ensure_future(tm.decisions.put_if_absent(f"main.1.{number}", Outcome.ABORTED))
                for number in range(10, 20)
            ]
            await asyncio.sleep(0)
            await tx["east"].execute("INSERT INTO account VALUES (100)")
        assert await asyncio.gather(*decisions) == [Outcome.ABORTED] * 10


async def test_why_a_round_failed_is_said_and_closing_stops_it() -> None:
    decisions = MemoryDecisions()

    def unreachable(_: str) -> int:
        raise StoreError("gone")

    decisions.begin_epoch = unreachable  # type: ignore[method-assign, assignment]
    tm = TransactionManager(decisions, native())
    worker = tm.recover_forever(PATIENCE)
    while not worker.rounds:
        await asyncio.sleep(0.01)
    assert str(worker.error) == "gone"
    await tm.close()
    assert worker.rounds == 1


async def test_heuristic_outcomes_are_kept_until_forgotten() -> None:
    decisions = MemoryDecisions()
    decisions.report("main.1.1", "east", "rolled back by hand")
    async with TransactionManager(decisions, native()) as tm:
        assert await tm.heuristics() == [Heuristic("main.1.1", "east", "rolled back by hand")]
        assert [await tm.forget("main.1.1"), await tm.forget("main.1.1")] == [True, False]


async def test_two_files_of_which_one_decides(tmp_path: Path) -> None:
    for name in NAMES:
        with closing(sqlite3.connect(tmp_path / f"{name}.db")) as connection:
            connection.execute("CREATE TABLE account (balance)")
            connection.execute("INSERT INTO account VALUES (100)")
            connection.commit()
    urls = {name: f"sqlite:///{tmp_path}/{name}.db" for name in NAMES}
    async with TransactionManager(None, urls) as tm:
        async with tm.transaction() as tx:
            for name, change in (("east", -10), ("west", 10)):
                await tx[name].execute("UPDATE account SET balance = balance + ?", (change,))
        assert await tm.outcome(tx.gid) == "committed"
        assert (await tm.recover()).resolved == []
    with closing(sqlite3.connect(tmp_path / "east.db")) as connection:
        assert connection.execute("SELECT * FROM ringfence_decision").fetchall() == [(tx.gid, "committed")]
        assert connection.execute("SELECT * FROM account").fetchall() == [(90,)]
