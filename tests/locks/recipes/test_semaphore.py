"""As many hold a semaphore as it has permits, each with a lease of its own."""

import asyncio
import threading
from functools import partial

import pytest

from ringfence import InvalidType, InvalidValue, LeaseLost, LockManager, aio
from ringfence.locks.lease import Lease
from tests.locks.recipes.carriers import SHARING, Alone
from tests.locks.recipes.test_rwlock import LONG, taken, wait_for_waiters, wait_until

sharing = pytest.mark.parametrize("url", SHARING, indirect=True)


@sharing
def test_as_many_hold_as_there_are_permits(manager: LockManager, other: LockManager) -> None:
    semaphore = manager.semaphore("pool", 3)
    leases = [taken(each.semaphore("pool", 3).acquire()) for each in (manager, other, manager)]
    assert len({lease.fence for lease in leases}) == 3
    assert semaphore.acquire(blocking=False) is None
    assert leases[1].release()
    with semaphore as lease:
        assert lease.fence > max(one.fence for one in leases)
    assert len(manager.leases()) == 2


@sharing
def test_each_permit_has_a_lease_of_its_own(manager: LockManager) -> None:
    kept = taken(manager.semaphore("pool", 2, ttl=60).acquire())
    lost = taken(manager.semaphore("pool", 2, ttl=0.3, renew=False).acquire())
    wait_until(lambda: not lost.valid)
    with manager.semaphore("pool", 2) as lease:
        lease.check()
        kept.check()
        assert [one.owner for one in manager.semaphore("pool", 2).info().holders] == [kept.owner, lease.owner]


def reached(came: list[int], count: int) -> bool:
    return len(came) >= count


@sharing
def test_first_come_first_served(manager: LockManager, other: LockManager) -> None:
    semaphore = manager.semaphore("pool", 2)
    held = [taken(semaphore.acquire()) for _ in range(2)]
    came: list[int] = []
    turn = threading.Semaphore(0)

    def wait(number: int) -> None:
        with (manager, other)[number % 2].semaphore("pool", 2):
            came.append(number)
            turn.acquire(timeout=LONG)

    threads = [threading.Thread(target=wait, args=(number,), daemon=True) for number in range(5)]
    for number, thread in enumerate(threads):
        thread.start()
        wait_for_waiters(semaphore, number + 1)
    held[0].release()
    for number in range(1, 6):
        wait_until(partial(reached, came, number))
        turn.release()
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()
    assert came == [0, 1, 2, 3, 4]


@sharing
def test_never_are_there_more_than_permits(manager: LockManager, other: LockManager) -> None:
    inside, most = 0, 0
    guard = threading.Lock()
    full = threading.Event()

    def step(by: int) -> None:
        nonlocal inside, most
        with guard:
            inside += by
            most = max(most, inside)
            if inside == 3:
                full.set()

    def work(number: int) -> None:
        for _ in range(8):
            with (manager, other)[number % 2].semaphore("pool", 3):
                step(1)
                full.wait(LONG)
                step(-1)

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()
    assert most == 3
    assert manager.leases() == []


@sharing
async def test_tasks_hold_as_many_as_there_are_permits(tasks: aio.LockManager) -> None:
    inside, most = 0, 0
    full = asyncio.Event()

    async def work() -> None:
        nonlocal inside, most
        async with tasks.semaphore("pool", 3) as lease:
            lease.check()
            inside += 1
            most = max(most, inside)
            if inside == 3:
                full.set()
            await full.wait()
            inside -= 1

    async with asyncio.timeout(LONG):
        await asyncio.gather(*(work() for _ in range(9)))
        assert most == 3
        held = [await tasks.semaphore("pool", 3).acquire() for _ in range(3)]
        assert await tasks.semaphore("pool", 3).acquire(blocking=False) is None
        for lease in held:
            assert lease is not None
            assert await lease.release()


@sharing
async def test_the_task_of_a_lost_permit_is_cancelled(tasks: aio.LockManager, manager: LockManager) -> None:
    async def hold() -> None:
        async with tasks.semaphore("pool", 1, ttl=3.0, cancel_on_lost=True) as lease:
            manager._session.store.release(lease.name, lease.owner, lease.fence)
            await asyncio.sleep(LONG)

    with pytest.raises(LeaseLost):
        await asyncio.wait_for(hold(), LONG)


async def test_a_store_that_cannot_carry_it_refuses() -> None:
    for manager in (LockManager(Alone()), aio.LockManager(Alone())):
        with pytest.raises(InvalidValue, match="one holder at a time"):
            manager.semaphore("pool", 3)


@sharing
def test_wrong_arguments_are_refused(manager: LockManager) -> None:
    for wrong in (True, 2.0, "3", None):
        with pytest.raises(InvalidType, match="permits is an int"):
            manager.semaphore("pool", wrong)  # type: ignore[arg-type]
    for wrong in (0, -1, 2**20 + 1):
        with pytest.raises(InvalidValue, match="permits"):
            manager.semaphore("pool", wrong)


def test_closing_the_manager_frees_its_permits(tmp_path: object) -> None:
    url = f"sqlite:///{tmp_path}/locks.db"
    with LockManager.from_url(url) as manager:
        leases: list[Lease] = [taken(manager.semaphore("pool", 2, ttl=60).acquire()) for _ in range(2)]
        assert all(lease.valid for lease in leases)
    with LockManager.from_url(url) as manager:
        assert manager.leases() == []
