"""Connections that are cut, deaf, slow or lose replies, at every point: nothing is held twice, stuck or forgotten."""

import pytest

from ringfence.errors import OutcomeUnknown
from ringfence.locks.manager import LockManager
from ringfence.locks.stores.etcd.store import EtcdStore
from ringfence.testing.proxy import TO_CLIENT, TO_SERVER, Direction, Proxy
from tests.locks.etcd.waiting import Waiter, await_queue, taken

CYCLE = {TO_SERVER: 1800, TO_CLIENT: 1800}  # bytes that acquiring and releasing take, at least
STEPS = [60, pytest.param(11, marks=pytest.mark.slow)]


@pytest.mark.parametrize("reply", [1, 2])
def test_a_grant_whose_reply_is_lost_is_asked_for_again(
    url: str, through: str, proxy: Proxy, reply: int
) -> None:
    with LockManager.from_url(url) as other, LockManager.from_url(through) as manager:
        with manager.lock("x") as first:
            pass
        proxy.lose_reply(reply)
        with manager.lock("x") as lease:
            assert lease.fence > first.fence
            assert [holder.fence for holder in other.leases()] == [lease.fence]
        assert other.leases() == []


def test_a_release_whose_reply_is_lost_freed_the_lock(url: str, through: str, proxy: Proxy) -> None:
    with LockManager.from_url(url) as other, LockManager.from_url(through) as manager:
        lease = taken(manager.lock("x").acquire())
        proxy.lose_reply()
        assert lease.release() is True
        assert other.leases() == []


def test_the_store_tells_an_unanswered_release_from_a_refused_one(through: str, proxy: Proxy) -> None:
    store = EtcdStore(through)
    fence = store.grant("x", "me", 30.0)
    assert fence is not None
    proxy.lose_reply()
    with pytest.raises(OutcomeUnknown):
        store.release("x", "me", fence)
    assert store.release("x", "me", fence) is False
    store.close()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("direction", [TO_SERVER, TO_CLIENT])
def test_a_connection_that_is_cut_at_any_point_loses_no_lock(
    url: str, through: str, proxy: Proxy, direction: Direction, step: int
) -> None:
    last = 0
    with LockManager.from_url(url) as other, LockManager.from_url(through) as manager:
        for count in range(0, CYCLE[direction], step):
            proxy.cut_after(count, direction)
            lease = taken(manager.lock("x").acquire(timeout=30.0))
            assert lease.fence > last
            assert [holder.fence for holder in other.leases()] == [lease.fence]
            last = lease.fence
            assert lease.release() is True
            assert other.leases() == []


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("direction", [TO_SERVER, TO_CLIENT])
def test_a_waiter_that_is_cut_at_any_point_is_not_forgotten(
    url: str, through: str, proxy: Proxy, direction: Direction, step: int
) -> None:
    with LockManager.from_url(url) as holder, LockManager.from_url(through) as manager:
        for count in range(0, CYCLE[direction], step * 4):
            lease = taken(holder.lock("x").acquire(timeout=30.0))
            proxy.cut_after(count, direction)
            waiter = Waiter(manager, "x")
            await_queue(url, "x")
            lease.release()
            assert waiter.granted().fence > lease.fence
        assert holder.leases() == []


@pytest.mark.parametrize("fault", ["cut", "reset", "half_open"])
def test_a_waiter_whose_watch_breaks_keeps_waiting(url: str, through: str, proxy: Proxy, fault: str) -> None:
    with LockManager.from_url(url) as holder, LockManager.from_url(through) as manager:
        lease = taken(holder.lock("x").acquire())
        waiter = Waiter(manager, "x")
        await_queue(url, "x")
        getattr(proxy, fault)()
        lease.release()
        assert waiter.granted().fence > lease.fence


def test_a_slow_connection_is_slow_and_nothing_else(url: str, through: str, proxy: Proxy) -> None:
    with LockManager.from_url(url) as holder, LockManager.from_url(through) as manager:
        proxy.latency(0.05)
        lease = taken(holder.lock("x").acquire())
        waiter = Waiter(manager, "x")
        await_queue(url, "x")
        lease.release()
        assert waiter.granted().fence > lease.fence


def test_a_lease_outlasts_a_silence_that_ends_before_its_deadline(through: str, proxy: Proxy) -> None:
    with LockManager.from_url(through) as manager:
        lease = taken(manager.lock("x", ttl=20.0).acquire())
        proxy.hold()
        with pytest.raises(OutcomeUnknown):
            lease.extend()
        proxy.flow()
        lease.extend()
        assert lease.release() is True
