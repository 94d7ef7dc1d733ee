"""What a task waits on until another task, or a thread, wakes it."""

from __future__ import annotations

import asyncio
import contextlib
import threading


class TaskWaiter:
    """A wait of one task of the running event loop."""

    def __init__(self) -> None:
        self.since: float | None = None
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._woken = self._loop.create_future()

    async def wait(self, seconds: float) -> None:
        """Wait until woken, `seconds` at most."""
        await asyncio.wait([self._woken], timeout=seconds)
        if self._woken.done():
            self._woken = self._loop.create_future()

    def wake(self) -> None:
        """End the wait; any thread may do so."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            if threading.get_ident() == self._thread:
                self._wake()
            else:
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if not self._woken.done():
            self._woken.set_result(None)
