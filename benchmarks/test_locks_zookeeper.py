"""Locks in a private ZooKeeper, beside kazoo's own `Lock`."""

from collections.abc import Iterator
from statistics import median
from typing import Any

import pytest
from kazoo.client import KazooClient

from benchmarks.test_locks_redis import ROUNDS, Make, Note, compare, contended, cycles
from ringfence.locks.manager import LockManager
from ringfence.locks.stores import Claim
from ringfence.locks.stores.zookeeper.store import ZooKeeperStore
from ringfence.testing.servers.zookeeper import ZooKeeper

CYCLES = 40
LEASES = 2000


@pytest.fixture(scope="module")
def server() -> Iterator[ZooKeeper]:
    with ZooKeeper() as started:
        yield started


@pytest.fixture
def client(server: ZooKeeper) -> Iterator[Any]:
    opened = KazooClient(server.url.removeprefix("zookeeper://"))
    opened.start()
    yield opened
    opened.stop()
    opened.close()


def test_a_cycle_beside_kazoo(race: Any, server: ZooKeeper, client: Any) -> None:
    lock = client.Lock("/peer/x", "me")

    def peer() -> None:
        for _ in range(CYCLES):
            lock.acquire()
            lock.release()

    with LockManager.from_url(server.url) as manager:
        what = "zookeeper:// lock, acquire and release, beside kazoo's Lock"
        race(what, cycles(manager.lock("x")), peer, operations=CYCLES, at_least=1.2, rounds=30)


def ours(url: str) -> Make:
    lock = LockManager.from_url(url).lock("ours")
    return lambda: lock


def of_kazoo(url: str) -> Make:
    client = KazooClient(url.removeprefix("zookeeper://"))
    client.start()
    lock = client.Lock("/kazoo/x", "me")
    return lambda: lock


@pytest.mark.parametrize("processes", [2, 8])
def test_processes_that_want_one_lock(note: Note, server: ZooKeeper, processes: int) -> None:
    makers = {"ours": ours, "kazoo": of_kazoo}
    runs: dict[str, list[tuple[float, ...]]] = {name: [] for name in makers}
    for _ in range(ROUNDS):
        for name, maker in makers.items():
            runs[name].append(contended(server.url, maker, processes))
    handed = {name: median(run[1] for run in found) for name, found in runs.items()}
    compare(note, f"zookeeper://, {processes} processes: hand-offs a second", handed, "kazoo", 1.2)


def test_renewing_many_leases(race: Any, server: ZooKeeper) -> None:
    """One transaction for 500 of them; the time of one lease."""
    store = ZooKeeperStore(server.url)
    claims = []
    for number in range(LEASES):
        fence = store.grant(f"lease{number}", "me", 10.0)
        assert fence is not None
        claims.append(Claim(f"lease{number}", "me", fence, 10.0))
    try:
        what = "zookeeper:// renewal of a lease, of 2000 in a batch"
        race(what, lambda: store.renew(claims), operations=LEASES, at_most=100e-6, rounds=5)
    finally:
        store.close()
