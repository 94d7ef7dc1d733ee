"""Locks in a private etcd, beside etcd3gw's `Lock` (tooz's) and the same three requests on a bare connection."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import etcd3gw
import pytest

from benchmarks.test_locks_redis import Make, Note, compare, contended, cycles, ours
from ringfence._etcd import Request
from ringfence.locks.manager import LockManager
from ringfence.locks.stores import Claim
from ringfence.locks.stores.etcd import requests
from ringfence.locks.stores.etcd.places import Place, folder
from ringfence.locks.stores.etcd.store import EtcdStore
from ringfence.testing.servers.etcd import Etcd

CYCLES = 40  # as `cycles` makes
LEASES = 1000
TTL = 30.0
RUNS = 3
PATIENCE = 120.0


@pytest.fixture(scope="module")
def server() -> Iterator[Etcd]:
    with Etcd() as started:
        yield started


@pytest.fixture
def manager(server: Etcd) -> Iterator[LockManager]:
    with LockManager.from_url(server.url) as opened:
        yield opened


def port(url: str) -> int:
    return int(url.rpartition(":")[2])


def test_a_cycle_beside_etcd3gw(race: Any, server: Etcd, manager: LockManager) -> None:
    client = etcd3gw.client(host=server.host, port=server.port)

    def peer() -> None:
        for _ in range(CYCLES):
            lock = client.lock("peer", ttl=10)
            assert lock.acquire()
            lock.release()

    what = "etcd:// lock, acquire and release, beside etcd3gw's Lock"
    race(what, cycles(manager.lock("x")), peer, operations=CYCLES, at_least=1.0, rounds=20)
    client.session.close()


def test_a_cycle_beside_its_requests_on_a_connection(race: Any, server: Etcd, manager: LockManager) -> None:
    work = cycles(manager.lock("x"))
    work()  # from now on the server knows what fences count from
    connection = http.client.HTTPConnection(server.host, server.port)

    def ask(request: Request) -> Any:
        connection.request("POST", f"/v3/{request.path}", json.dumps(request.body))
        return json.loads(connection.getresponse().read())

    def peer() -> None:
        where = folder("ringfence", "raw")
        for _ in range(CYCLES):
            lease = ask(Request("lease/grant", {"TTL": "10"}))["ID"]
            place = Place(f"{where}me", int(lease), 10, 1, 1)
            assert ask(requests.enter("ringfence/origin", where, place, None))["succeeded"]
            ask(Request("lease/revoke", {"ID": lease}))

    what = "etcd:// lock, acquire and release, beside its requests on a connection"
    race(what, work, peer, operations=CYCLES, at_most=2.0, rounds=20)
    connection.close()


def of_etcd3gw(url: str) -> Make:
    client = etcd3gw.client(host="127.0.0.1", port=port(url))

    @contextmanager
    def locked() -> Iterator[None]:
        lock = client.lock("etcd3gw", ttl=10)
        while not lock.acquire():
            assert lock.lease is not None
            lock.lease.revoke()  # else each question leaves one behind
            time.sleep(0.01)
        try:
            yield
        finally:
            lock.release()

    return locked


@pytest.mark.parametrize("processes", [2, 8])
def test_processes_that_want_one_lock(note: Note, server: Etcd, processes: int) -> None:
    makers: dict[str, Callable[[str], Make]] = {"ours": ours, "etcd3gw": of_etcd3gw}
    runs: dict[str, list[tuple[float, ...]]] = {name: [] for name in makers}
    for _ in range(RUNS):
        for name, maker in makers.items():
            runs[name].append(contended(server.url, maker, processes))
    for number, what in enumerate(("turns", "hand-offs")):
        rates = {name: median(run[number] for run in found) for name, found in runs.items()}
        compare(note, f"etcd://, {processes} processes: {what} a second", rates, "etcd3gw", 1.0)


def test_renewing_many_leases(note: Note, server: Etcd) -> None:
    """Renewed each third of its ttl, so often each lease costs this process some of a core."""
    store = EtcdStore(server.url, timeout=PATIENCE)
    claims = []
    for number in range(LEASES):
        fence = store.grant(f"lease{number}", "me", TTL)
        assert fence is not None
        claims.append(Claim(f"lease{number}", "me", fence, TTL))
    start = time.process_time()
    assert all(store.renew(claims))
    share = (time.process_time() - start) / (TTL / 3)
    for claim in claims:
        store.release(*claim[:3])
    store.close()
    what = f"etcd://, {LEASES} leases held with a ttl of {TTL:.0f} s: of a core for the requests"
    note(what, f"{share:.1%}", "< 5%", share < 0.05)
