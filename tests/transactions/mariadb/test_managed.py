"""Transactions over databases of MariaDB, as applications run them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import pymysql
import pytest

from ringfence import TransactionManager, aio
from ringfence.errors import Aborted
from ringfence.testing.proxy import Proxy
from ringfence.transactions import Outcome, Transaction
from ringfence.transactions.participants.mariadb import AsyncMariaParticipant

from .databases import Databases, name_of, put

Urls = dict[str, str]


@pytest.fixture
def urls(databases: Databases) -> Urls:
    return {"east": databases.new(), "west": databases.new()}


@pytest.fixture
def tm(urls: Urls) -> Iterator[TransactionManager]:
    with TransactionManager(None, urls, timeout=5) as opened:
        yield opened


def values(databases: Databases, urls: Urls) -> list[int | None]:
    return [databases.value(url) for url in urls.values()]


def test_a_transaction_happens_in_both_or_in_none(
    databases: Databases, urls: Urls, tm: TransactionManager
) -> None:
    with tm.transaction() as tx:
        for name in urls:
            put(tx[name], 1)
    assert values(databases, urls) == [1, 1]
    assert tm.outcome(tx.gid) is Outcome.COMMITTED

    def fail(tx: Transaction) -> None:
        for name in urls:
            put(tx[name], 2)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        tm.run(fail)
    assert values(databases, urls) == [1, 1]
    assert databases.prepared() == []


def test_a_swallowed_error_aborts_in_both(databases: Databases, urls: Urls, tm: TransactionManager) -> None:
    for failing in urls:

        def swallow(tx: Transaction, failing: str = failing) -> None:
            for name in urls:
                put(tx[name], 1)
            with suppress(pymysql.Error):
                tx[failing].execute("INSERT INTO item VALUES (1, 2)")

        with pytest.raises(Aborted, match="a statement failed"):
            tm.run(swallow)
        assert values(databases, urls) == [None, None]


@pytest.mark.parametrize(("decisions", "messages"), [("memory://messages", 6), (None, 5)])
def test_how_many_messages_a_transaction_takes(
    databases: Databases, proxy: Proxy, decisions: str | None, messages: int
) -> None:
    """Two for the statements, two to prepare, two to commit; less one when a commit carries the decision."""
    urls = {name: databases.new(proxy.port) for name in ("east", "west")}
    with TransactionManager(decisions, urls, timeout=5) as tm:
        counted = []
        for value in range(5):
            before = proxy.replies
            with tm.transaction() as tx:
                for name in urls:
                    put(tx[name], value)
            counted.append(proxy.replies - before)
        assert min(counted) == messages
    assert values(databases, urls) == [4, 4]


def test_a_successor_ends_what_was_left_as_was_decided(databases: Databases, urls: Urls) -> None:
    """Its sessions are alive, and are ended first."""
    with TransactionManager(urls["east"], urls, timeout=5) as dead:
        dead.recover()
        for seq, outcome in ((7, None), (8, Outcome.COMMITTED)):
            gid = f"main.1.{seq}"
            for name in urls:
                put(dead.participants[name].begin(gid), seq, seq)
                dead.participants[name].prepare(gid)
            if outcome is not None:
                dead.decisions.put_if_absent(gid, outcome)
        with TransactionManager(urls["east"], urls, timeout=5) as successor:
            recovery = successor.recover()
            assert (recovery.aborted, recovery.committed, recovery.unresolved) == (2, 2, [])
            assert len(successor.recover()) == 0
    for url in urls.values():
        assert (databases.value(url, 7), databases.value(url, 8)) == (None, 8)
    assert databases.prepared() == []


async def test_asyncio_speaks_to_mariadb_itself(databases: Databases) -> None:
    urls = {name: databases.new() for name in ("east", "west")}
    async with aio.TransactionManager(None, urls, timeout=5) as tm:
        assert all(isinstance(tm.participants[name], AsyncMariaParticipant) for name in urls)

        async def transfer(number: int) -> None:
            async with tm.transaction() as tx:
                for name in urls:
                    await tx[name].execute("REPLACE INTO item VALUES (%s, %s)", (number, 1))

        await asyncio.gather(*map(transfer, range(1, 6)))
        assert values(databases, urls) == [1, 1]
        assert databases.ask(name_of(urls["west"]), "SELECT COUNT(*) FROM item") == [(5,)]
        assert databases.prepared() == []


async def test_a_task_that_is_cancelled_leaves_nothing(databases: Databases) -> None:
    url = databases.new()
    async with aio.TransactionManager("memory://", {"east": url}, timeout=30) as tm:
        with databases.connect(name_of(url)) as connection, connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("INSERT INTO item VALUES (1, 1)")

            async def wait_for_it() -> None:
                async with tm.transaction() as tx:
                    await tx["east"].execute("INSERT INTO item VALUES (2, 2)")
                    await tx["east"].execute("UPDATE item SET value = 3 WHERE id = 1")

            task = asyncio.ensure_future(wait_for_it())
            await asyncio.sleep(0.3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            cursor.execute("COMMIT")
        async with tm.transaction() as tx:
            await tx["east"].execute("INSERT INTO item VALUES (2, 4)")
    assert (databases.value(url), databases.value(url, 2)) == (1, 4)
