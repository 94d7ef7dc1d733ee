"""Servers that are killed, stopped and restarted, and connections that are cut, deaf or lose replies."""

import multiprocessing
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from ringfence.aio import LockManager as AioLockManager
from ringfence.errors import BackendUnavailable, InvalidValue, OutcomeUnknown, StoreError, StoreTimeout
from ringfence.locks.lease import Lease
from ringfence.locks.manager import LockManager
from ringfence.locks.stores.redis.store import RedisStore
from ringfence.testing.proxy import TO_CLIENT, TO_SERVER, Direction, Proxy
from ringfence.testing.servers import resp
from ringfence.testing.servers.ports import free_ports
from ringfence.testing.servers.redis import Redis
from tests.locks.forks import check_that_a_child_leaves_all_to_its_parent

SPAWN = multiprocessing.get_context("spawn")
PATIENCE = 60.0


@pytest.fixture
def server() -> Iterator[Redis]:
    with Redis(durable=True) as started:
        yield started


@pytest.fixture
def proxy(server: Redis) -> Iterator[Proxy]:
    with Proxy(server.port) as opened:
        yield opened


@pytest.fixture
def url(proxy: Proxy) -> str:
    return f"redis://127.0.0.1:{proxy.port}/0"


class Waiter:
    """A thread that waits for a lock, and gives it back."""

    def __init__(self, manager: LockManager, name: str) -> None:
        self.lease: Lease | None = None
        self._manager = manager
        self._name = name
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        self.lease = self._manager.lock(self._name).acquire(timeout=PATIENCE)
        if self.lease is not None:
            self.lease.release()

    def wait_until_queued(self, server: Redis) -> None:
        """Return when it has its place in the queue."""
        deadline = time.monotonic() + PATIENCE
        while queue_length(server, self._name) == 0:
            assert time.monotonic() < deadline, "it does not wait"
            time.sleep(0.01)

    def granted(self) -> Lease:
        """Return the lease it had."""
        self._thread.join(PATIENCE)
        assert self.lease is not None, "the waiter was forgotten"
        return self.lease


def queue_length(server: Redis, name: str) -> int:
    return int(resp.ask(server.port, "LLEN", f"ringfence:{{{name}}}:queue"))


def taken(lease: Lease | None) -> Lease:
    assert lease is not None
    return lease


def test_a_grant_whose_reply_is_lost_is_asked_for_again(url: str, proxy: Proxy) -> None:
    with LockManager.from_url(url) as manager:
        with manager.lock("x"):
            pass
        proxy.lose_reply()
        with manager.lock("x") as lease:
            assert [holder.fence for holder in manager.leases()] == [lease.fence]


def test_a_release_whose_reply_is_lost_freed_the_lock(url: str, proxy: Proxy) -> None:
    with LockManager.from_url(url) as manager:
        with manager.lock("x"):
            pass
        lease = taken(manager.lock("x").acquire())
        proxy.lose_reply()
        assert lease.release() is True
        assert manager.leases() == []


def test_a_store_tells_an_unanswered_release_from_a_refused_one(url: str, proxy: Proxy) -> None:
    store = RedisStore(url, timeout=5.0)
    store.release("x", "nobody", 1)  # from now on the server knows the script
    fence = store.grant("x", "me", 30.0)
    assert fence is not None
    proxy.lose_reply()
    with pytest.raises(OutcomeUnknown):
        store.release("x", "me", fence)
    assert store.release("x", "me", fence) is False
    store.close()


@pytest.mark.parametrize("fault", ["cut", "reset"])
def test_a_waiter_whose_connection_breaks_keeps_waiting(
    server: Redis, url: str, proxy: Proxy, fault: str
) -> None:
    with LockManager.from_url(server.url) as holder, LockManager.from_url(url) as manager:
        lease = taken(holder.lock("x").acquire())
        waiter = Waiter(manager, "x")
        waiter.wait_until_queued(server)
        getattr(proxy, fault)()
        lease.release()
        assert waiter.granted().fence > lease.fence


def test_a_waiter_whose_connection_is_half_open_finds_out(server: Redis, url: str, proxy: Proxy) -> None:
    with LockManager.from_url(server.url) as holder, LockManager.from_url(url) as manager:
        lease = taken(holder.lock("x").acquire())
        waiter = Waiter(manager, "x")
        waiter.wait_until_queued(server)
        proxy.half_open()
        lease.release()
        assert waiter.granted().fence > lease.fence


@pytest.mark.parametrize(
    ("direction", "points"), [(TO_SERVER, range(1, 1200, 47)), (TO_CLIENT, range(1, 90, 5))]
)
def test_a_connection_may_be_cut_at_any_point_of_any_request(
    server: Redis, url: str, proxy: Proxy, direction: Direction, points: range
) -> None:
    with LockManager.from_url(server.url) as other, LockManager.from_url(url) as manager:
        with manager.lock("x") as lease:  # reached once, a server that is cut off comes back
            fences = [lease.fence]
        for point in points:
            proxy.cut_after(point, direction)
            for _ in range(3):
                with manager.lock("x", ttl=PATIENCE) as lease, suppress(OutcomeUnknown, StoreTimeout):
                    lease.extend()
                fences.append(lease.fence)
        assert fences == sorted(set(fences))
        assert taken(other.lock("x").acquire(timeout=PATIENCE)).fence > fences[-1]
        assert queue_length(server, "x") == 0


def test_a_server_killed_with_its_disk_kept_knows_the_holder_and_the_waiter(server: Redis) -> None:
    with LockManager.from_url(server.url) as holder, LockManager.from_url(server.url) as manager:
        lease = taken(holder.lock("x", ttl=60).acquire())
        waiter = Waiter(manager, "x")
        waiter.wait_until_queued(server)
        server.kill()
        server.start()
        assert manager.lock("x").acquire(blocking=False) is None
        assert lease.release() is True
        assert waiter.granted().fence > lease.fence


def test_a_server_that_lost_its_disk_still_issues_greater_fences(server: Redis) -> None:
    with LockManager.from_url(server.url) as manager:
        lease = taken(manager.lock("x", ttl=1.0, renew=False).acquire())
        server.restart(keep_disk=False)
        with manager.lock("x") as later:
            assert later.fence > lease.fence
        assert lease.release() is False


def test_a_stopped_server_is_unknown_and_then_there_again(server: Redis) -> None:
    store = RedisStore(server.url, timeout=0.2)
    fence = store.grant("x", "me", 60.0)
    server.pause()
    try:
        with pytest.raises((OutcomeUnknown, StoreTimeout)):
            store.grant("y", "me", 60.0)
        with pytest.raises((OutcomeUnknown, StoreTimeout)):
            store.grant("y", "me", 60.0)
    finally:
        server.resume()
    assert again(store, "x", "me") == fence
    store.close()


def again(store: RedisStore, name: str, owner: str) -> int | None:
    """Ask until there is an answer."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            return store.grant(name, owner, 60.0)
        except (OutcomeUnknown, StoreTimeout):
            time.sleep(0.05)
    raise AssertionError("the store does not come back")


def hold(url: str, held: Any) -> None:
    with LockManager.from_url(url) as manager, manager.lock("x", ttl=1.0):
        held.set()
        time.sleep(PATIENCE)


def wait_for(url: str) -> None:
    with LockManager.from_url(url) as manager, manager.lock("x"):
        time.sleep(PATIENCE)


def test_the_lock_of_a_killed_process_goes_to_the_next_after_its_ttl(server: Redis) -> None:
    held = SPAWN.Event()
    process = SPAWN.Process(target=hold, args=(server.url, held), daemon=True)
    process.start()
    try:
        assert held.wait(PATIENCE)
        with LockManager.from_url(server.url) as manager:
            waiter = Waiter(manager, "x")
            waiter.wait_until_queued(server)
            process.kill()
            started = time.monotonic()
            waiter.granted()
            assert time.monotonic() - started < 1.0 + 5.0  # its ttl, and what a slow machine takes
    finally:
        process.kill()
        process.join(PATIENCE)


def test_a_waiter_that_was_killed_is_passed_over_at_once(server: Redis) -> None:
    process = SPAWN.Process(target=wait_for, args=(server.url,), daemon=True)
    with LockManager.from_url(server.url) as manager, LockManager.from_url(server.url) as other:
        lease = taken(manager.lock("x", ttl=60).acquire())
        process.start()
        try:
            deadline = time.monotonic() + PATIENCE
            while queue_length(server, "x") == 0:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finally:
            process.kill()
            process.join(PATIENCE)
        lease.release()
        assert other.lock("x").acquire(blocking=False) is not None


def test_a_forked_child_leaves_the_connection_to_its_parent(server: Redis) -> None:
    check_that_a_child_leaves_all_to_its_parent(server.url)


async def test_tasks_hold_through_lost_replies_and_restarts(server: Redis, url: str, proxy: Proxy) -> None:
    async with AioLockManager.from_url(url) as manager:
        async with manager.lock("x"):
            pass
        proxy.lose_reply()
        async with manager.lock("x", ttl=60) as lease:
            server.kill()
            server.start()
            assert await manager.lock("x").acquire(blocking=False) is None
        async with manager.lock("x") as later:
            assert later.fence > lease.fence


def test_a_server_that_is_not_there_is_said_to_be_unavailable() -> None:
    [port] = free_ports(1)
    with LockManager.from_url(f"redis://:secret@127.0.0.1:{port}/0") as manager:
        with pytest.raises(BackendUnavailable, match=f"redis://127.0.0.1:{port}/0") as error:
            manager.lock("x").acquire()
        assert "secret" not in str(error.value)


def test_a_wrong_password_is_said() -> None:
    with Redis(options={"requirepass": "right"}) as server:
        url = server.url.replace("right", "wrong")
        with LockManager.from_url(url) as manager, pytest.raises(StoreError, match="password"):
            manager.lock("x").acquire()


def test_a_url_redis_py_does_not_understand_is_refused() -> None:
    with pytest.raises(InvalidValue):
        LockManager.from_url("redis://host:port/0")


def test_a_closed_store_is_closed(server: Redis) -> None:
    store = RedisStore(server.url)
    store.grant("x", "me", 30.0)
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.grant("x", "me", 30.0)
