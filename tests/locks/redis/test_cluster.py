"""Locks in a Redis Cluster: the suite over all nodes, failover, and slots that move while locks are held."""

import time
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from ringfence.aio import LockManager as AioLockManager
from ringfence.errors import BackendUnavailable, InvalidValue, OutcomeUnknown, StoreError, StoreTimeout
from ringfence.locks.manager import LockManager
from ringfence.locks.stores import Claim, LockStore
from ringfence.locks.stores.redis.aio_cluster import AsyncClusterStore
from ringfence.locks.stores.redis.cluster import ClusterStore
from ringfence.locks.stores.redis.slots import SLOTS, served, slot
from ringfence.locks.stores.redis.store import RedisStore
from ringfence.locks.stores.redis.wire import Redirected
from ringfence.testing.lock_store import LockStoreSuite
from ringfence.testing.servers import resp
from ringfence.testing.servers.ports import free_ports
from ringfence.testing.servers.redis import Redis
from ringfence.testing.servers.redis_cluster import ClusterNode, RedisCluster, replication
from ringfence.testing.shared_lock import SharedLockSuite
from tests.locks.redis.beside import Beside

PATIENCE = 60.0
TIMEOUT = 10.0


@pytest.mark.slow
class TestThreads(SharedLockSuite, LockStoreSuite):
    @pytest.fixture(autouse=True)
    def empty(self, redis_cluster_server: RedisCluster) -> None:
        self.url = redis_cluster_server.url
        for node in primaries(redis_cluster_server):
            resp.ask(node.port, "FLUSHALL", seconds=TIMEOUT)

    def open(self) -> LockStore:
        return ClusterStore(self.url, timeout=TIMEOUT)


class TestTasks(TestThreads):
    def open(self) -> LockStore:
        return cast(LockStore, Beside(AsyncClusterStore(self.url, timeout=TIMEOUT)))


def primaries(cluster: RedisCluster) -> list[ClusterNode]:
    return [node for node in cluster.nodes if "role:master" in replication(node)]


def serving(cluster: RedisCluster, name: str) -> ClusterNode:
    """Return the node that serves a lock, as the first living one says."""
    for node in cluster.nodes:
        if node.running():
            rows = resp.ask(node.port, "CLUSTER", "SLOTS", seconds=TIMEOUT)
            port = next(row[2][1] for row in rows if row[0] <= slot(name) <= row[1])
            return next(node for node in cluster.nodes if node.port == port)
    raise AssertionError("no node runs")


def number(node: ClusterNode) -> str:
    return str(resp.ask(node.port, "CLUSTER", "MYID").decode())


def replica_of(cluster: RedisCluster, primary: ClusterNode) -> ClusterNode:
    mark = f"master_port:{primary.port}\r"
    return next(node for node in cluster.nodes if node.running() and mark in replication(node))


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def until_up_to_date(replica: Redis, primary: Redis) -> None:
    kept = resp.ask(primary.port, "DBSIZE")
    until(lambda: resp.ask(replica.port, "DBSIZE") == kept, "the replica has not heard of it")


def insisting(ask: Callable[[], object]) -> object:
    """Ask until there is an answer."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except (OutcomeUnknown, StoreTimeout):
            assert time.monotonic() < deadline, "the cluster does not come back"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    """One whose slots tests move, and whose primaries and replicas they exchange."""
    with RedisCluster() as started:
        yield started


@pytest.fixture
def store(cluster: RedisCluster) -> Iterator[ClusterStore]:
    opened = ClusterStore(cluster.url, timeout=TIMEOUT)
    yield opened
    opened.close()


NAMES = [f"lock{number}" for number in range(60)]


def test_locks_are_spread_over_the_nodes_and_each_has_one_connection(
    redis_cluster_server: RedisCluster,
) -> None:
    nodes = primaries(redis_cluster_server)
    until(lambda: listening(nodes) == [0, 0, 0], "earlier connections do not end")
    with LockManager.from_url(redis_cluster_server.url) as manager:
        leases = [manager.lock(name).acquire() for name in NAMES]
        assert all(lease is not None for lease in leases)
        assert {holder.name for holder in manager.leases()} >= set(NAMES)
        kept = [resp.ask(node.port, "DBSIZE") for node in nodes]
        assert min(kept) > 0
        assert listening(nodes) == [1, 1, 1]


def listening(nodes: list[ClusterNode]) -> list[int]:
    """Return how many connections of lock stores each node has: they listen for pushes."""
    return [resp.ask(node.port, "CLIENT", "LIST", seconds=TIMEOUT).count(b" sub=1 ") for node in nodes]


def test_the_slot_is_that_of_the_cluster(redis_cluster_server: RedisCluster) -> None:
    node = redis_cluster_server.nodes[0]
    for name in ("x", "ü/∞ c", "}", "a}b{c}", "%7D", "{", "{a}"):
        key = f"ringfence:{{{name.replace('%', '%25').replace('}', '%7D')}}}:lease"
        assert slot(name) == resp.ask(node.port, "CLUSTER", "KEYSLOT", key)


async def test_tasks_wait_for_each_other_at_their_nodes(redis_cluster_server: RedisCluster) -> None:
    async with (
        AioLockManager.from_url(redis_cluster_server.url) as one,
        AioLockManager.from_url(redis_cluster_server.url) as other,
    ):
        for name in NAMES[:6]:
            async with one.lock(f"{name}/tasks") as lease:
                assert await other.lock(f"{name}/tasks").acquire(blocking=False) is None
            async with other.lock(f"{name}/tasks") as later:
                assert later.fence > lease.fence


def test_a_moved_slot_is_followed(cluster: RedisCluster, store: ClusterStore) -> None:
    fence = store.grant("moved", "me", PATIENCE)
    assert fence is not None
    source, target = serving(cluster, "moved"), other_than(cluster, serving(cluster, "moved"))
    move(cluster, "moved", source, target)
    assert store.renew([Claim("moved", "me", fence, PATIENCE)]) == [True]
    assert store.grant("moved", "other", PATIENCE) is None
    assert store.release("moved", "me", fence) is True
    assert cast(int, store.grant("moved", "other", PATIENCE)) > fence


def other_than(cluster: RedisCluster, node: ClusterNode) -> ClusterNode:
    return next(each for each in primaries(cluster) if each is not node)


def begin_move(name: str, source: ClusterNode, target: ClusterNode) -> None:
    resp.ask(target.port, "CLUSTER", "SETSLOT", slot(name), "IMPORTING", number(source))
    resp.ask(source.port, "CLUSTER", "SETSLOT", slot(name), "MIGRATING", number(target))


def move_keys(name: str, source: ClusterNode, target: ClusterNode) -> None:
    keys = [key.decode() for key in resp.ask(source.port, "CLUSTER", "GETKEYSINSLOT", slot(name), 100)]
    words = ("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
    assert resp.ask(source.port, *words, seconds=TIMEOUT) == b"OK"


def end_move(cluster: RedisCluster, name: str, target: ClusterNode) -> None:
    owner = number(target)
    for node in [target, *(each for each in primaries(cluster) if each is not target)]:
        resp.ask(node.port, "CLUSTER", "SETSLOT", slot(name), "NODE", owner)


def move(cluster: RedisCluster, name: str, source: ClusterNode, target: ClusterNode) -> None:
    begin_move(name, source, target)
    move_keys(name, source, target)
    end_move(cluster, name, target)


def test_a_lease_is_renewed_while_its_slot_moves(cluster: RedisCluster, store: ClusterStore) -> None:
    fence = store.grant("moving", "me", PATIENCE)
    assert fence is not None
    source, target = serving(cluster, "moving"), other_than(cluster, serving(cluster, "moving"))
    claims = [Claim("moving", "me", fence, PATIENCE)]
    begin_move("moving", source, target)
    assert store.renew(claims) == [True], "its key is still there"
    with pytest.raises(StoreTimeout):
        store.grant("moving", "other", PATIENCE, True)
    move_keys("moving", source, target)
    assert store.renew(claims) == [True], "its key has moved, and the slot has not"
    assert store.renew([Claim("moving", "me", fence - 1, PATIENCE)]) == [False]
    with pytest.raises(StoreTimeout):
        store.release("moving", "me", fence)
    end_move(cluster, "moving", target)
    assert store.release("moving", "me", fence) is True


async def test_tasks_renew_while_a_slot_moves(cluster: RedisCluster) -> None:
    store = AsyncClusterStore(cluster.url, timeout=TIMEOUT)
    fence = await store.grant("task", "me", PATIENCE)
    assert fence is not None
    source, target = serving(cluster, "task"), other_than(cluster, serving(cluster, "task"))
    begin_move("task", source, target)
    move_keys("task", source, target)
    assert await store.renew([Claim("task", "me", fence, PATIENCE)]) == [True]
    end_move(cluster, "task", target)
    assert await store.release("task", "me", fence) is True
    await store.close()


def test_a_waiter_is_served_after_its_slot_has_moved(cluster: RedisCluster) -> None:
    with LockManager.from_url(cluster.url) as one, LockManager.from_url(cluster.url) as other:
        lease = one.lock("waited for", ttl=PATIENCE).acquire()
        assert lease is not None
        waiting = other._session.store
        assert waiting.grant("waited for", "waiter", PATIENCE, True) is None
        source, target = serving(cluster, "waited for"), other_than(cluster, serving(cluster, "waited for"))
        move(cluster, "waited for", source, target)
        assert waiting.grant("waited for", "waiter", PATIENCE, True) is None
        assert one._session.store.status("waited for").waiting == ("waiter",)
        assert lease.release() is True
        push = waiting.wait("waited for", "waiter", TIMEOUT)
        assert push is not None
        assert push.fence > lease.fence


def test_only_who_was_granted_the_lock_hears_of_it(cluster: RedisCluster) -> None:
    """A message goes to all nodes: a waiter at one that serves the slot no longer must not take it for its own."""
    primary = serving(cluster, "heard of")
    replica = replica_of(cluster, primary)
    at_primary, at_replica = (RedisStore(node.url, timeout=TIMEOUT) for node in (primary, replica))
    fence = at_primary.grant("heard of", "holder", PATIENCE)
    assert fence is not None
    assert at_primary.grant("heard of", "first", PATIENCE, True) is None
    until_up_to_date(replica, primary)
    resp.ask(replica.port, "CLUSTER", "FAILOVER")
    until(lambda: serving(cluster, "heard of") is replica, "the replica did not take over")
    assert insisting(lambda: at_replica.grant("heard of", "second", PATIENCE, True)) is None
    assert at_replica.release("heard of", "holder", fence) is True
    push = at_replica.wait("heard of", "second", TIMEOUT)
    assert push is not None
    assert at_primary.wait("heard of", "first", 1.0) is None, "two were told that they hold it"
    at_primary.close()
    at_replica.close()


@pytest.mark.slow
def test_locks_go_on_at_the_replica_that_took_over() -> None:
    with RedisCluster(node_timeout=1000) as cluster, LockManager.from_url(cluster.url) as manager:
        lease = manager.lock("x", ttl=PATIENCE).acquire()
        assert lease is not None
        primary = serving(cluster, "x")
        replica = replica_of(cluster, primary)
        until_up_to_date(replica, primary)
        primary.kill()
        until(lambda: "role:master" in replication(replica), "no replica took over")
        insisting(lease.extend)
        assert manager.lock("x").acquire(timeout=0.5) is None
        assert insisting(lease.release) is True
        later = manager.lock("x").acquire(timeout=PATIENCE)
        assert later is not None
        assert later.fence > lease.fence


def test_leases_at_living_nodes_are_renewed_while_another_is_down(
    cluster: RedisCluster, store: ClusterStore
) -> None:
    claims = [Claim(name, "me", cast(int, store.grant(name, "me", PATIENCE)), PATIENCE) for name in NAMES]
    down = serving(cluster, NAMES[0])
    at_down = [serving(cluster, name) is down for name in NAMES]
    down.pause()
    try:
        store_with_less_patience = ClusterStore(cluster.url, timeout=1.0)
        answers = store_with_less_patience.renew(claims)
        store_with_less_patience.close()
    finally:
        down.resume()
    answered = [answer for answer, paused in zip(answers, at_down, strict=True) if not paused]
    assert set(answered) == {True}
    assert len(answered) < len(claims)


def test_a_single_server_s_url_is_not_taken_for_a_cluster_s(redis_cluster_server: RedisCluster) -> None:
    serves = serving(redis_cluster_server, "single")
    other = next(node for node in redis_cluster_server.nodes if node is not serves)
    store = RedisStore(other.url, timeout=TIMEOUT)
    with pytest.raises(Redirected, match=r"redis\+cluster://") as moved:
        store.grant("single", "me", 1.0)
    assert not isinstance(moved.value, StoreTimeout)
    store.close()


def test_a_single_server_is_no_cluster() -> None:
    with Redis() as server:
        url = server.url.replace("redis://", "redis+cluster://")
        with LockManager.from_url(url) as manager, pytest.raises(StoreError, match="cluster"):
            manager.lock("x").acquire()


def test_a_cluster_that_is_not_there_is_said_to_be_unavailable() -> None:
    one, two = free_ports(2)
    url = f"redis+cluster://:secret@127.0.0.1:{one},127.0.0.1:{two}"
    with LockManager.from_url(url) as manager:
        with pytest.raises(BackendUnavailable) as error:
            manager.lock("x").acquire()
        assert "secret" not in str(error.value)


@pytest.mark.parametrize("url", ["redis+cluster://", "redis+cluster://a,,b", "redis+cluster://a:port"])
def test_a_url_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(InvalidValue):
        LockManager.from_url(url)


def test_nodes_without_a_host_are_where_the_asked_one_is() -> None:
    rows = [[0, 99, [b"", 7001, b"id"]], [100, 199, [b"::1", 7002]], [200, 299, [None, 7003], [b"r", 1]]]
    found = served(rows, "h:7000")
    assert found[0] == found[99] == "h:7001"
    assert found[100] == "[::1]:7002"
    assert found[299] == "h:7003"
    assert found[300] == "h:7000"
    assert len(found) == SLOTS
