"""The reentrant lock of tasks."""

from __future__ import annotations

import asyncio

from ringfence.aio.locks import Lease, Lock
from ringfence.locks.recipes.rlock import BaseEntry, Reentrant


class Entry(BaseEntry, Lease):
    """One entry of a task into a reentrant lock; see `Lease`."""


class RLock(Reentrant[Lease], Lock):
    """A reentrant lock of `aio.LockManager.rlock()`: the task that holds it may take it again; see `ringfence.RLock`.

    A task that it starts is another one, and waits.
    """

    _entry = Entry
    _who = asyncio.current_task
