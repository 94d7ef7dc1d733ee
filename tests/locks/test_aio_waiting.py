"""Many tasks wait at once in a store that blocks, and leave the event loop's own threads alone."""

import asyncio
import threading
from typing import cast

from ringfence.aio.lock_store import LoopStore
from ringfence.locks.stores import LockStore, Push

TASKS = 40  # asyncio's own threads are 32 at most
PATIENCE = 60.0


class Blocking:
    """A store whose waits end when they are told to."""

    shared = False

    def __init__(self) -> None:
        self.waiting = threading.Semaphore(0)
        self.end = threading.Event()

    def wait(self, name: str, owner: str, seconds: float) -> Push | None:
        self.waiting.release()
        self.end.wait(min(seconds, PATIENCE))
        return Push(len(owner), seconds)

    def close(self) -> None:
        self.end.set()


async def test_many_tasks_wait_at_once_beside_the_threads_of_the_loop() -> None:
    blocking = Blocking()
    store = LoopStore(cast(LockStore, blocking))
    tasks = [asyncio.create_task(store.wait("x", "me", PATIENCE)) for _ in range(TASKS)]
    try:
        for _ in tasks:
            assert await asyncio.to_thread(blocking.waiting.acquire, timeout=PATIENCE), (
                "a wait does not begin"
            )
        assert not any(task.done() for task in tasks)
    finally:
        await store.close()
    assert {push.fence for push in await asyncio.gather(*tasks) if push is not None} == {2}


async def test_a_wait_that_gets_no_thread_in_time_ends() -> None:
    blocking = Blocking()
    store = LoopStore(cast(LockStore, blocking))
    tasks = [asyncio.create_task(store.wait("x", "me", PATIENCE)) for _ in range(64)]
    late = asyncio.create_task(store.wait("x", "late", 0.01))
    for _ in tasks:
        assert await asyncio.to_thread(blocking.waiting.acquire, timeout=PATIENCE)
    await asyncio.sleep(0.02)
    await store.close()
    assert await late is None
    await asyncio.gather(*tasks)
