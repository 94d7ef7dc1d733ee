"""Locks on a primary that Sentinels name, through a failover."""

import time

import pytest

from ringfence.aio import LockManager as AioLockManager
from ringfence.errors import InvalidValue
from ringfence.locks.manager import LockManager
from ringfence.testing.servers.redis_sentinel import RedisSentinel

PATIENCE = 120.0


def test_locks_go_on_at_the_replica_that_took_over() -> None:
    with RedisSentinel(down_after=500) as servers, LockManager.from_url(servers.url) as manager:
        with manager.lock("x") as lease:
            first = servers.primary()
        first.kill()
        end = time.monotonic() + PATIENCE
        while servers.primary() is first:
            assert time.monotonic() < end, "no replica took over"
            time.sleep(0.1)
        later = manager.lock("x").acquire(timeout=PATIENCE)
        assert later is not None
        assert later.fence > lease.fence
        assert later.release() is True


async def test_tasks_find_the_primary() -> None:
    with RedisSentinel() as servers:
        async with AioLockManager.from_url(servers.url) as manager, manager.lock("x") as lease:
            assert [holder.fence for holder in await manager.leases()] == [lease.fence]


@pytest.mark.parametrize("url", ["redis+sentinel://host:1", "redis+sentinel://host:port/name"])
def test_a_url_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(InvalidValue):
        LockManager.from_url(url)
