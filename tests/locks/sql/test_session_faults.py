"""Locks of sessions: lost with their connection at once, and ended by those who wait when a holder does not."""

import asyncio
import os
import signal
import threading
from contextlib import closing
from typing import Any

import pytest

from ringfence.aio import LockManager as AioLockManager
from ringfence.errors import LeaseLost, StoreTimeout
from ringfence.locks.manager import LockManager
from ringfence.locks.opening import open_store
from ringfence.locks.stores.sql import sessions
from ringfence.locks.stores.sql.session_store import SessionStore
from ringfence.testing.proxy import Proxy
from ringfence.testing.servers.single import SingleServer
from tests.locks.forks import check_that_a_child_leaves_all_to_its_parent
from tests.locks.sql.tables import ask, end_all_others, in_transaction, through
from tests.locks.waiters import PATIENCE, SPAWN, Waiter, holding, process, stand_in_line, taken, until

pytestmark = pytest.mark.servers
MODE = "?mode=session"


def waiting(server: SingleServer) -> int:
    """Return how many sessions wait for a lock."""
    if server.needed.kind == "postgresql":
        return int(
            ask(server.url, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")[0][0]
        )
    where = "information_schema.processlist WHERE state = 'User lock'"
    return int(ask(server.url, f"SELECT count(*) FROM {where}")[0][0])


def until_waiting(server: SingleServer, count: int = 1) -> None:
    until(lambda: waiting(server) >= count, "nobody waits in the server")


def test_the_lock_of_a_killed_process_goes_to_the_next_at_once(server: SingleServer, name: str) -> None:
    with holding(server.url + MODE, name, 600.0) as (holder, pipe):
        fence = pipe.recv()
        with LockManager.from_url(server.url + MODE) as manager:
            waiter = Waiter(manager, name)
            until_waiting(server)
            holder.kill()
            assert waiter.granted().fence > fence


def test_a_stopped_holder_is_cut_off_after_its_ttl_and_learns_of_it(server: SingleServer, name: str) -> None:
    with (
        holding(server.url + MODE, name, 2.0) as (holder, pipe),
        LockManager.from_url(server.url + MODE) as manager,
    ):
        fence = pipe.recv()
        os.kill(holder.pid, signal.SIGSTOP)
        lease = taken(manager.lock(name, ttl=60).acquire(timeout=PATIENCE))
        assert lease.fence > fence
        os.kill(holder.pid, signal.SIGCONT)
        assert pipe.poll(PATIENCE), "it did not learn of it"
        assert pipe.recv() == "lost"
        lease.check()
        assert lease.release() is True


def test_a_waiter_that_was_killed_is_passed_over(server: SingleServer, name: str) -> None:
    with (
        LockManager.from_url(server.url + MODE) as manager,
        LockManager.from_url(server.url + MODE) as other,
    ):
        lease = taken(manager.lock(name, ttl=60).acquire())
        with process(stand_in_line, server.url + MODE, name) as dead:
            until_waiting(server)
            waiter = Waiter(other, name)
            until_waiting(server, 2)
            dead.kill()
            dead.join(PATIENCE)
        lease.release()
        assert waiter.granted().fence > lease.fence


def test_a_lease_is_lost_with_its_session_at_once(server: SingleServer, name: str) -> None:
    with (
        LockManager.from_url(server.url + MODE) as manager,
        LockManager.from_url(server.url + MODE) as other,
    ):
        told = threading.Event()
        lease = taken(manager.lock(name, ttl=600).acquire())
        lease.on_lost(lambda _: told.set())
        end_all_others(server)
        assert told.wait(PATIENCE), "it did not learn of it"
        with pytest.raises(LeaseLost):
            lease.check()
        later = taken(other.lock(name, ttl=60).acquire(timeout=PATIENCE))
        assert later.fence > lease.fence
        assert lease.release() is False
        later.check()
        assert later.release() is True


@pytest.mark.parametrize("fault", ["cut", "reset"])
def test_a_lease_is_lost_with_its_connection_at_once(
    server: SingleServer, proxy: Proxy, name: str, fault: str
) -> None:
    with LockManager.from_url(through(proxy, server, MODE)) as manager:
        lease = taken(manager.lock(name, ttl=600).acquire())
        getattr(proxy, fault)()
        until(lambda: not lease.valid, "it did not learn of it")
        with manager.lock(name) as later:
            assert later.fence > lease.fence


@pytest.mark.slow
def test_a_half_open_connection_is_found_out_and_its_lock_freed(
    server: SingleServer, proxy: Proxy, name: str
) -> None:
    with (
        LockManager.from_url(through(proxy, server, MODE)) as manager,
        LockManager.from_url(server.url + MODE) as other,
    ):
        lease = taken(manager.lock(name, ttl=3).acquire())
        proxy.half_open()
        later = taken(other.lock(name).acquire(timeout=PATIENCE))
        assert later.fence > lease.fence
        until(lambda: not lease.valid, "it did not learn of it")
        later.release()


def test_a_waiter_whose_connection_breaks_waits_again(server: SingleServer, proxy: Proxy, name: str) -> None:
    with (
        LockManager.from_url(server.url + MODE) as holder,
        LockManager.from_url(through(proxy, server, MODE)) as manager,
    ):
        lease = taken(holder.lock(name, ttl=60).acquire())
        waiter = Waiter(manager, name)
        until_waiting(server)
        proxy.reset()
        until_waiting(server)
        lease.release()
        assert waiter.granted().fence > lease.fence


def test_a_grant_and_a_release_whose_replies_are_lost_leave_nothing_locked(
    server: SingleServer, proxy: Proxy, name: str
) -> None:
    with (
        LockManager.from_url(through(proxy, server, MODE)) as manager,
        LockManager.from_url(server.url + MODE) as other,
    ):
        with manager.lock(name) as first:
            pass
        proxy.lose_reply()
        with manager.lock(name) as second:
            assert second.fence > first.fence
        third = taken(manager.lock(name).acquire())
        proxy.lose_reply()
        assert third.release() is True
        with other.lock(name) as last:
            assert last.fence > third.fence


def test_a_server_that_was_killed_knows_no_holder_and_goes_on_upward(server: SingleServer, name: str) -> None:
    with LockManager.from_url(server.url + MODE) as manager:
        lease = taken(manager.lock(name, ttl=600).acquire())
        server.kill()
        until(lambda: not lease.valid, "it did not learn of it")
        server.start()
        again = taken(manager.lock(name).acquire(timeout=PATIENCE))
        assert again.fence > lease.fence
        assert again.release() is True


def test_a_forked_child_holds_nothing_and_harms_nothing(server: SingleServer, name: str) -> None:
    check_that_a_child_leaves_all_to_its_parent(server.url + MODE, name)


def fork_and_hold(url: str, name: str, pipe: Any) -> None:
    """Take the lock, and fork a child that outlives this process."""
    manager = LockManager.from_url(url)
    lease = taken(manager.lock(name, ttl=600).acquire())
    child = os.fork()
    if child == 0:
        signal.pause()
    pipe.send((lease.fence, child))
    signal.pause()


def test_a_child_does_not_keep_the_lock_of_its_dead_parent(server: SingleServer, name: str) -> None:
    ours, theirs = SPAWN.Pipe()
    with closing(ours), closing(theirs), process(fork_and_hold, server.url + MODE, name, theirs) as parent:
        assert ours.poll(PATIENCE)
        fence, child = ours.recv()
        try:
            parent.kill()
            with LockManager.from_url(server.url + MODE) as manager:
                assert taken(manager.lock(name).acquire(timeout=PATIENCE)).fence > fence
        finally:
            os.kill(child, signal.SIGKILL)


def test_no_connection_is_left_in_a_transaction(server: SingleServer, name: str) -> None:
    with (
        LockManager.from_url(server.url + MODE) as one,
        LockManager.from_url(server.url + MODE) as two,
    ):
        with one.lock(name) as lease:
            waiter = Waiter(two, name)
            until_waiting(server)
            lease.extend()
            until(lambda: in_transaction(server) == 0, "a transaction is open")
        waiter.granted()
        until(lambda: in_transaction(server) == 0, "a transaction is open")


def test_names_with_the_same_key_do_each_other_no_harm(
    server: SingleServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(open_store(server.url + MODE)) as store, closing(open_store(server.url + MODE)) as other:
        for one in (store, other):
            assert isinstance(one, SessionStore)
            key = one._key("the same")
            monkeypatch.setattr(one, "_key", lambda _, key=key: key)
        first, second = store.grant(name, "me", 60.0), store.grant(name + "b", "me", 60.0)
        assert first is not None
        assert second is not None
        assert store.grant(name, "you", 60.0) is None
        assert other.grant(name + "b", "you", 60.0) is None
        assert store.release(name, "me", first) is True
        assert other.grant(name + "b", "you", 60.0) is None
        assert store.release(name + "b", "me", second) is True
        assert other.grant(name, "you", 60.0) is not None


def test_the_longest_names_can_be_locked(server: SingleServer, name: str) -> None:
    with LockManager.from_url(server.url + MODE) as manager:
        long = name.ljust(255, "x")
        with manager.lock(long) as lease, manager.lock(long[:-1]):
            assert long in {holder.name for holder in manager.leases()}
            lease.check()


def test_connections_are_bounded(server: SingleServer, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "WAITING", 2)
    with closing(open_store(server.url + MODE)) as store, closing(open_store(server.url + MODE)) as holder:
        fence = holder.grant(name, "me", 60.0)
        assert fence is not None
        for number in range(2):
            assert store.grant(name, f"waiter{number}", 60.0, True) is None
        with pytest.raises(StoreTimeout, match="2 connections"):
            store.grant(name, "too many", 60.0, True)
        assert store.grant(name + "free", "me", 60.0) is not None
        store.withdraw(name, "waiter0")
        assert store.grant(name, "fits", 60.0, True) is None


async def test_a_task_learns_of_a_lost_session_at_once(server: SingleServer, name: str) -> None:
    async with AioLockManager.from_url(server.url + MODE) as manager:
        lock = manager.lock(name, ttl=600, cancel_on_lost=True)

        async def work() -> None:
            async with lock:
                end_all_others(server)
                await asyncio.sleep(PATIENCE)

        with pytest.raises(LeaseLost):
            await work()
        async with manager.lock(name):
            pass
