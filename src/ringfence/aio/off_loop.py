"""Blocking calls carried out in threads beside the event loop: by one in the order in which they were asked for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from ringfence.errors import StoreError


class OffLoop:
    """Stands for `target`: each of its methods can be called here too, and gives an awaitable of its answer.

    A call that was asked for is carried out even if the task that waits for it is cancelled. So what the task asks
    for next, to undo it, comes after it.

    Args:
        target: an object whose methods may block.
        thread: the name of the thread.
        count: how many threads there are at most; with several, calls overtake each other.
    """

    def __init__(self, target: object, thread: str, count: int = 1) -> None:
        self._target = target
        self._thread = thread
        self._count = count
        self._start()

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        return partial(self._submit, getattr(self._target, method))

    def shut_down(self) -> None:
        """End the threads when they have done what was asked for; what is asked later is refused with `StoreError`."""
        self._ended = True
        self._executor.shutdown(wait=False)

    def _start(self) -> None:
        self._ended = False
        self._process = os.getpid()
        self._executor = ThreadPoolExecutor(self._count, self._thread)

    def _submit(self, method: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        if self._process != os.getpid():  # a forked child has no such thread
            self._start()
        if self._ended:
            raise StoreError(f"{self._thread} was closed; open a new one")
        answer = asyncio.get_running_loop().run_in_executor(self._executor, method, *args)
        answer.add_done_callback(_retrieve)
        return asyncio.shield(answer)


def _retrieve(answer: asyncio.Future[Any]) -> None:
    """Take note of an error that nobody may wait for any more, so that it is not reported as forgotten."""
    if not answer.cancelled():
        answer.exception()
