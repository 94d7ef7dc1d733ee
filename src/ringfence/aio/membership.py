"""Live membership for asyncio: the same membership, opened and closed beside the event loop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self, Unpack

from ringfence.errors import InvalidValue
from ringfence.placement import membership as threads
from ringfence.placement.membership import Change, Registration, Source
from ringfence.placement.membership.arguments import Options
from ringfence.placement.membership.changes import Board
from ringfence.placement.membership.opening import open_source
from ringfence.placement.node import Node
from ringfence.placement.protocol import Placement


class Membership:
    """Keeps a current ring of the nodes that a source lists; see `ringfence.Membership`.

    ::

        async with Membership.from_url("redis://localhost:6379/0?group=shards") as membership:
            await membership.register("shard-7")
            membership.ring["user:42"]

    It is opened by `async with`, in a thread beside the event loop. One thread watches the source, and nothing here
    blocks the loop.

    Args:
        source: where the nodes are listed; the membership closes it in the end.
        ring: the placement to begin with.
        options: those of `ringfence.Membership`.
    """

    def __init__(self, source: Source, ring: Placement | None = None, **options: Unpack[Options]) -> None:
        self._open = partial(threads.Membership, source, ring, **options)
        self._opened: threads.Membership | None = None

    @classmethod
    def from_url(cls, url: str, ring: Placement | None = None, **options: Unpack[Options]) -> Self:
        """Make a membership on the source that a URL names; see `ringfence.Membership.from_url`."""
        return cls(open_source(url), ring, **options)

    @property
    def ring(self) -> Placement:
        """The newest ring: an immutable snapshot."""
        return self._membership.ring

    @property
    def epoch(self) -> int:
        """The epoch of the newest ring."""
        return self._membership.epoch

    @property
    def error(self) -> Exception | None:
        """Why the last reading of the source was not taken, or None if it was."""
        return self._membership.error

    @property
    def age(self) -> float:
        """Seconds since a reading of the source was taken."""
        return self._membership.age

    def suspicion(self, name: str) -> float:
        """Return how much a node is suspected; see `ringfence.Membership.suspicion`."""
        return self._membership.suspicion(name)

    def suspects(self, threshold: float = 8.0) -> tuple[str, ...]:
        """Return the nodes that are suspected; see `ringfence.Membership.suspects`."""
        return self._membership.suspects(threshold)

    def changes(self) -> Changes:
        """Return an iterator over the changes `(old, new, diff)` from now on, until the membership is closed."""
        return Changes(self._membership.board)

    async def register(self, node: str | Node, ttl: float = 10.0) -> Registration:
        """Register a node and keep it registered; see `ringfence.Membership.register`."""
        return await asyncio.to_thread(self._membership.register, node, ttl)

    async def leave(self, registration: Registration) -> None:
        """Take a node out at once; see `Registration.close`, which blocks."""
        await asyncio.to_thread(registration.close)

    async def close(self) -> None:
        """Take out the registrations, stop the threads and close the source. Twice is harmless."""
        if self._opened is not None:
            await asyncio.to_thread(self._opened.close)

    @property
    def _membership(self) -> threads.Membership:
        if self._opened is None:
            raise InvalidValue("this membership is not open; use it as `async with membership:`")
        return self._opened

    async def __aenter__(self) -> Self:
        self._opened = await asyncio.to_thread(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Changes:
    """Iterates over changes with `async for`. Whoever is slow gets several changes as one."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._changes = threads.Changes(board)
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        board.wake(self)

    def wake(self) -> None:
        """Let the task that waits look again; called by another thread."""
        with suppress(RuntimeError):  # the loop was closed, and nobody waits
            self._loop.call_soon_threadsafe(self._news.set)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        while True:
            self._news.clear()
            closed = self._board.closed
            change = self._changes.next(timeout=0)
            if change is not None:
                return change
            if closed:
                raise StopAsyncIteration
            await self._news.wait()
