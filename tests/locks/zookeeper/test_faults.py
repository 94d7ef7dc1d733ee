"""Processes and servers that are killed, stopped and restarted, sessions that end, and connections that fail."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import kazoo.client
import pytest

from ringfence.aio import LockManager as AioLockManager
from ringfence.errors import InvalidValue, LeaseLost, OutcomeUnknown, StoreTimeout
from ringfence.locks.lease import Lease
from ringfence.locks.manager import LockManager
from ringfence.locks.stores import Shared
from ringfence.locks.stores.zookeeper.store import ZooKeeperStore
from ringfence.testing.proxy import TO_CLIENT, TO_SERVER, Proxy
from ringfence.testing.servers.zookeeper import ZooKeeper
from tests.locks.forks import check_that_a_child_leaves_all_to_its_parent

SPAWN = multiprocessing.get_context("spawn")
PATIENCE = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[ZooKeeper]:
    with ZooKeeper() as started:
        yield started


@pytest.fixture
def base(server: ZooKeeper, request: pytest.FixtureRequest) -> str:
    """A place of its own for each test, in a session that lasts however slow the machine is."""
    return f"{server.url}/{abs(hash(request.node.nodeid))}?session=200"


def short(url: str, seconds: float) -> str:
    """The same place in a session that ends soon."""
    return url.replace("session=200", f"session={seconds}")


@pytest.fixture
def proxy(server: ZooKeeper) -> Iterator[Proxy]:
    with Proxy(server.port) as opened:
        yield opened


@pytest.fixture
def through(base: str, server: ZooKeeper, proxy: Proxy) -> str:
    """The same place by way of the proxy."""
    return base.replace(f":{server.port}", f":{proxy.port}")


class Waiter:
    """A thread that waits for a lock, and gives it back."""

    def __init__(self, manager: LockManager, name: str = "x") -> None:
        self.lease: Lease | None = None
        self._store = manager._session.store
        self._lock = manager.lock(name, ttl=2.0)  # fits into the shortest session of these tests
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        wait_until(lambda: self._store.status(name).waiting)

    def _work(self) -> None:
        self.lease = self._lock.acquire(timeout=PATIENCE)
        if self.lease is not None:
            self.lease.release()

    def granted(self) -> Lease:
        """Return the lease it had."""
        self._thread.join(PATIENCE)
        assert self.lease is not None, "the waiter was forgotten"
        return self.lease


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def taken(lease: Lease | None) -> Lease:
    assert lease is not None
    return lease


def store_of(manager: LockManager) -> ZooKeeperStore:
    store = manager._session.store
    assert isinstance(store, ZooKeeperStore)
    return store


def expire(manager: LockManager) -> None:
    """End the session of a manager from outside, as the servers do with a process they cannot hear."""
    session = store_of(manager)._client.connected()
    hosts = ",".join(f"{host}:{port}" for host, port in session.hosts)
    other = kazoo.client.KazooClient(hosts, client_id=session.client_id, timeout=session.agreed)
    other.start(PATIENCE)
    other.stop()
    other.close()


def children(server: ZooKeeper, base: str, name: str = "x") -> list[str]:
    """The nodes of a lock as another client sees them."""
    client = kazoo.client.KazooClient(f"{server.host}:{server.port}")
    client.start(PATIENCE)
    try:
        return list(client.get_children(f"/{base.rpartition('/')[2].partition('?')[0]}/locks/{name}"))
    finally:
        client.stop()
        client.close()


def hold(url: str, held: Any) -> None:
    with LockManager.from_url(url) as manager, manager.lock("x", ttl=1.0) as lease:
        held.put(lease.fence)
        time.sleep(PATIENCE)


@contextmanager
def holding_process(url: str) -> Iterator[tuple[Any, int]]:
    """A process that holds the lock, and the fence of its lease."""
    held = SPAWN.Queue()
    process = SPAWN.Process(target=hold, args=(url, held), daemon=True)
    process.start()
    try:
        yield process, held.get(timeout=PATIENCE)
    finally:
        process.kill()
        process.join(PATIENCE)


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_the_lock_of_a_process_that_fell_silent_goes_to_the_next_with_its_session(
    base: str, blow: signal.Signals
) -> None:
    with LockManager.from_url(base) as manager, holding_process(short(base, 2)) as (process, fence):
        waiter = Waiter(manager)
        os.kill(process.pid, blow)
        struck = time.monotonic()
        assert waiter.granted().fence > fence
        assert time.monotonic() - struck < 2.0 + 30.0  # its session, and what a slow machine takes


def test_a_lost_session_loses_the_lease_at_once_and_the_next_one_has_it(base: str) -> None:
    with LockManager.from_url(base) as manager, LockManager.from_url(base) as other:
        lease = taken(manager.lock("x", ttl=60).acquire())
        waiter = Waiter(other)
        lost = threading.Event()
        lease.on_lost(lambda _: lost.set())
        expire(manager)
        assert lost.wait(PATIENCE)
        with pytest.raises(LeaseLost):
            lease.check()
        assert waiter.granted().fence > lease.fence
        assert lease.release() is False
        with manager.lock("x") as later:  # in a new session
            assert later.fence > lease.fence


def test_a_waiter_whose_session_was_lost_takes_a_place_in_the_new_one(base: str) -> None:
    with LockManager.from_url(base) as manager, LockManager.from_url(base) as other:
        lease = taken(manager.lock("x", ttl=60).acquire())
        waiter = Waiter(other)
        expire(other)
        wait_until(lambda: manager._session.store.status("x").waiting)
        assert lease.release() is True
        assert waiter.granted().fence > lease.fence


def test_a_node_of_a_lost_session_that_is_still_there_is_not_taken_for_the_new_one(base: str) -> None:
    """Its fence is the smaller one, and others may stand between the two."""
    with closing(ZooKeeperStore(base)) as store, closing(ZooKeeperStore(base)) as other:
        old = store.grant("x", "a", 60.0)
        assert other.grant("x", "b", 60.0, True) is None
        abandoned = store._client._client
        abandoned.remove_listener(store._client._heard)
        store._client._client = None  # as when it could not be reached for longer than the session
        store._lost()
        assert store.grant("x", "a", 60.0, True) is None
        abandoned.stop()
        abandoned.close()
        wait_until(lambda: (holder := other.status("x").holder) and holder.owner == "b")
        between = other.grant("x", "b", 60.0, True)
        assert between is not None
        other.release("x", "b", between)
        new = store.grant("x", "a", 60.0, True)
        assert old is not None
        assert new is not None
        assert old < between < new


def test_permits_are_lost_with_the_session_and_waiters_are_called(base: str) -> None:
    permits = Shared("x", 1, 2)
    with LockManager.from_url(base) as manager, closing(ZooKeeperStore(base)) as other:
        store = store_of(manager)
        first, second = (store.grant(permits, owner, 60.0) for owner in "ab")
        assert first is not None
        assert second is not None
        assert other.grant(permits, "c", 60.0, True) is None
        threading.Timer(0.2, expire, [manager]).start()
        assert other.wait(permits, "c", PATIENCE) is None
        third = other.grant(permits, "c", 60.0, True)
        assert third is not None
        assert first < second < third
        wait_until(store._client.while_connected)
        assert store.release(permits, "a", first) is False


def test_a_grant_whose_reply_is_lost_is_found_by_its_name(
    server: ZooKeeper, base: str, through: str, proxy: Proxy
) -> None:
    with LockManager.from_url(through) as manager:
        with manager.lock("x"):
            pass
        proxy.lose_reply()
        with manager.lock("x") as lease:
            assert len(children(server, base)) == 1
            assert [holder.fence for holder in manager.leases()] == [lease.fence]
        assert children(server, base) == []


@pytest.mark.parametrize("way", [TO_SERVER, TO_CLIENT])
def test_cut_after_every_byte_there_is_one_holder_and_nothing_stays(
    server: ZooKeeper, base: str, through: str, proxy: Proxy, way: Any
) -> None:
    """A connection that breaks within a request, or within its reply."""
    fence = 0
    with LockManager.from_url(through) as manager:
        for count in (1, 5, 30, 60, 90, 120, 150, 200, 300):
            lock = manager.lock("x")
            with lock:
                pass
            proxy.cut_after(count, way)
            with lock as lease:
                assert lease.fence > fence
                fence = lease.fence
                assert len(children(server, base)) == 1
        assert children(server, base) == []


def test_a_release_whose_reply_is_lost_freed_the_lock(through: str, proxy: Proxy) -> None:
    with LockManager.from_url(through) as manager:
        lease = taken(manager.lock("x", ttl=60).acquire())
        proxy.lose_reply()
        assert lease.release() is True
        wait_until(lambda: store_of(manager)._client.while_connected())
        assert manager.leases() == []


@pytest.mark.parametrize("fault", ["cut", "reset", "half_open"])
def test_a_waiter_whose_connection_breaks_keeps_its_place(
    base: str, through: str, proxy: Proxy, fault: str
) -> None:
    with LockManager.from_url(base) as holder, LockManager.from_url(short(through, 4)) as manager:
        lease = taken(holder.lock("x", ttl=60).acquire())
        waiter = Waiter(manager)
        [place] = holder._session.store.status("x").waiting
        getattr(proxy, fault)()
        assert holder._session.store.status("x").waiting == (place,)
        lease.release()
        assert waiter.granted().fence > lease.fence


def test_a_slow_connection_holds_nothing_up_but_itself(base: str, through: str, proxy: Proxy) -> None:
    with LockManager.from_url(base) as quick, LockManager.from_url(through) as slow:
        with slow.lock("y"):
            pass
        proxy.latency(0.2)
        lease = taken(quick.lock("x", ttl=60).acquire())
        waiter = Waiter(slow)
        lease.release()
        assert waiter.granted().fence > lease.fence


def test_a_holder_that_is_cut_off_is_told_at_its_deadline(through: str, base: str, proxy: Proxy) -> None:
    with LockManager.from_url(short(through, 3)) as manager, LockManager.from_url(base) as other:
        lease = taken(manager.lock("x", ttl=1.0).acquire())
        ended: list[float] = []
        lease.on_lost(lambda _: ended.append(time.monotonic()))
        waiter = Waiter(other)
        proxy.hold()
        try:
            later = waiter.granted()
            assert not lease.valid
            wait_until(lambda: ended)
        finally:
            proxy.flow()
        assert later.fence > lease.fence


def test_nothing_is_sent_while_there_is_no_connection(through: str, proxy: Proxy) -> None:
    with closing(ZooKeeperStore(through)) as store:
        fence = store.grant("x", "me", 60.0)
        proxy.refuse()
        proxy.reset()
        wait_until(lambda: store._client.while_connected() is None)
        with pytest.raises(StoreTimeout):
            store.grant("y", "me", 60.0)
        proxy.accept()
        wait_until(store._client.while_connected)
        assert store.grant("x", "me", 60.0) == fence


def test_a_server_restarted_with_its_disk_knows_the_holder_and_the_waiter(
    server: ZooKeeper, base: str
) -> None:
    with LockManager.from_url(base) as holder, LockManager.from_url(base) as manager:
        lease = taken(holder.lock("x", ttl=60).acquire())
        waiter = Waiter(manager)
        server.kill()
        server.start()
        wait_until(lambda: store_of(holder)._client.while_connected())
        lease.extend()
        assert lease.release() is True
        assert waiter.granted().fence > lease.fence


def test_servers_that_lost_their_disk_are_entered_anew(private_server: Any) -> None:
    """They do not let in a session that has seen more than they have, and never tell it that it is over."""
    server = private_server(ZooKeeper())
    with LockManager.from_url(f"{server.url}?session=6") as manager:
        lease = taken(manager.lock("x", ttl=3.0).acquire())
        server.restart(keep_disk=False)
        later = taken(manager.lock("x", ttl=3.0).acquire(timeout=PATIENCE))
        assert not lease.valid
        assert later.release() is True


def test_a_stopped_server_is_unknown_and_then_there_again(server: ZooKeeper, base: str) -> None:
    with closing(ZooKeeperStore(base)) as store:
        fence = store.grant("x", "me", 60.0)
        server.pause()
        try:
            with pytest.raises((OutcomeUnknown, StoreTimeout)):
                store.grant("y", "me", 60.0)
        finally:
            server.resume()
        wait_until(store._client.while_connected)
        assert again(store, "x", "me") == fence
        assert again(store, "y", "me") is not None


def again(store: ZooKeeperStore, name: str, owner: str) -> int | None:
    """Ask until there is an answer."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            return store.grant(name, owner, 60.0)
        except (OutcomeUnknown, StoreTimeout):
            time.sleep(0.05)
    raise AssertionError("the store does not come back")


def test_a_forked_child_leaves_the_session_to_its_parent(base: str) -> None:
    check_that_a_child_leaves_all_to_its_parent(base)


def test_another_process_may_break_a_lock_and_nobody_else(base: str) -> None:
    with LockManager.from_url(base) as manager, closing(ZooKeeperStore(base)) as other:
        lease = taken(manager.lock("x", ttl=60).acquire())
        assert other.release("x", lease.owner, lease.fence + 32) is False
        assert other.release("x", "somebody", lease.fence) is False
        assert other.release("x", lease.owner, lease.fence) is True
        with pytest.raises(LeaseLost):
            lease.extend()


async def test_tasks_hold_wait_and_lose(base: str) -> None:
    async with AioLockManager.from_url(base) as manager:
        async with manager.lock("x") as lease:
            assert await manager.lock("x").acquire(timeout=0.1) is None
        async with manager.lock("x") as later:
            assert later.fence > lease.fence


def test_servers_that_allow_only_shorter_sessions_refuse_longer_leases() -> None:
    with ZooKeeper(longest=4000) as server, closing(ZooKeeperStore(f"{server.url}?session=30")) as store:
        assert store.grant("x", "me", 2.0) is not None
        with pytest.raises(InvalidValue, match="maxSessionTimeout"):
            store.grant("y", "me", 20.0)
