"""What goes on in tasks of their own: recovery again and again, and the second phase of decided transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from types import TracebackType

from ringfence.aio.locks import report
from ringfence.errors import RingfenceError
from ringfence.transactions.background import AT_ONCE, Decided
from ringfence.transactions.recovery import Recovery
from ringfence.transactions.two_phase import Enlisted


class RecoveryWorker:
    """Recovers in a task, at once and then every few seconds, until it is stopped; leaving `async with` stops it.

    A round that cannot reach a store is made up for by the next one. Errors that are not the package's own, and those
    of `seen`, go to the loop's exception handler too.

    Args:
        recover: one round.
        every: seconds between the end of a round and the next one.
        seen: called with what each round did.

    Attributes:
        rounds: how many have ended.
        last: what the last round did; None before the first one has ended, or when that one failed.
        error: why the last round failed, or `seen` after it, if one did.
    """

    def __init__(
        self, recover: Callable[[], Awaitable[Recovery]], every: float, seen: Callable[[Recovery], object]
    ) -> None:
        self.rounds = 0
        self.last: Recovery | None = None
        self.error: Exception | None = None
        self._recover = recover
        self._every = every
        self._seen = seen
        self._stopped = asyncio.Event()
        self._task = asyncio.ensure_future(self._work())

    async def stop(self) -> None:
        """End it when its round has ended. Stopping twice is harmless."""
        self._stopped.set()
        await asyncio.wait([self._task])

    async def __aenter__(self) -> RecoveryWorker:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _work(self) -> None:
        while not self._stopped.is_set():
            await self._round()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), self._every)

    async def _round(self) -> None:
        try:
            self.last, self.error = await self._recover(), None
        except Exception as error:
            self.last, self.error = None, error
            if not isinstance(error, RingfenceError):
                report("a round of recovery failed; the next one makes up for it", error)
        self.rounds += 1
        if self.last is not None:
            self._show(self.last)

    def _show(self, done: Recovery) -> None:
        try:
            self._seen(done)
        except Exception as error:
            self.error = error
            report("what is called with each recovery failed", error)


class Finisher:
    """Has decided transactions finished in a task, several at once.

    Args:
        finish: tells the branches of some of them. What it cannot tell is left to recovery.
    """

    def __init__(self, finish: Callable[[Sequence[Decided]], Awaitable[object]]) -> None:
        self._finish = finish
        self._waiting: list[Decided] = []
        self._task: asyncio.Future[None] | None = None

    def put(self, gid: str, followers: Sequence[Enlisted]) -> None:
        """Take over a transaction that is decided."""
        self._waiting.append((gid, followers))
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._work())

    async def close(self) -> None:
        """Return once all are told. Closing twice is harmless."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _work(self) -> None:
        while self._waiting:
            some, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            try:
                await self._finish(some)
            except RingfenceError:
                pass  # recovery will meet what failed here, and say so
            except Exception as error:
                report("the second phase of decided transactions failed; recovery makes up for it", error)
