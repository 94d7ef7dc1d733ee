"""What the store does in ZooKeeper: how often it asks, what it leaves there, and for whom."""

import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import kazoo.client
import kazoo.security
import pytest

from ringfence import _zookeeper
from ringfence.cli import main
from ringfence.errors import FenceRejected, LeaseLost, StoreError
from ringfence.locks.guards import ZooKeeperGuard
from ringfence.locks.manager import LockManager
from ringfence.locks.stores import Claim, Shared
from ringfence.locks.stores.zookeeper.store import ZooKeeperStore
from ringfence.testing.proxy import Proxy
from ringfence.testing.servers.zookeeper import ZooKeeper

PATIENCE = 60.0


def store_of(manager: LockManager) -> ZooKeeperStore:
    store = manager._session.store
    assert isinstance(store, ZooKeeperStore)
    return store


_paths = itertools.count()


@pytest.fixture
def path() -> str:
    return f"/store{next(_paths)}"


@pytest.fixture
def url(zookeeper_server: Any, path: str) -> str:
    return f"{zookeeper_server.url}{path}?session=200"


@pytest.fixture
def client(zookeeper_server: Any) -> Iterator[Any]:
    """Another client of the same server."""
    opened = kazoo.client.KazooClient(zookeeper_server.url.removeprefix("zookeeper://"))
    opened.start(PATIENCE)
    yield opened
    opened.stop()
    opened.close()


def test_a_free_lock_takes_one_round_trip_and_so_does_giving_it_back(zookeeper_server: Any, url: str) -> None:
    port = int(zookeeper_server.url.rpartition(":")[2])
    with Proxy(port) as proxy, LockManager.from_url(url.replace(f":{port}", f":{proxy.port}")) as manager:
        with manager.lock("x"):
            pass
        proxy.latency(0.02)
        assert min(replies_of_a_cycle(proxy, manager) for _ in range(10)) == 2


def replies_of_a_cycle(proxy: Proxy, manager: LockManager) -> int:
    """One is two when this process is held up between two requests, or a heartbeat comes between."""
    before = proxy.replies
    with manager.lock("x"):
        pass
    return proxy.replies - before


def test_the_fence_is_the_transaction_of_the_node(url: str, path: str, client: Any) -> None:
    with closing(ZooKeeperStore(url)) as store:
        fence = store.grant("x", "me", 60.0)
        [child] = client.get_children(f"{path}/locks/x")
        _, stat = client.get(f"{path}/locks/x/{child}")
        assert fence == stat.czxid * 32
        assert stat.ephemeralOwner != 0


def test_a_fence_is_taken_by_the_guard_and_a_stale_one_is_not(url: str) -> None:
    guard_url = url.partition("?")[0] + "guard"
    with LockManager.from_url(url) as manager, closing(ZooKeeperGuard(guard_url, "x")) as guard:
        with manager.lock("x") as stale:
            pass
        with manager.lock("x") as lease, guard.write(lease) as writes:
            writes.create(f"/{guard_url.rpartition('/')[2]}/body", b"new")
        with pytest.raises(FenceRejected), guard.write(stale.fence):
            pass


def test_the_servers_remove_the_folder_of_a_lock_that_is_not_used(
    private_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Dznode.container.checkIntervalMs=100")
    server = private_server(ZooKeeper())
    with LockManager.from_url(server.url) as manager:
        client = store_of(manager)._client.connected
        with manager.lock("x"), manager.lock("y"):
            assert sorted(client().get_children("/ringfence/locks")) == ["x", "y"]
        deadline = time.monotonic() + PATIENCE
        while client().get_children("/ringfence/locks"):
            assert time.monotonic() < deadline, "they stay"
            time.sleep(0.05)


def test_a_folder_that_was_removed_is_made_again_and_fences_go_on(url: str, path: str, client: Any) -> None:
    with LockManager.from_url(url) as manager:
        with manager.lock("x") as first:
            pass
        client.delete(path, recursive=True)
        with manager.lock("x") as second:
            assert second.fence > first.fence


def test_an_unrenewed_lease_is_ended_by_its_own_process(url: str) -> None:
    with LockManager.from_url(url) as manager, LockManager.from_url(url) as other:
        lease = manager.lock("x", ttl=1.0, renew=False).acquire()
        assert lease is not None
        later = other.lock("x").acquire(timeout=PATIENCE)
        assert later is not None
        assert not lease.valid
        assert later.fence > lease.fence


def test_a_try_leaves_nothing_behind(url: str, path: str, client: Any) -> None:
    with LockManager.from_url(url) as manager, LockManager.from_url(url) as other, manager.lock("x"):
        assert other.lock("x").acquire(blocking=False) is None
        assert other.lock("x").acquire(timeout=0.05) is None
        assert len(client.get_children(f"{path}/locks/x")) == 1


def test_waiters_that_gave_up_are_not_remembered(url: str) -> None:
    with closing(ZooKeeperStore(url)) as store:
        store.grant("x", "me", 60.0)
        for number in range(20):
            assert store.grant("x", f"waiter{number}", 60.0, True) is None
            store.withdraw("x", f"waiter{number}")
        watchers = store._client.connected()._data_watchers.values()
        assert sum(map(len, watchers)) == 1


def test_a_renewal_is_confirmed_by_the_servers(url: str, path: str, client: Any) -> None:
    with closing(ZooKeeperStore(url)) as store:
        claims = [Claim(name, "me", store.grant(name, "me", 60.0) or 0, 60.0) for name in "abcde"]
        before = last_transaction(client, path)
        assert store.renew(claims) == [True] * 5
        assert last_transaction(client, path) >= before + 2  # that of the renewal, and of this look
        for name in "bd":
            client.delete(f"{path}/locks/{name}", recursive=True)
        assert store.renew(claims) == [True, False, True, False, True]


def last_transaction(client: Any, path: str) -> int:
    """Make one, and return its number."""
    _, stat = client.create(f"{path}/look", ephemeral=True, sequence=True, include_data=True)
    return int(stat.czxid)


def test_the_server_catches_up_with_its_leader_unless_a_write_lets_the_session_outlast_the_lease(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught_up: list[str] = []
    monkeypatch.setattr(_zookeeper, "sync", lambda client, path: caught_up.append(path))
    with closing(ZooKeeperStore(url)) as store:
        for _ in range(3):
            store.grant("x", "me", 10.0, True)
        assert caught_up == []
        store.grant("x", "me", 100.0, True)
        assert len(caught_up) == 1
        store.status("x")
        assert len(caught_up) == 2


def test_a_folder_with_strangers_is_none_of_theirs(url: str, path: str, client: Any) -> None:
    client.create(f"{path}/locks/x/_c_stranger-lock-0000000000", makepath=True)
    with LockManager.from_url(url) as manager, manager.lock("x"):
        assert len(manager.leases()) == 1


def test_plain_and_shared_locks_are_listed_beside_each_other(url: str) -> None:
    with closing(ZooKeeperStore(url)) as store:
        store.grant("b", "me", 60.0)
        store.grant(Shared("a", 2, 5), "me", 60.0)
        first, second = store.leases()
        assert (first.name, second.name) == ("a", "b")
        assert isinstance(first.name, Shared)
        assert (first.name.asked, first.name.of) == (2, 5)


def test_what_a_user_made_is_closed_to_others(url: str) -> None:
    mine = url.replace("://", "://me:secret@")
    with LockManager.from_url(mine) as manager, manager.lock("x"), LockManager.from_url(url) as other:
        with pytest.raises(StoreError, match="NoAuth") as error:
            other.lock("x").acquire()
        assert "secret" not in str(error.value)
    with LockManager.from_url(mine) as manager, manager.lock("x"):
        pass


def test_a_path_that_may_not_be_made_is_said(zookeeper_server: Any, url: str, path: str, client: Any) -> None:
    client.create(path, acl=[kazoo.security.make_acl("world", "anyone", read=True)])
    with LockManager.from_url(url) as manager, pytest.raises(StoreError, match=f"{path}.*NoAuth"):
        manager.lock("x").acquire()


def test_the_command_line_runs_lists_and_breaks(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "lock",
        "run",
        "x",
        "--url",
        url,
        "--",
        sys.executable,
        "-c",
        "import os; print(os.environ['FENCE'])",
    ]
    ran = subprocess.run(
        [sys.executable, "-m", "ringfence", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    with LockManager.from_url(url) as manager:
        lease = manager.lock("x", ttl=60).acquire()
        assert lease is not None
        assert lease.fence > int(ran.stdout)
        assert main(["lock", "list", "--url", url]) == 0
        assert str(lease.fence) in capsys.readouterr().out
        assert main(["lock", "break", "x", "--url", url, "--yes"]) == 0
        with pytest.raises(LeaseLost):
            lease.extend()


def test_a_closed_store_is_closed(url: str) -> None:
    store = ZooKeeperStore(url)
    store.grant("x", "me", 60.0)
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.grant("x", "me", 60.0)
