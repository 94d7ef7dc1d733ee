"""A blocking lock store as the event loop uses it: its requests made beside the loop, its waiters woken by the loop."""

from __future__ import annotations

import inspect
from typing import Any

from ringfence.aio.off_loop import OffLoop
from ringfence.aio.waiter import TaskWaiter
from ringfence.locks.stores import LockStore, Push
from ringfence.locks.stores.listening import Listening, waiting
from ringfence.locks.stores.memory import MemoryStore
from ringfence.protocol import arun, now

_WAITS = 64  # at one time; whoever comes when all are taken asks again instead


class LoopStore:
    """Stands for `store`: its methods can be called here too, and those that may block give an awaitable.

    A store in memory is asked at once, and any other in one thread beside the event loop. A store of this library
    needs no thread to wait; one that is not gets a thread for each wait.

    Args:
        store: a lock store for threads.
    """

    def __init__(self, store: LockStore) -> None:
        self.shared = store.shared
        self.session_bound = getattr(store, "session_bound", False)
        self._store = store
        self._beside = None if isinstance(store, MemoryStore) else OffLoop(store, "ringfence-locks")
        self._asked = store if self._beside is None else self._beside
        self._waits = OffLoop(_Waits(store), "ringfence-locks-wait", _WAITS)

    @property
    def on_lost(self) -> Any:
        """What the store calls when it learns of a loss; a store that never does has no such attribute."""
        return self._store.on_lost  # type: ignore[attr-defined]

    @on_lost.setter
    def on_lost(self, callback: Any) -> None:
        self._store.on_lost = callback  # type: ignore[attr-defined]

    def __getattr__(self, method: str) -> Any:
        return getattr(self._asked, method)

    async def wait(self, name: str, owner: str, seconds: float) -> Push | None:
        """Wait for a grant to `owner`, who has a place in the queue; `seconds` at most."""
        store = self._store
        if not isinstance(store, Listening):
            push: Push | None = await self._waits.wait(name, owner, now() + seconds)
            return push
        return await arun(waiting(self._asked, name, owner, seconds, TaskWaiter()))

    async def close(self) -> None:
        """Close the store, and end the thread when it has done what was asked for."""
        if self._beside is None:
            self._store.close()
            return
        try:
            await self._beside.close()
        finally:
            self._beside.shut_down()
            self._waits.shut_down()


class _Waits:
    """Waits in threads that may have been busy until now."""

    def __init__(self, store: LockStore) -> None:
        self._store = store

    def wait(self, name: str, owner: str, until: float) -> Push | None:
        left = until - now()
        return self._store.wait(name, owner, left) if left > 0 else None


def on_loop(store: Any) -> Any:
    """Return the store itself when its methods are coroutines already, else what stands for it on an event loop."""
    return store if inspect.iscoroutinefunction(store.close) else LoopStore(store)
