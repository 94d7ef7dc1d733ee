"""One connection that all tasks of an event loop share: requests of one turn of the loop leave in one write."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from ringfence._core.exchange import HUNG_UP
from ringfence.errors import StoreTimeout
from ringfence.locks.stores.redis.line import Line, Lost

AT_ONCE = 32
"""Requests after which a write does not wait for the end of the loop's turn: the server begins with them meanwhile."""


class TaskSlot:
    """Where a task waits for a push; it costs nothing where none comes."""

    __slots__ = ("_future", "until", "value")

    def __init__(self) -> None:
        self.value: object = None
        self.until = 0.0  # when the task asks again
        self._future: asyncio.Future[None] | None = None

    def settle(self, value: object) -> None:
        """Put the push there, and let the task go on; a second one is ignored."""
        if self.value is None:
            self.value = value
            if self._future is not None and not self._future.done():
                self._future.set_result(None)

    async def wait(self, seconds: float) -> object:
        """Return what comes within `seconds`; None if nothing does."""
        if self.value is None:
            self._future = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._future,), timeout=seconds)
        return self.value


class LoopConnection(Line["asyncio.Future[Any]", TaskSlot], asyncio.Protocol):
    """A connection that redis-py has opened, and who waits for what comes from it.

    Args:
        opened: a connected `redis.asyncio.Connection`; its transport is taken over.
        timeout: seconds to wait for an answer before the connection is given up.

    Attributes:
        loop: the event loop it belongs to.
    """

    def __init__(self, opened: Any, timeout: float) -> None:
        super().__init__()
        self.loop = asyncio.get_running_loop()
        self._opened = opened
        self._timeout = timeout
        self._transport: asyncio.Transport = opened._writer.transport
        self._transport.set_protocol(self)
        self._unsent: list[bytes] = []
        self._watch: asyncio.TimerHandle | None = None

    def send(self, request: bytes) -> asyncio.Future[Any]:
        """Send a request, and return where its answer will be: whatever the server says, or a `Lost`.

        Raises:
            StoreTimeout: the connection was lost before; nothing was sent.
        """
        if self.lost is not None:
            raise StoreTimeout(f"the connection was lost ({self.lost}); nothing was sent, try again")
        future = self.loop.create_future()
        if not self._unanswered:
            self._watch_over(future)
        self._unanswered.append(future)
        unsent = self._unsent
        if not unsent:
            self.loop.call_soon(self._flush)
        unsent.append(request)
        if len(unsent) == AT_ONCE:
            self._flush()
        return future

    async def ask(self, request: bytes) -> Any:
        """Send a request and return its answer, whatever it is.

        Raises:
            StoreTimeout: the connection was lost before; nothing was sent.
            OutcomeUnknown: no answer came.
        """
        return answered(await self.send(request))

    async def ask_all(self, requests: Sequence[bytes]) -> list[Any]:
        """Send requests at once and return their answers in order; it raises what `ask` does."""
        futures = [self.send(request) for request in requests]
        return [answered(await future) for future in futures]

    def close(self, reason: str = "it was closed") -> None:
        """Close the connection, and tell everyone who waits."""
        self.give_up(reason)

    def give_up(self, reason: str) -> None:
        """Close the connection, and tell everyone who waits."""
        super().give_up(reason)
        if self._watch is not None:
            self._watch.cancel()
        self._transport.abort()
        self._opened._close()

    def data_received(self, data: bytes) -> None:
        """Take in what the event loop has read."""
        self.received(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- so asyncio calls it
        """Take note that the connection has ended."""
        if self.lost is None:
            self.give_up(HUNG_UP)

    def _answered(self, value: object) -> None:
        future = self._unanswered.popleft()
        if not future.done():
            future.set_result(value)

    def _flush(self) -> None:
        """Write what has gathered, if the connection has not taken it already."""
        if self._unsent and self.lost is None:
            requests, self._unsent = self._unsent, []
            self._transport.write(b"".join(requests))

    def _watch_over(self, first: asyncio.Future[Any]) -> None:
        """Give the connection up if the first request that is unanswered now still is after the timeout."""
        if self._watch is None:
            self._watch = self.loop.call_later(self._timeout, self._look, first)

    def _look(self, first: asyncio.Future[Any]) -> None:
        self._watch = None
        if not self._unanswered:
            return
        if self._unanswered[0] is first:
            self.give_up(f"no answer in {self._timeout} s")
        else:
            self._watch_over(self._unanswered[0])


def answered(value: Any) -> Any:
    """Return an answer, or raise what stands for it."""
    if type(value) is Lost:
        raise value.error()
    return value
