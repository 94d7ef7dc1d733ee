"""What a URL of ZooKeeper may say, and what is refused before anything is sent."""

import pytest

from ringfence.errors import BackendUnavailable, InvalidType, InvalidValue
from ringfence.locks.manager import LockManager
from ringfence.locks.stores.zookeeper.opening import SAFE, SESSION, target
from ringfence.locks.stores.zookeeper.store import ZooKeeperStore
from ringfence.testing.servers.ports import free_ports


def test_only_the_hosts_have_to_be_said() -> None:
    assert target("zookeeper://a:2181,b:2182") == (["a:2181", "b:2182"], "/ringfence", "", 20.0)


def test_all_can_be_said() -> None:
    found = target("zookeeper://me:s%40crt@a,b/some/where/?session=40")
    assert found == (["a", "b"], "/some/where", "me:s@crt", 40.0)
    assert "crt" not in found.place


@pytest.mark.parametrize(
    "url",
    [
        "zookeeper://",
        "zookeeper:///path",
        "zookeeper://a,,b",
        "zookeeper://me@a",
        "zookeeper://me:secret@",
        "zookeeper://a?timeout=3",
        "zookeeper://a?session=",
        "zookeeper://a?session=long",
        "zookeeper://a?session=-1",
        "zookeeper://a?session=nan",
        "zookeeper://a?session=1e9",
        "zookeeper://a?session=3&session=4",
    ],
)
def test_a_url_that_says_something_else_is_refused(url: str) -> None:
    with pytest.raises(InvalidValue):
        LockManager.from_url(url)


def test_a_url_is_a_string() -> None:
    with pytest.raises(InvalidType):
        ZooKeeperStore(7)  # type: ignore[arg-type]


@pytest.mark.parametrize(("ttl", "session"), [(10.1, ""), (0.6, "?session=1")])
def test_a_lease_that_could_outlast_its_session_is_refused(ttl: float, session: str) -> None:
    with (
        LockManager.from_url(f"zookeeper://127.0.0.1:1{session}") as manager,
        pytest.raises(InvalidValue, match="session="),
    ):
        manager.lock("x", ttl=ttl).acquire()


def test_a_lease_ends_before_a_leader_does_that_did_not_hear_of_it() -> None:
    """Its follower died with what came since the last heartbeat; measured: 11.6 s of a session of 15."""
    heartbeat = SESSION / 3 + 0.4  # kazoo's, at the latest
    half_a_tick = 1.0
    assert SESSION - heartbeat - half_a_tick > SAFE * SESSION


def test_a_grant_has_at_most_so_many_fences() -> None:
    with pytest.raises(InvalidValue, match="32"):
        ZooKeeperStore("zookeeper://127.0.0.1:1").grant("x", "me", 10.0, False, 33)


def test_a_server_that_is_not_there_is_said_to_be_unavailable() -> None:
    [port] = free_ports(1)
    with (
        LockManager.from_url(f"zookeeper://me:secret@127.0.0.1:{port}/locks") as manager,
        pytest.raises(BackendUnavailable, match=f"127.0.0.1:{port}") as error,
    ):
        manager.lock("x").acquire()
    assert "secret" not in str(error.value)
