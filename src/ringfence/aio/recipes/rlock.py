"""The reentrant lock of tasks."""

from __future__ import annotations

import asyncio

from ringfence.aio.locks import Lease, Lock
from ringfence.locks.recipes.rlock import BaseEntry, Reentrant
from ringfence.protocol import arun


class Entry(BaseEntry, Lease):
    """One entry of a task into a reentrant lock; see `Lease`."""

    async def release(self) -> bool:
        """Leave; return whether the lock is, or was, still held. A second call returns False.

        Raises:
            StoreError: the store failed or did not answer; see `Lease.release`.
        """
        return await arun(self._releasing())


class RLock(Reentrant[Lease], Lock):
    """A reentrant lock of `aio.LockManager.rlock()`: the task that holds it may take it again; see `ringfence.RLock`.

    A task that it starts is another one, and waits.
    """

    _entry = Entry
    _who = asyncio.current_task

    async def _acquire(self, timeout: float | None) -> Lease | None:
        return await arun(self._acquiring(timeout))
