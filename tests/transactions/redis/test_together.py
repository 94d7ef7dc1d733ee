"""Redis participants under a manager: with leases, for tasks, and with processes and servers that are killed."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from ringfence import LockManager, aio
from ringfence.errors import Aborted, StoreTimeout
from ringfence.locks.guards import RedisGuard
from ringfence.testing.servers import resp
from ringfence.testing.servers.redis import Redis
from ringfence.transactions import TransactionManager
from ringfence.transactions.participants.redis import RedisParticipant

pytestmark = pytest.mark.servers

PATIENCE = 60.0


@pytest.fixture(scope="module")
def started() -> Iterator[Redis]:
    with Redis(durable=True) as server:
        yield server


@pytest.fixture
def server(started: Redis) -> Redis:
    started.start()
    resp.ask(started.port, "FLUSHALL")
    return started


@pytest.fixture
def stores(server: Redis) -> dict[str, str]:
    base = server.url.removesuffix("/0")
    return {"east": f"{base}/0", "west": f"{base}/1"}


def values(server: Redis, stores: dict[str, str]) -> list[int]:
    found = []
    for url in stores.values():
        with closing(RedisParticipant(url, timeout=PATIENCE)) as participant:
            found.append(int(participant.begin("reader.1.1").get("x") or 0))
            participant.rollback("reader.1.1")
    return found


def test_a_lease_that_was_overtaken_commits_nowhere(
    server: Redis, stores: dict[str, str], tmp_path: Path
) -> None:
    with (
        LockManager.from_url(server.url) as locks,
        TransactionManager(f"sqlite:///{tmp_path}/decisions.db", stores) as manager,
    ):

        def write(lease: Any, value: int) -> None:
            with manager.transaction() as tx:
                tx.guard(lease)
                for name in stores:
                    tx[name].set("x", value)

        first = locks.lock("x").acquire()
        assert first is not None
        first.release()
        with locks.lock("x") as second:
            write(second, 2)
        with pytest.raises(Aborted):
            write(first, 1)
    assert values(server, stores) == [2, 2]


def test_a_guarded_write_waits_for_prepared_work_under_an_older_fence(server: Redis) -> None:
    """The prepared work must be carried out if that was decided, and then not over what a newer holder has written."""
    participant = RedisParticipant(server.url, timeout=PATIENCE)
    with closing(participant), RedisGuard(server.url, "report", timeout=PATIENCE) as guard:
        participant.begin("main.1.1").set("x", "older")
        participant.guard("main.1.1", "report", 5)
        participant.prepare("main.1.1")
        impatient = RedisGuard(server.url, "report", timeout=0.05)
        with impatient, pytest.raises(StoreTimeout, match=r"main\.1\.1"):
            write(impatient, 6)
        write(guard, 5)  # the same holder's
        with ThreadPoolExecutor(1) as pool:
            newer = pool.submit(write, guard, 6)
            time.sleep(0.05)
            assert not newer.done()
            participant.commit("main.1.1")
            newer.result(PATIENCE)
    assert resp.ask(server.port, "GET", "x") == b"6"


def write(guard: RedisGuard, fence: int) -> None:
    with guard.write(fence) as commands:
        commands.set("x", fence)


async def test_tasks_do_the_same(server: Redis, stores: dict[str, str], tmp_path: Path) -> None:
    async with aio.TransactionManager(f"sqlite:///{tmp_path}/decisions.db", stores) as manager:
        async with manager.transaction() as tx:
            assert await tx["east"].incrby("x", 3) == 3
            await tx["west"].set("x", 4)
        given_up = manager.transaction()
        async with given_up as tx:
            await tx["east"].set("x", 5)
            await tx.rollback()
        assert await manager.outcome(given_up.gid) == "aborted"
    assert values(server, stores) == [3, 4]


def test_those_who_come_second_run_again(server: Redis, stores: dict[str, str], tmp_path: Path) -> None:
    """A transaction that another one overtook is retryable, and `run` does it again."""
    with TransactionManager(f"sqlite:///{tmp_path}/decisions.db", stores) as manager:
        tries: list[int] = []

        def work(tx: Any) -> None:
            found = int(tx["east"].get("x") or 0)
            if not tries:
                resp.ask(server.port, "SET", "x", "10")
            tries.append(found)
            tx["east"].set("x", found + 1)
            tx["west"].set("x", found + 1)

        manager.run(work)
    assert tries == [0, 10]
    assert values(server, stores) == [11, 11]


TRANSFERS = """
import sys
from ringfence import TransactionManager
decisions, east, west = sys.argv[1:]
manager = TransactionManager(decisions, {"east": east, "west": west}, timeout=30.0)
manager.recover()
print("ready", flush=True)
while True:
    with manager.transaction() as tx:
        tx["east"].incrby("x", -1)
        tx["west"].incrby("x", 1)
    print("done", flush=True)
"""


@pytest.mark.parametrize("lives", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_again_and_again_it_moves_all_or_nothing(
    server: Redis, stores: dict[str, str], tmp_path: Path, lives: int
) -> None:
    """The process is killed at any moment, and every second time the server too; each life begins with recovery."""
    seeded = random.Random(7)
    decisions = f"sqlite:///{tmp_path}/decisions.db"
    acknowledged = 0
    for life in range(lives):
        acknowledged += live(decisions, stores, seeded)
        if life % 2:
            server.kill()
            server.start()
    with TransactionManager(decisions, stores, timeout=PATIENCE) as successor:
        assert successor.recover().unresolved == []
        assert len(successor.recover()) == 0
    east, west = values(server, stores)
    assert east == -west
    assert acknowledged <= west <= acknowledged + lives
    left = [resp.ask(server.port, "EXISTS", f"ringfence:{{txn}}:{kind}") for kind in ("prepared", "held")]
    assert left == [0, 0]


def live(decisions: str, stores: dict[str, str], seeded: random.Random) -> int:
    """Let a process make transfers until it is killed; return how many it has acknowledged."""
    command = [sys.executable, "-c", TRANSFERS, decisions, *stores.values()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        assert process.stdout.readline() == b"done\n"
        time.sleep(seeded.uniform(0, 0.1))
    finally:
        process.kill()
        process.wait(PATIENCE)
    with process.stdout, suppress(ValueError):
        return 1 + process.stdout.read().count(b"done\n")
    raise AssertionError("nothing can be read of it")
