"""A server whose clock is wrong, or set by a minute while locks are held; the scripts are made to see such a clock."""

from collections.abc import Iterator

import pytest

from ringfence.errors import LeaseLost
from ringfence.locks.manager import LockManager
from ringfence.locks.stores import LockStore
from ringfence.locks.stores.redis.store import RedisStore
from ringfence.testing.lock_store import LockStoreSuite
from ringfence.testing.servers import resp
from ringfence.testing.servers.redis import Redis
from tests.locks.redis.changed import changed

CLOCK = "local time = redis.call('TIME')"
WRONG = f"{CLOCK} time[1] = time[1] + (redis.call('GET', 'seconds ahead') or 0)"
MINUTE = 60
TTL = 30.0


@pytest.fixture
def server() -> Iterator[Redis]:
    with Redis() as started, changed((CLOCK, WRONG)):
        yield started


def set_clock(server: Redis, seconds: int) -> None:
    resp.ask(server.port, "SET", "seconds ahead", seconds)


@pytest.mark.slow
class TestAhead(LockStoreSuite):
    """A clock that is always wrong by the same does no harm: only its differences count."""

    ahead = MINUTE

    @pytest.fixture(autouse=True)
    def wrong(self, server: Redis) -> None:
        self.server = server
        set_clock(server, self.ahead)

    def open(self) -> LockStore:
        return RedisStore(self.server.url, timeout=30.0)

    def test_all_leases_are_listed_by_name(self) -> None:
        """The list goes by the server's own clock, which is right here."""

    def test_a_store_that_carries_shared_locks_passes_their_suite_too(self) -> None:
        """Their clock is right here, too."""


class TestBehind(TestAhead):
    ahead = -MINUTE


def test_a_clock_set_forward_ends_leases_and_the_next_holder_has_a_greater_fence(server: Redis) -> None:
    """Two believe that they hold the lock, until the first renews: only the guard keeps them apart."""
    with LockManager.from_url(server.url) as one, LockManager.from_url(server.url) as other:
        lease = one.lock("x", ttl=TTL).acquire()
        assert lease is not None
        set_clock(server, MINUTE)
        later = other.lock("x", ttl=TTL).acquire(blocking=False)
        assert later is not None
        assert later.fence > lease.fence
        with pytest.raises(LeaseLost):
            lease.extend()
        assert lease.release() is False
        assert later.release() is True


def test_a_clock_set_back_keeps_locks_until_they_are_released_and_fences_grow(server: Redis) -> None:
    with LockManager.from_url(server.url) as one, LockManager.from_url(server.url) as other:
        lease = one.lock("x", ttl=TTL).acquire()
        assert lease is not None
        set_clock(server, -MINUTE)
        assert other.lock("x", ttl=TTL).acquire(blocking=False) is None
        lease.extend()
        assert lease.release() is True
        later = other.lock("x", ttl=TTL).acquire(blocking=False)
        assert later is not None
        assert later.fence > lease.fence


def test_a_waiter_gets_its_turn_when_the_clock_is_set_back(server: Redis) -> None:
    holding, waiting = RedisStore(server.url, timeout=30.0), RedisStore(server.url, timeout=30.0)
    fence = holding.grant("x", "holder", TTL)
    assert fence is not None
    assert waiting.grant("x", "waiter", TTL, True) is None
    set_clock(server, -MINUTE)
    assert holding.release("x", "holder", fence) is True
    push = waiting.wait("x", "waiter", 30.0)
    assert push is not None
    assert push.fence > fence
    holding.close()
    waiting.close()
