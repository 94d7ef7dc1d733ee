"""How much is asked of the server, and what is left in it."""

import itertools
import threading
from collections.abc import Iterator

import pytest
import redis

from ringfence.aio import LockManager as AioLockManager
from ringfence.locks.manager import LockManager
from ringfence.locks.stores import Claim, Push
from ringfence.locks.stores.redis.store import RedisStore
from ringfence.testing.servers import resp
from ringfence.testing.servers.redis import Redis
from tests.locks.redis.kept import Kept, keep, kept


@pytest.fixture
def server() -> Iterator[Redis]:
    with Redis() as started:
        yield started


def asked(server: Redis) -> dict[str, int]:
    """Return how often each command was sent since the last time, without those that scripts call."""
    lines = resp.ask(server.port, "INFO", "commandstats").decode().split()
    resp.ask(server.port, "CONFIG", "RESETSTAT")
    counts = {
        line.partition(":")[0]: int(line.partition("calls=")[2].partition(",")[0])
        for line in lines
        if "calls=" in line
    }
    return {name.removeprefix("cmdstat_"): count for name, count in counts.items() if "eval" in name}


def test_a_cycle_takes_two_requests(server: Redis) -> None:
    with LockManager.from_url(server.url) as manager:
        lock = manager.lock("x")
        with lock:
            pass
        asked(server)
        for _ in range(10):
            with lock:
                pass
        assert asked(server) == {"evalsha": 20}


def test_a_monitor_sees_two_requests(server: Redis) -> None:
    with (
        LockManager.from_url(server.url) as manager,
        redis.Redis.from_url(server.url, socket_timeout=30) as client,
    ):
        with manager.lock("x"):
            pass
        with client.monitor() as monitor:
            with manager.lock("x"):
                pass
            resp.ask(server.port, "ECHO", "end")
            seen = list(itertools.takewhile(lambda said: said["command"] != "ECHO end", monitor.listen()))
    assert [said["command"].split()[0] for said in seen if said["client_type"] != "lua"] == ["EVALSHA"] * 2


async def test_a_cycle_of_a_task_takes_two_requests(server: Redis) -> None:
    async with AioLockManager.from_url(server.url) as manager:
        lock = manager.lock("x")
        async with lock:
            pass
        asked(server)
        for _ in range(10):
            async with lock:
                pass
        assert asked(server) == {"evalsha": 20}


@pytest.mark.parametrize("waiting", [1, 5])
def test_a_hand_off_takes_two_requests_however_many_wait(server: Redis, waiting: int) -> None:
    stores = [RedisStore(server.url, timeout=10.0) for _ in range(waiting + 1)]
    stores[0].release("x", "nobody", 1)  # from now on the server knows the script
    fence = stores[0].grant("x", "o0", 30.0)
    assert fence is not None
    for at in range(1, waiting + 1):
        assert stores[at].grant("x", f"o{at}", 30.0, True) is None
    asked(server)
    for at in range(waiting):
        assert stores[at].release("x", f"o{at}", fence) is True
        push = stores[at + 1].wait("x", f"o{at + 1}", 10.0)
        assert isinstance(push, Push)
        assert push.fence > fence
        fence = push.fence
    assert asked(server) == {"evalsha": waiting}  # the other of the two was the place in the queue
    for store in stores:
        store.close()


def test_threads_share_one_connection(server: Redis) -> None:
    before = resp.ask(server.port, "CLIENT", "LIST").count(b"\n")
    with LockManager.from_url(server.url) as manager:
        start = threading.Barrier(8)

        def work(name: str) -> None:
            start.wait(30)
            for _ in range(20):
                with manager.lock(name):
                    pass

        threads = [threading.Thread(target=work, args=(f"lock{at // 2}",)) for at in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert resp.ask(server.port, "CLIENT", "LIST").count(b"\n") == before + 1


def test_a_server_that_lost_its_scripts_is_given_them_again(server: Redis) -> None:
    with LockManager.from_url(server.url) as manager:
        with manager.lock("x") as lease:
            resp.ask(server.port, "SCRIPT", "FLUSH")
            lease.extend()
            resp.ask(server.port, "SCRIPT", "FLUSH")
        resp.ask(server.port, "SCRIPT", "FLUSH")
        with manager.lock("x"):
            pass


def test_the_scripts_may_be_lost_at_any_moment(server: Redis) -> None:
    """A thread makes the server forget them over and over, while others need them."""
    over = threading.Event()

    def flush() -> None:
        while not over.is_set():
            resp.ask(server.port, "SCRIPT", "FLUSH", seconds=30)

    with LockManager.from_url(server.url) as one, LockManager.from_url(server.url) as other:
        flushing = threading.Thread(target=flush)
        flushing.start()
        try:
            fences = []
            for manager in (one, other) * 40:
                with manager.lock("x") as lease:
                    lease.extend()
                    fences.append(lease.fence)
        finally:
            over.set()
            flushing.join(60)
        assert fences == sorted(set(fences))
        assert resp.ask(server.port, "EXISTS", "ringfence:{x}:queue") == 0


def called(server: Redis, command: str) -> bool:
    """Return whether a script has called a command since the statistics were reset."""
    return f"cmdstat_{command}:" in resp.ask(server.port, "INFO", "commandstats").decode()


def test_a_lock_that_nobody_waits_for_is_taken_and_freed_without_a_look_at_its_queue(server: Redis) -> None:
    store = RedisStore(server.url, timeout=10.0)
    fence = store.grant("x", "a", 30.0)
    assert fence is not None
    store.release("x", "a", fence)
    resp.ask(server.port, "CONFIG", "RESETSTAT")
    again = store.grant("x", "b", 30.0)
    assert again is not None
    store.renew([Claim("x", "b", again, 30.0)])
    store.release("x", "b", again)
    assert not called(server, "lpop")
    store.close()


def test_the_last_who_waited_and_left_is_not_looked_for_again(server: Redis) -> None:
    store = RedisStore(server.url, timeout=10.0)
    fence = store.grant("x", "a", 30.0)
    assert fence is not None
    assert store.grant("x", "b", 30.0, True) is None
    store.withdraw("x", "b")
    store.release("x", "a", fence)
    found = kept(server, "x")
    assert found is not None
    assert found.waited == 0
    store.close()


def test_a_queue_that_has_outlived_its_lease_comes_first(server: Redis) -> None:
    """A server that is short of memory may drop either key, whose fences are then those of its clock."""
    store = RedisStore(server.url, timeout=10.0)
    first = store.grant("x", "a", 30.0)
    assert store.grant("x", "b", 30.0, True) is None
    resp.ask(server.port, "DEL", "ringfence:{x}:lease")
    assert store.grant("x", "c", 30.0) is None
    push = store.wait("x", "b", 10.0)
    assert first is not None
    assert push is not None
    assert push.fence > first
    store.close()


def test_a_renewed_lease_still_tells_that_somebody_waits(server: Redis) -> None:
    store = RedisStore(server.url, timeout=10.0)
    fence = store.grant("x", "a", 30.0)
    assert fence is not None
    assert store.grant("x", "b", 30.0, True) is None
    before = kept(server, "x")
    store.renew([Claim("x", "a", fence, 60.0)])
    after = kept(server, "x")
    assert before is not None
    assert after is not None
    assert after.end > before.end
    assert after.waited == before.waited > before.end - 30e6
    store.close()


def test_every_key_has_a_time_to_live(server: Redis) -> None:
    store = RedisStore(server.url, timeout=10.0)
    store.grant("x", "holder", 30.0)
    store.grant("x", "waiter", 30.0, True)
    store.release("y", "holder", store.grant("y", "holder", 30.0) or 0)
    keys = resp.ask(server.port, "KEYS", "*")
    assert sorted(keys) == [
        b"ringfence:{x}:lease",
        b"ringfence:{x}:places",
        b"ringfence:{x}:queue",
        b"ringfence:{y}:lease",
    ]
    assert all(resp.ask(server.port, "PTTL", key.decode()) > 0 for key in keys)
    store.close()


def test_a_queue_that_was_empty_has_a_time_to_live_again(server: Redis) -> None:
    store = RedisStore(server.url, timeout=10.0)
    fence = store.grant("x", "a", 30.0)
    assert fence is not None
    assert store.grant("x", "b", 30.0, True) is None
    assert store.release("x", "a", fence) is True
    assert resp.ask(server.port, "EXISTS", "ringfence:{x}:queue") == 0
    assert store.grant("x", "c", 30.0, True) is None
    keys = ("ringfence:{x}:queue", "ringfence:{x}:places")
    assert all(resp.ask(server.port, "PTTL", key) > 0 for key in keys)
    store.close()


def test_fences_grow_after_everything_was_lost(server: Redis) -> None:
    store = RedisStore(server.url, timeout=10.0)
    first = store.grant("x", "a", 30.0, False, 32)
    resp.ask(server.port, "FLUSHALL")
    second = store.grant("x", "b", 30.0, False, 32)
    assert first is not None
    assert second is not None
    assert second > first
    store.close()


def test_a_grant_reserves_the_fences_it_asks_for(server: Redis) -> None:
    """The server's clock may stand still, or behind: a lease is put there that is ahead of it."""
    store = RedisStore(server.url, timeout=10.0)
    ahead = 9 * 10**14
    keep(server, "x", Kept(0, ahead, 32, 0, ""))
    assert store.grant("x", "a", 30.0, False, 7) == ahead + 32
    assert store.release("x", "a", ahead + 32) is True
    assert store.grant("x", "b", 30.0) == ahead + 32 + 7
    assert store.grant("x", "c", 30.0, True, 5) is None
    assert store.release("x", "b", ahead + 39) is True
    push = store.wait("x", "c", 10.0)
    assert push is not None
    assert push.fence == ahead + 40
    assert 0 <= push.age < 10
    store.close()
