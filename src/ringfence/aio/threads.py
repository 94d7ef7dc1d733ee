"""Blocking stores carried out in worker threads, several at once; for transactions, whose requests may wait long."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any

_WAITING = 64
_WORKING = 8


class Threads:
    """Worker threads: for requests that wait for other transactions, for those of branches, and for decision stores.

    They are kept apart, so that those who wait can never keep the others from ending. A decision store waits too, where
    a branch has locked the file in which the decisions stand.

    Attributes:
        closed: they take no more requests.
    """

    def __init__(self) -> None:
        self.closed = False
        self._waiting = ThreadPoolExecutor(_WAITING, "ringfence-waiting")
        self._working = ThreadPoolExecutor(_WORKING, "ringfence-working")
        self._deciding = ThreadPoolExecutor(_WORKING, "ringfence-deciding")

    async def wait(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Carry out a call that may have to wait for other transactions."""
        return await _finished(self._waiting, function, arguments)

    async def work(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Carry out a call that waits for nobody."""
        return await _finished(self._working, function, arguments)

    async def decide(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Carry out a call of a decision store, which may have to wait for a branch in the same file."""
        return await _finished(self._deciding, function, arguments)

    def close(self) -> None:
        """End the threads when they have done what was asked for."""
        self.closed = True
        self._waiting.shutdown(wait=False)
        self._working.shutdown(wait=False)
        self._deciding.shutdown(wait=False)


class Threaded:
    """Stands for a blocking participant or branch: each method can be called here too, and gives an awaitable."""

    def __init__(self, store: object, threads: Threads) -> None:
        self._store = store
        self._threads = threads

    @property
    def capabilities(self) -> Any:
        """What the participant can do beyond two phases."""
        return self._store.capabilities  # type: ignore[attr-defined]

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        function, place = getattr(self._store, method), self._place(method)
        return lambda *arguments, **named: place(partial(function, *arguments, **named))

    def _place(self, method: str) -> Callable[..., Awaitable[Any]]:
        return self._threads.wait if method == "begin" else self._threads.work


class ThreadedDecisions(Threaded):
    """Stands for a blocking decision store in the same way."""

    async def carried_by(self, participant: Any) -> bool:
        """Is this decision store in that participant's database?"""
        store = participant._store if isinstance(participant, Threaded) else participant
        carried: bool = await self._threads.decide(self._store.carried_by, store)  # type: ignore[attr-defined]
        return carried

    def _place(self, _: str) -> Callable[..., Awaitable[Any]]:
        return self._threads.decide


def threaded(store: Any, threads: Threads, stand_in: type[Threaded] = Threaded) -> Any:
    """The store itself when its methods are coroutines already, else one whose methods give awaitables."""
    return store if inspect.iscoroutinefunction(store.close) else stand_in(store, threads)


async def _finished(executor: Executor, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """The call's result. A task that is cancelled meanwhile goes on when the call has ended, and not before."""
    future = asyncio.get_running_loop().run_in_executor(executor, function, *arguments)
    return await to_the_end(future)


async def to_the_end(future: asyncio.Future[Any]) -> Any:
    """Wait for `future` however often this task is cancelled; only then let the cancellation go on."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        future.exception()  # taken note of, so that it is not reported as forgotten
        raise cancelled
    return future.result()
