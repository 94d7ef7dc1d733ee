"""Locks at a majority of independent servers: the suite with all, and with as many down as may be."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import cast

import pytest

from ringfence.aio import LockManager as AioLockManager
from ringfence.errors import InvalidValue, OutcomeUnknown, StoreTimeout
from ringfence.locks.manager import LockManager
from ringfence.locks.stores import Claim, LockStore
from ringfence.locks.stores.redis.quorum_store import AsyncQuorumStore, QuorumStore
from ringfence.testing.lock_store import LeaseSuite
from ringfence.testing.servers import resp
from ringfence.testing.servers.redis import Redis
from ringfence.testing.store_suite import ask_at_once
from tests.locks.redis.beside import Beside
from tests.locks.redis.kept import Kept, keep, kept

PATIENCE = 60.0
TIMEOUT = 5.0
LONG = 50.0


def url(servers: list[Redis], delay: float = 0) -> str:
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    return f"redis+quorum://{hosts}?restart_delay={delay}"


class TestThreeServers(LeaseSuite):
    count, down = 3, 0

    def setup_method(self) -> None:
        self.servers = [Redis().start() for _ in range(self.count)]
        for server in self.servers[: self.down]:
            server.kill()

    def teardown_method(self) -> None:
        for server in self.servers:
            server.close()

    def open(self) -> LockStore:
        return QuorumStore(url(self.servers), timeout=TIMEOUT)

    def test_of_many_threads_one_is_granted(self) -> None:
        """Or none: they may share the servers out among themselves, and all withdraw."""
        with self._opened() as store:
            for number in range(10):
                grants = ask_at_once(store, f"x{number}", 8)
                assert sum(fence is not None for fence in grants) <= 1, grants


@pytest.mark.slow
class TestOneOfThreeDown(TestThreeServers):
    down = 1


@pytest.mark.slow
class TestTwoOfFiveDown(TestThreeServers):
    count, down = 5, 2


@pytest.mark.slow
class TestFiveServers(TestThreeServers):
    count = 5


@pytest.mark.slow
class TestTasksOfThree(TestThreeServers):
    def open(self) -> LockStore:
        return cast(LockStore, Beside(AsyncQuorumStore(url(self.servers), timeout=TIMEOUT)))


class TestTasksWithOneOfThreeDown(TestTasksOfThree):
    down = 1


@pytest.fixture
def servers() -> Iterator[list[Redis]]:
    with ExitStack() as running:
        yield [running.enter_context(Redis()) for _ in range(3)]


@pytest.fixture
def store(servers: list[Redis]) -> Iterator[QuorumStore]:
    opened = QuorumStore(url(servers), timeout=TIMEOUT)
    yield opened
    opened.close()


def lease(server: Redis, name: str) -> Kept:
    """Return a lock's lease at one server."""
    found = kept(server, name)
    assert found is not None
    return found


def at(server: Redis, name: str, owner: str, fence: int, until: int = 9 * 10**15) -> None:
    """Put a lease at one server."""
    keep(server, name, Kept(until, fence, 1, 0, owner))


def insisting(ask: Callable[[], object]) -> object:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except (OutcomeUnknown, StoreTimeout):
            assert time.monotonic() < deadline, "the servers do not come back"
            time.sleep(0.05)


def test_the_greatest_fence_of_the_majority_is_written_back(servers: list[Redis], store: QuorumStore) -> None:
    ahead = 9 * 10**14
    at(servers[1], "x", "", ahead, until=0)
    fence = store.grant("x", "me", LONG, False, 32)
    assert fence == ahead + 1
    found = [lease(server, "x") for server in servers]
    assert [(one.fence, one.fences, one.owner) for one in found] == [(fence, 32, "me")] * 3


def test_a_later_majority_sees_the_fence_of_an_earlier_one(servers: list[Redis], store: QuorumStore) -> None:
    ahead = 9 * 10**14
    at(servers[1], "x", "", ahead, until=0)
    first = store.grant("x", "me", LONG, False, 32)
    assert first is not None
    assert store.release("x", "me", first) is True
    servers[1].kill()  # the one that issued it
    second = cast(int, insisting(lambda: store.grant("x", "you", LONG)))
    assert second >= first + 32


def test_without_a_majority_everything_is_withdrawn(servers: list[Redis], store: QuorumStore) -> None:
    for server in servers[:2]:
        at(server, "x", "another", 1)
    assert store.grant("x", "me", LONG) is None
    assert lease(servers[2], "x").end == 0
    assert lease(servers[0], "x").owner == "another"


def test_with_a_majority_down_nothing_is_granted_and_nothing_left(
    servers: list[Redis], store: QuorumStore
) -> None:
    for server in servers[:2]:
        server.kill()
    with pytest.raises(StoreTimeout, match="2 of 3 servers"):
        store.grant("x", "me", LONG)
    assert lease(servers[2], "x").end == 0


def test_a_renewal_needs_a_majority(servers: list[Redis], store: QuorumStore) -> None:
    fence = store.grant("x", "me", LONG)
    assert fence is not None
    claims = [Claim("x", "me", fence, LONG)]
    resp.ask(servers[0].port, "FLUSHALL")
    assert store.renew(claims) == [True]
    servers[1].kill()
    assert insisting(lambda: store.renew(claims)) == [None], "the silent one may still hold it"
    resp.ask(servers[2].port, "FLUSHALL")
    assert store.renew(claims) == [False]
    servers[2].kill()
    with pytest.raises((OutcomeUnknown, StoreTimeout)):
        store.renew(claims)


def test_a_release_frees_every_server(servers: list[Redis], store: QuorumStore) -> None:
    fence = store.grant("x", "me", LONG)
    assert fence is not None
    assert store.release("x", "me", fence) is True
    assert [lease(server, "x").end for server in servers] == [0, 0, 0]


def test_a_stopped_server_holds_nobody_up_for_long(servers: list[Redis]) -> None:
    store = QuorumStore(url(servers), timeout=0.5)
    insisting(lambda: store.grant("x", "me", LONG))
    servers[0].pause()
    try:
        insisting(lambda: store.grant("y", "me", LONG))  # finds out that it is stopped
        started = time.monotonic()
        for number in range(10):
            insisting(lambda number=number: store.grant(f"y{number}", "me", LONG))  # type: ignore[misc]
        assert time.monotonic() - started < PATIENCE
    finally:
        servers[0].resume()
    store.close()


@pytest.mark.slow
def test_a_server_that_lost_its_leases_is_left_out_until_they_have_ended(servers: list[Redis]) -> None:
    delay = 8.0
    time.sleep(delay + 1.5)  # they have all run for long enough
    store = QuorumStore(url(servers, delay), timeout=TIMEOUT)
    fence = insisting(lambda: store.grant("x", "me", delay))
    granted = time.monotonic()
    assert fence is not None
    servers[2].kill()  # it holds a lease that nobody will ask it for
    servers[1].restart(keep_disk=False)
    servers[2].start()
    with pytest.raises(StoreTimeout):
        store.grant("x", "you", delay)
    later = insisting(lambda: store.grant("x", "you", delay))
    assert cast(int, later) > cast(int, fence)
    assert time.monotonic() - granted >= delay
    store.close()


def test_a_ttl_beyond_the_delay_is_refused(servers: list[Redis]) -> None:
    with (
        LockManager.from_url(url(servers, 5)) as manager,
        pytest.raises(InvalidValue, match="restart_delay=10"),
    ):
        manager.lock("x", ttl=10).acquire()


def test_threads_wait_for_each_other(servers: list[Redis]) -> None:
    with LockManager.from_url(url(servers)) as one, LockManager.from_url(url(servers)) as other:
        lease = one.lock("x").acquire()
        assert lease is not None
        assert other.lock("x").acquire(timeout=0.2) is None
        assert lease.release() is True
        later = other.lock("x").acquire(timeout=PATIENCE)
        assert later is not None
        assert later.fence > lease.fence
        assert [holder.fence for holder in one.leases()] == [later.fence]


async def test_tasks_wait_for_each_other_with_a_server_down(servers: list[Redis]) -> None:
    servers[0].kill()
    async with AioLockManager.from_url(url(servers)) as one, AioLockManager.from_url(url(servers)) as other:
        async with one.lock("x") as lease:
            assert await other.lock("x").acquire(timeout=0.2) is None
        async with other.lock("x") as later:
            assert later.fence > lease.fence


@pytest.mark.parametrize(
    "wrong",
    [
        "redis+quorum://a,b",
        "redis+quorum://a,b,a",
        "redis+quorum://a,,b",
        "redis+quorum://a,b,c?restart_delay=soon",
        "redis+quorum://a,b,c?restart_delay=-1",
    ],
)
def test_a_url_that_cannot_be_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidValue):
        LockManager.from_url(wrong)
