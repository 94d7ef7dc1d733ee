"""Failover to a replica: what `wait_replicas` prevents, and what it does not."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from ringfence.aio import LockManager as AioLockManager
from ringfence.errors import InvalidValue, OutcomeUnknown, StoreTimeout
from ringfence.locks.manager import LockManager
from ringfence.locks.stores import Claim
from ringfence.locks.stores.redis.store import RedisStore
from ringfence.testing.servers import resp
from ringfence.testing.servers.redis import Redis
from ringfence.testing.servers.redis_cluster import replication

PATIENCE = 60.0
LONG = 60.0


@pytest.fixture
def servers() -> Iterator[list[Redis]]:
    """A primary and two replicas that are up to date."""
    with ExitStack() as running:
        primary = running.enter_context(Redis())
        replicas = [running.enter_context(Redis(replica_of=primary)) for _ in range(2)]
        until(lambda: all(map(follows, replicas)), "the replicas do not follow")
        yield [primary, *replicas]


def follows(replica: Redis) -> bool:
    return "master_link_status:up" in replication(replica)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def opened(server: Redis, replicas: int, timeout: float = 60.0) -> RedisStore:
    """Open a store; the replicas have a quarter of the timeout, which is waited for in full when they are cut off."""
    return RedisStore(f"{server.url}?wait_replicas={replicas}", timeout=timeout)


def promote(server: Redis) -> None:
    resp.ask(server.port, "REPLICAOF", "NO", "ONE")


def cut_off(replicas: list[Redis]) -> None:
    """Have replicas follow nobody, as if what comes from the primary were held up on its way."""
    for replica in replicas:
        promote(replica)


def test_a_grant_that_a_failover_would_lose_does_not_count(servers: list[Redis]) -> None:
    primary, *replicas = servers
    cut_off(replicas)
    careless, careful = opened(primary, 0), opened(primary, 1, 2.0)
    assert careless.grant("x", "me", LONG) is not None
    after = opened(replicas[0], 0)
    assert after.grant("x", "you", LONG) is not None, "two hold it"
    with pytest.raises(StoreTimeout, match="0 of 1 replicas"):
        careful.grant("y", "me", LONG)
    assert careful.status("y").holder is None, "it was not withdrawn"
    for store in (careless, careful, after):
        store.close()


def test_a_grant_that_replicas_have_survives_a_failover(servers: list[Redis]) -> None:
    primary, *replicas = servers
    store = opened(primary, 2)
    fence = store.grant("x", "me", LONG)
    primary.kill()
    promote(replicas[1])
    after = opened(replicas[1], 0)
    holder = after.status("x").holder
    assert holder is not None
    assert (holder.owner, holder.fence) == ("me", fence)
    store.close()
    after.close()


def test_a_failover_to_a_replica_that_lags_behind_loses_what_another_has(servers: list[Redis]) -> None:
    """One of two replicas has the grant, and the other takes over: the guard must refuse the first holder."""
    primary, has_it, lags_behind = servers
    cut_off([lags_behind])
    store, after = opened(primary, 1), opened(lags_behind, 0)
    fence = store.grant("x", "me", LONG)
    assert fence is not None
    assert has_it.running()
    later = after.grant("x", "you", LONG)
    assert later is not None, "this is what it does not prevent"
    assert later > fence
    store.close()
    after.close()


def test_a_renewal_counts_when_replicas_have_it(servers: list[Redis]) -> None:
    primary, *replicas = servers
    store, hasty = opened(primary, 2), opened(primary, 2, 2.0)
    fence = store.grant("x", "me", LONG)
    assert fence is not None
    claims = [Claim("x", "me", fence, LONG)]
    assert store.renew(claims) == [True]
    cut_off(replicas)
    with pytest.raises(OutcomeUnknown, match="0 of 2 replicas"):
        hasty.renew(claims)
    store.close()
    hasty.close()


def test_a_waiter_counts_its_grant_when_replicas_have_it(servers: list[Redis]) -> None:
    with LockManager(opened(servers[0], 2)) as one, LockManager(opened(servers[0], 2)) as other:
        lease = one.lock("x", ttl=LONG).acquire()
        assert lease is not None
        releasing = threading.Timer(0.2, lease.release)
        releasing.start()
        later = other.lock("x", ttl=LONG).acquire(timeout=PATIENCE)
        releasing.join(PATIENCE)
        assert later is not None
        assert later.fence > lease.fence
        assert later.release() is True


async def test_tasks_wait_for_replicas(servers: list[Redis]) -> None:
    primary, *replicas = servers
    async with AioLockManager.from_url(f"{primary.url}?wait_replicas=1") as manager:
        lease = await manager.lock("x").acquire(timeout=PATIENCE)
        assert lease is not None
        cut_off(replicas)
        with pytest.raises(StoreTimeout, match="0 of 1 replicas"):
            await manager.lock("y").acquire(blocking=False)


@pytest.mark.parametrize("wrong", ["two", "-1", "", "1.5"])
def test_a_number_of_replicas_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidValue, match="wait_replicas"):
        RedisStore(f"redis://localhost:1/0?wait_replicas={wrong}")
