"""etcd passes the suite of lock stores, and its fences go on upward with and without its disk."""

import itertools
import time
from collections.abc import Sequence

import pytest

from ringfence._etcd import Etcd as Client
from ringfence.locks.stores import LockStore
from ringfence.locks.stores.etcd.store import EtcdStore
from ringfence.testing.lock_store import LockStoreSuite
from ringfence.testing.servers import Server
from ringfence.testing.servers.etcd import Etcd
from ringfence.testing.servers.fixtures import PrivateServers
from ringfence.testing.shared_lock import SharedLockSuite
from ringfence.testing.store_suite import take_and_free

PATIENCE = 60.0
PREFIXES = itertools.count()


class Noting(Client):
    """A client that notes when each lease ends which it was given or has extended."""

    ends: dict[int, float]
    lengths: dict[int, int]

    def grant(self, seconds: int) -> int:
        lease = super().grant(seconds)
        self.lengths[lease] = seconds
        self.ends[lease] = time.monotonic() + seconds
        return lease

    def keep_alive(self, lease: int) -> bool:
        return self.keep_all([lease])[lease]

    def keep_all(self, leases: Sequence[int]) -> dict[int, bool]:
        alive = super().keep_all(leases)
        self.ends.update({lease: time.monotonic() + self.lengths[lease] for lease in leases})
        return alive

    def wait_for_ends(self) -> None:
        """Return when etcd has ended every lease whose time is over, up to a second late."""
        until = time.monotonic() + PATIENCE
        for lease, end in list(self.ends.items()):
            while end <= time.monotonic() and self.remaining(lease) >= 0:
                assert time.monotonic() < until, "a lease does not end"
                time.sleep(0.02)


class TestEtcd(SharedLockSuite, LockStoreSuite):
    """A lease lasts for a second at least."""

    ttl = 1.0
    rounds = 1

    @pytest.fixture(autouse=True)
    def _server(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server: Server
        if request.node.name.endswith("after_a_restart"):
            private: PrivateServers = request.getfixturevalue("private_server")
            self.server = private(Etcd())
        else:
            self.server = request.getfixturevalue("etcd_server")
        monkeypatch.setattr("ringfence.locks.stores.etcd.store.Etcd", Noting)
        monkeypatch.setattr(Noting, "ends", {}, raising=False)
        monkeypatch.setattr(Noting, "lengths", {}, raising=False)

    def open(self) -> LockStore:
        return EtcdStore(f"{self.server.url}/conformance{next(PREFIXES)}", timeout=PATIENCE)

    def restart(self, store: LockStore) -> LockStore:
        self.server.restart(keep_disk=False)
        return store

    def wait(self, seconds: float) -> None:
        super().wait(seconds)
        client = Noting([self.server.url.replace("etcd", "http")])
        client.wait_for_ends()
        client.close()

    # Those that let a place end, and not another one, need seconds between the two.

    @pytest.mark.slow
    def test_a_waiter_that_died_is_skipped(self) -> None:
        self.ttl = 3.0
        super().test_a_waiter_that_died_is_skipped()

    @pytest.mark.slow
    def test_a_waiter_that_asks_again_is_not_taken_for_dead(self) -> None:
        self.ttl = 3.0
        super().test_a_waiter_that_asks_again_is_not_taken_for_dead()

    @pytest.mark.slow
    def test_those_who_wait_are_named_in_their_order(self) -> None:
        self.ttl = 3.0
        super().test_those_who_wait_are_named_in_their_order()

    @pytest.mark.slow
    def test_a_writer_that_died_in_the_queue_is_skipped(self) -> None:
        self.ttl = 3.0
        super().test_a_writer_that_died_in_the_queue_is_skipped()


def test_fences_go_on_upward_when_the_disk_is_kept(private_server: PrivateServers) -> None:
    server = private_server(Etcd())
    store = EtcdStore(server.url)
    first = take_and_free(store, "x")
    server.restart()
    assert take_and_free(store, "x") > first
    store.close()
