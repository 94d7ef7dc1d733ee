"""Locks in rows while servers are killed and stopped, connections cut, and holders and waiters die."""

import os
import signal
import time
from contextlib import closing

import pytest

from ringfence.aio import LockManager as AioLockManager
from ringfence.errors import OutcomeUnknown, StoreTimeout
from ringfence.locks.manager import LockManager
from ringfence.locks.opening import open_store
from ringfence.testing.proxy import TO_CLIENT, TO_SERVER, Proxy
from ringfence.testing.servers.single import SingleServer
from tests.locks.forks import check_that_a_child_leaves_all_to_its_parent
from tests.locks.sql.tables import ask, end_all_others, in_transaction, through
from tests.locks.waiters import (
    PATIENCE,
    Waiter,
    holding,
    process,
    stand_in_line,
    taken,
    until,
    until_queued,
)

pytestmark = pytest.mark.servers


def test_a_grant_whose_reply_is_lost_is_asked_for_again(
    server: SingleServer, proxy: Proxy, name: str
) -> None:
    with LockManager.from_url(through(proxy, server)) as manager:
        with manager.lock(name):
            pass
        proxy.lose_reply()
        with manager.lock(name) as lease:
            assert [held.fence for held in manager.leases() if held.name == name] == [lease.fence]


def test_a_release_whose_reply_is_lost_freed_the_lock(server: SingleServer, proxy: Proxy, name: str) -> None:
    with LockManager.from_url(through(proxy, server)) as manager:
        lease = taken(manager.lock(name, ttl=60).acquire())
        proxy.lose_reply()
        assert lease.release() is True
        assert name not in {held.name for held in manager.leases()}


def test_a_store_tells_an_unanswered_release_from_a_refused_one(
    server: SingleServer, proxy: Proxy, name: str
) -> None:
    with closing(open_store(through(proxy, server))) as store:
        fence = store.grant(name, "me", 60.0)
        assert fence is not None
        proxy.lose_reply()
        with pytest.raises(OutcomeUnknown):
            store.release(name, "me", fence)
        assert store.release(name, "me", fence) is False


@pytest.mark.parametrize("fault", ["cut", "reset", pytest.param("half_open", marks=pytest.mark.slow)])
def test_a_waiter_whose_connection_breaks_keeps_its_place(
    server: SingleServer, proxy: Proxy, name: str, fault: str
) -> None:
    with LockManager.from_url(server.url) as holder, LockManager.from_url(through(proxy, server)) as manager:
        lease = taken(holder.lock(name, ttl=60).acquire())
        waiter = Waiter(manager, name)
        until_queued(server.url, name)
        getattr(proxy, fault)()
        lease.release()
        assert waiter.granted().fence > lease.fence


def test_a_slow_connection_does_no_harm(server: SingleServer, proxy: Proxy, name: str) -> None:
    with LockManager.from_url(through(proxy, server)) as manager:
        proxy.latency(0.05)
        with manager.lock(name) as lease, manager.lock(name + "other"):
            lease.check()


def cuts(server: SingleServer, proxy: Proxy, name: str, step: int) -> None:
    """Cut a connection after each so many bytes of a grant and a release."""
    with LockManager.from_url(through(proxy, server)) as manager:
        with manager.lock(name) as lease:
            last = lease.fence
        for direction in (TO_SERVER, TO_CLIENT):
            for count in range(0, 1500, step):
                proxy.cut_after(count, direction)
                lease = taken(manager.lock(name, ttl=60).acquire(timeout=PATIENCE))
                assert lease.fence > last
                assert lease.release() is True
                last = lease.fence
    with closing(open_store(server.url)) as store:
        assert store.status(name).holders == ()


def test_a_connection_cut_at_many_points_loses_nothing(server: SingleServer, proxy: Proxy, name: str) -> None:
    cuts(server, proxy, name, 149)


@pytest.mark.slow
def test_a_connection_cut_at_every_few_points_loses_nothing(
    server: SingleServer, proxy: Proxy, name: str
) -> None:
    cuts(server, proxy, name, 7)


def test_a_server_killed_and_started_again_knows_the_holder_and_the_waiter(
    server: SingleServer, name: str
) -> None:
    with LockManager.from_url(server.url) as holder, LockManager.from_url(server.url) as manager:
        lease = taken(holder.lock(name, ttl=60).acquire())
        waiter = Waiter(manager, name)
        until_queued(server.url, name)
        server.kill()
        server.start()
        assert again(lambda: manager.lock(name).acquire(blocking=False)) is None
        assert lease.release() is True
        assert waiter.granted().fence > lease.fence


def again(ask: object) -> object:
    """Ask until there is an answer."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()  # type: ignore[operator]
        except (OutcomeUnknown, StoreTimeout):
            assert time.monotonic() < end, "the store does not come back"
            time.sleep(0.05)


def test_a_table_that_was_lost_is_made_again_and_fences_go_on(server: SingleServer, name: str) -> None:
    with LockManager.from_url(server.url) as manager, LockManager.from_url(server.url) as other:
        lease = taken(manager.lock(name, ttl=60).acquire())
        ask(server.url, "DROP TABLE ringfence_lock")
        with other.lock(name) as later:
            assert later.fence > lease.fence
        assert lease.release() is False


def test_a_stopped_server_is_unknown_and_then_there_again(server: SingleServer, name: str) -> None:
    with closing(open_store(server.url)) as store:
        fence = store.grant(name, "me", 60.0)
        server.pause()
        try:
            with pytest.raises((OutcomeUnknown, StoreTimeout)):
                store.grant(name, "you", 60.0)
        finally:
            server.resume()
        assert again(lambda: store.grant(name, "me", 60.0)) == fence


def test_backends_that_are_ended_are_replaced(server: SingleServer, name: str) -> None:
    with LockManager.from_url(server.url) as manager:
        lease = taken(manager.lock(name, ttl=60).acquire())
        end_all_others(server)
        lease.extend()
        assert lease.release() is True


def test_the_lock_of_a_killed_process_goes_to_the_next_after_its_ttl(server: SingleServer, name: str) -> None:
    with holding(server.url, name, 2.0) as (holder, pipe), LockManager.from_url(server.url) as manager:
        fence = pipe.recv()
        waiter = Waiter(manager, name)
        until_queued(server.url, name)
        holder.kill()
        assert waiter.granted().fence > fence


def test_a_stopped_holder_learns_that_it_is_one_no_more(server: SingleServer, name: str) -> None:
    with holding(server.url, name, 2.0) as (holder, pipe), LockManager.from_url(server.url) as manager:
        fence = pipe.recv()
        os.kill(holder.pid, signal.SIGSTOP)
        lease = taken(manager.lock(name, ttl=60).acquire(timeout=PATIENCE))
        assert lease.fence > fence
        os.kill(holder.pid, signal.SIGCONT)
        assert pipe.poll(PATIENCE), "it did not learn of it"
        assert pipe.recv() == "lost"
        lease.check()
        assert lease.release() is True


@pytest.mark.slow
def test_a_waiter_that_was_killed_is_passed_over(server: SingleServer, name: str) -> None:
    with LockManager.from_url(server.url) as manager, LockManager.from_url(server.url) as other:
        lease = taken(manager.lock(name, ttl=60).acquire())
        with process(stand_in_line, server.url, name) as dead:
            until_queued(server.url, name)
            dead.kill()
            dead.join(PATIENCE)
        waiter = Waiter(other, name)
        until_queued(server.url, name, 2)
        lease.release()
        assert waiter.granted().fence > lease.fence


def test_a_forked_child_leaves_the_connections_to_its_parent(server: SingleServer, name: str) -> None:
    check_that_a_child_leaves_all_to_its_parent(server.url, name)


async def test_tasks_hold_through_lost_replies_and_restarts(
    server: SingleServer, proxy: Proxy, name: str
) -> None:
    async with AioLockManager.from_url(through(proxy, server)) as manager:
        async with manager.lock(name):
            pass
        proxy.lose_reply()
        async with manager.lock(name, ttl=60) as lease:
            server.kill()
            server.start()
            assert await manager.lock(name).acquire(timeout=0.5) is None
        async with manager.lock(name) as later:
            assert later.fence > lease.fence


def test_no_connection_is_left_in_a_transaction(server: SingleServer, name: str) -> None:
    with LockManager.from_url(server.url) as one, LockManager.from_url(server.url) as two:
        with one.lock(name) as lease:
            waiter = Waiter(two, name)
            until_queued(server.url, name)
            lease.extend()
            until(lambda: in_transaction(server) == 0, "a transaction is open")
        waiter.granted()
        until(lambda: in_transaction(server) == 0, "a transaction is open")
