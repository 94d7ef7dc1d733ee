"""Guarded writes from asyncio: every guard as it is, with what may block in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from ringfence.aio.threads import to_the_end
from ringfence.locks.guards.base import BaseGuard
from ringfence.locks.lease import BaseLease

W = TypeVar("W")


@asynccontextmanager
async def guarded(guard: BaseGuard[W], holder: BaseLease | int) -> AsyncIterator[W]:
    """Open a guarded write, as `guard.write(holder)` does, without holding up the event loop.

    ::

        async with manager.lock("report") as lease, guarded(guard, lease) as commands:
            commands.set("report", body)

    The beginning and the end are carried out in a thread. What the block asks of a connection to a database blocks as
    ever: put that into `asyncio.to_thread`. A task that is cancelled inside the block writes nothing; one that is
    cancelled while the block ends goes on when it has ended, and what was written stays.

    Args:
        guard: any guard.
        holder: a lease, of asyncio or not, or a fence.

    Raises:
        FenceRejected: a newer holder has written; and all else that `guard.write` raises.
    """
    # A thread of its own: were there a few for all, those who wait for another could keep that one from ending.
    thread = ThreadPoolExecutor(1, "ringfence-guard")
    try:
        async with _block(guard, holder, thread) as writing:
            yield writing
    finally:
        thread.shutdown(wait=False)


@asynccontextmanager
async def _block(
    guard: BaseGuard[W], holder: BaseLease | int, thread: ThreadPoolExecutor
) -> AsyncIterator[W]:
    def work(function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().run_in_executor(thread, function, *arguments)

    block = guard.write(holder)
    begun = work(block.__enter__)
    try:
        yield await to_the_end(begun)
    except BaseException as error:
        if begun.exception() is not None:
            raise
        if not await to_the_end(work(block.__exit__, type(error), error, error.__traceback__)):
            raise
    else:
        await to_the_end(work(block.__exit__, None, None, None))
