"""Cancels the task in a lock's block when the lease is lost, as `asyncio.timeout` does when time is up."""

from __future__ import annotations

import asyncio
from typing import Any

from ringfence.locks.lease import BaseLease
from ringfence.locks.recipes.multi import BaseLeases


class CancelOnLost:
    """The block of a lease, or of several: entered in the task that is to be cancelled.

    Args:
        lease: what must not be lost while the block lasts.
    """

    def __init__(self, lease: BaseLease | BaseLeases[Any]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._before = task.cancelling()
        self._left = False
        self._cancelled = False
        lease.on_lost(self._cancel)

    def leave(self, error: BaseException | None) -> bool:
        """End the block; return whether `error` is a cancellation that came of the loss, and of nothing else."""
        self._left = True
        if not self._cancelled or self._task.uncancel() > self._before:
            return False
        return isinstance(error, asyncio.CancelledError)

    def _cancel(self, _: object) -> None:
        if not self._left:
            self._cancelled = True
            self._task.cancel()
