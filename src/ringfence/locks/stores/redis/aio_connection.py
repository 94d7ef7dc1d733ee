"""One connection that all tasks of an event loop share: requests of one turn of the loop leave in one write."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from ringfence.errors import StoreTimeout
from ringfence.locks.stores.redis.line import HUNG_UP, Line, Lost


class TaskSlot:
    """Where a task waits for one answer or push."""

    __slots__ = ("future", "until")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[Any] = loop.create_future()
        self.until = 0.0  # when one who waits for a push asks again

    def settle(self, value: object) -> None:
        """Put the answer there; the task goes on with it."""
        if not self.future.done():
            self.future.set_result(value)


class LoopConnection(Line[TaskSlot], asyncio.Protocol):
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

    async def ask(self, request: bytes) -> Any:
        """Send a request and return its answer, whatever it is.

        Raises:
            StoreTimeout: the connection was lost before; nothing was sent.
            OutcomeUnknown: no answer came.
        """
        slot = TaskSlot(self.loop)
        self._send(request, (slot,))
        return _answer(await slot.future)

    async def ask_all(self, requests: Sequence[bytes]) -> list[Any]:
        """Send requests at once and return their answers in order; it raises what `ask` does."""
        slots = [TaskSlot(self.loop) for _ in requests]
        self._send(b"".join(requests), slots)
        return [_answer(await slot.future) for slot in slots]

    async def wait(self, slot: TaskSlot, seconds: float) -> Any:
        """Return the push that comes within `seconds`; None if there is none."""
        await asyncio.wait((slot.future,), timeout=seconds)
        return slot.future.result() if slot.future.done() else None

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

    def _send(self, request: bytes, slots: Sequence[TaskSlot]) -> None:
        if self.lost is not None:
            raise StoreTimeout(f"the connection was lost ({self.lost}); nothing was sent, try again")
        if not self._unsent:
            self.loop.call_soon(self._flush)
        if not self._unanswered:
            self._watch_over(slots[0])
        self._unsent.append(request)
        self._unanswered.extend(slots)

    def _flush(self) -> None:
        requests, self._unsent = self._unsent, []
        if self.lost is None:
            self._transport.write(b"".join(requests))

    def _watch_over(self, first: TaskSlot) -> None:
        """Give the connection up if the first request that is unanswered now still is after the timeout."""
        if self._watch is None:
            self._watch = self.loop.call_later(self._timeout, self._look, first)

    def _look(self, first: TaskSlot) -> None:
        self._watch = None
        if not self._unanswered:
            return
        if self._unanswered[0] is first:
            self.give_up(f"no answer in {self._timeout} s")
        else:
            self._watch_over(self._unanswered[0])


def _answer(value: Any) -> Any:
    if isinstance(value, Lost):
        raise value.error()
    return value
