"""An etcd that is killed, stopped, empty or refuses, and processes that die: fences grow, and nobody waits in vain."""

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from ringfence._etcd import Etcd as Client
from ringfence._etcd import Request
from ringfence.aio import LockManager as AioLockManager
from ringfence.errors import BackendUnavailable, FenceRejected, InvalidValue, LeaseLost, StoreError
from ringfence.locks.guards import FileGuard
from ringfence.locks.manager import LockManager
from ringfence.locks.stores.etcd.store import EtcdStore
from ringfence.testing.servers.etcd import Etcd
from ringfence.testing.servers.ports import free_ports
from tests.locks.etcd.waiting import PATIENCE, Waiter, await_queue, taken, until, until_answered
from tests.locks.forks import check_that_a_child_leaves_all_to_its_parent

SPAWN = multiprocessing.get_context("spawn")


def test_an_etcd_that_was_killed_knows_the_holder_and_the_waiter(own: Etcd) -> None:
    with LockManager.from_url(own.url) as holder, LockManager.from_url(own.url) as manager:
        lease = taken(holder.lock("x", ttl=60).acquire())
        waiter = Waiter(manager, "x")
        await_queue(own.url, "x")
        own.kill()
        own.start()
        until(lambda: manager.lock("y").acquire(blocking=False))
        assert manager.lock("x").acquire(blocking=False) is None
        assert lease.release() is True
        assert waiter.granted().fence > lease.fence


def test_an_etcd_that_lost_its_disk_forgets_the_holder_and_its_fences_grow(own: Etcd, tmp_path: Path) -> None:
    guard = FileGuard(tmp_path / "data")
    with LockManager.from_url(own.url) as manager:
        for _ in range(20):  # revisions that are used up
            with manager.lock("x"):
                pass
        lease = taken(manager.lock("x", renew=False).acquire())
        waiter = Waiter(manager, "y")
        waiter.granted()
        own.restart(keep_disk=False)
        with LockManager.from_url(own.url) as other, other.lock("x") as later:
            assert later.fence > lease.fence
            with guard.write(later) as file:
                file.write(b"later")
            with pytest.raises(FenceRejected), guard.write(lease.fence):
                raise AssertionError
        assert lease.release() is False


def test_an_etcd_that_is_stopped_and_goes_on_is_asked_again(own: Etcd) -> None:
    with LockManager.from_url(own.url) as holder, LockManager.from_url(own.url) as manager:
        lease = taken(holder.lock("x", ttl=60).acquire())
        waiter = Waiter(manager, "x")
        await_queue(own.url, "x")
        own.pause()
        try:
            with pytest.raises(StoreError):
                lease.extend()
        finally:
            own.resume()
        until_answered(lease.extend)
        assert lease.release() is True
        assert waiter.granted().fence > lease.fence


def test_a_lease_is_lost_at_its_deadline_when_etcd_does_not_come_back(own: Etcd) -> None:
    with LockManager.from_url(own.url) as manager:
        lease = taken(manager.lock("x", ttl=2.0).acquire())
        own.kill()
        until(lambda: not lease.valid)
        with pytest.raises(LeaseLost):
            lease.check()
        own.start()


def test_a_renewed_lease_of_an_etcd_that_came_back_is_kept(own: Etcd) -> None:
    with LockManager.from_url(own.url) as manager:
        lease = taken(manager.lock("x", ttl=30.0).acquire())
        own.kill()
        own.start()
        until_answered(lease.extend)
        assert lease.release() is True


def hold(url: str, held: Any, ttl: float) -> None:
    with LockManager.from_url(url) as manager, manager.lock("x", ttl=ttl):
        held.set()
        time.sleep(PATIENCE)


def wait_for(url: str) -> None:
    with LockManager.from_url(url) as manager, manager.lock("x", ttl=2.0):
        time.sleep(PATIENCE)


def test_the_lock_of_a_killed_process_goes_to_the_next(url: str) -> None:
    held = SPAWN.Event()
    process = SPAWN.Process(target=hold, args=(url, held, 2.0), daemon=True)
    process.start()
    try:
        assert held.wait(PATIENCE)
        with LockManager.from_url(url) as manager:
            before = manager.leases()[0].fence
            waiter = Waiter(manager, "x")
            await_queue(url, "x")
            process.kill()
            assert waiter.granted().fence > before
    finally:
        process.kill()
        process.join(PATIENCE)


def test_a_waiter_that_was_killed_is_passed_over_when_its_place_ends(url: str) -> None:
    process = SPAWN.Process(target=wait_for, args=(url,), daemon=True)
    with LockManager.from_url(url) as manager, LockManager.from_url(url) as other:
        lease = taken(manager.lock("x", ttl=60).acquire())
        process.start()
        try:
            await_queue(url, "x")
        finally:
            process.kill()
            process.join(PATIENCE)
        waiter = Waiter(other, "x")
        lease.release()
        assert waiter.granted().fence > lease.fence


def write_when_told(url: str, path: Path, held: Any, told: Any, answers: Any) -> None:
    guard = FileGuard(path)
    with LockManager.from_url(url) as manager:
        lease = taken(manager.lock("x", ttl=1.0).acquire())
        held.set()
        told.wait(PATIENCE)
        answers.put((lease.valid, refused(guard, lease.fence)))


def refused(guard: FileGuard, fence: int) -> bool:
    try:
        with guard.write(fence) as file:
            file.write(b"by one who slept")
    except FenceRejected:
        return True
    return False


def test_a_holder_that_was_stopped_learns_of_it_and_its_write_is_refused(url: str, tmp_path: Path) -> None:
    held, told, answers = SPAWN.Event(), SPAWN.Event(), SPAWN.Queue()
    arguments = (url, tmp_path / "data", held, told, answers)
    process = SPAWN.Process(target=write_when_told, args=arguments, daemon=True)
    process.start()
    try:
        assert held.wait(PATIENCE)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
        with LockManager.from_url(url) as manager:
            lease = taken(manager.lock("x").acquire(timeout=PATIENCE))
            with FileGuard(tmp_path / "data").write(lease) as file:
                file.write(b"by the next")
            os.kill(process.pid, signal.SIGCONT)  # first: `set` waits for those whom it wakes
            told.set()
            assert answers.get(timeout=PATIENCE) == (False, True)
            assert lease.release() is True
    finally:
        process.kill()
        process.join(PATIENCE)


def test_a_forked_child_leaves_the_lease_and_the_connections_to_its_parent(url: str) -> None:
    check_that_a_child_leaves_all_to_its_parent(url)


async def test_tasks_wait_for_threads(url: str) -> None:
    with LockManager.from_url(url) as threads:
        held = taken(threads.lock("x").acquire())
        async with AioLockManager.from_url(url) as tasks:
            assert await tasks.lock("x").acquire(timeout=0.1) is None
            held.release()
            async with tasks.lock("x") as lease:
                assert lease.fence > held.fence
                assert threads.lock("x").acquire(blocking=False) is None


def test_an_etcd_that_is_not_there_is_said_to_be_unavailable() -> None:
    [port] = free_ports(1)
    with (
        LockManager.from_url(f"etcd://127.0.0.1:{port}") as manager,
        pytest.raises(BackendUnavailable, match=f"127.0.0.1:{port}"),
    ):
        manager.lock("x").acquire()


def test_of_several_members_those_that_are_there_are_asked(url: str, path: str) -> None:
    [port] = free_ports(1)
    members = url.removeprefix("etcd://").removesuffix(f"/{path}")
    with LockManager.from_url(f"etcd://127.0.0.1:{port},{members}/{path}") as manager, manager.lock("x"):
        assert len(manager.leases()) == 1


def test_what_is_no_etcd_is_said(redis_server: Any) -> None:
    with LockManager.from_url(f"etcd://127.0.0.1:{redis_server.port}") as manager, pytest.raises(StoreError):
        manager.lock("x").acquire(timeout=0.5)


def test_an_etcd_that_wants_a_user_says_so(own: Etcd) -> None:
    client = Client([own.url.replace("etcd", "http")])
    client.call(Request("auth/user/add", {"name": "root", "password": "geheim"}))
    client.call(Request("auth/role/add", {"name": "root"}))
    client.call(Request("auth/user/grant", {"user": "root", "role": "root"}))
    client.call(Request("auth/enable", {}))
    client.close()
    with LockManager.from_url(own.url) as manager, pytest.raises(StoreError, match="user name is empty"):
        manager.lock("x").acquire()


@pytest.mark.parametrize(
    "wrong", ["etcd://", "etcd://host", "etcd://host:port", "etcd://me:secret@host:2379", "etcd://h:1?a=b"]
)
def test_a_url_that_cannot_be_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidValue):
        LockManager.from_url(wrong)


def test_a_closed_store_is_closed_and_ends_its_waits(url: str) -> None:
    store = EtcdStore(url)
    store.grant("x", "me", 30.0)
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.grant("x", "me", 30.0)
