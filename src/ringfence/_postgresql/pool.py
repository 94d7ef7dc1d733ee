"""A few connections that the threads, or the tasks, of a process share."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Any

from ringfence._forks import tell_of_forks
from ringfence._postgresql.line import AsyncLine, BaseLine, Line, Steps
from ringfence.errors import StoreError, StoreTimeout

MOST = 32


class BasePool:
    """Idle connections, and what becomes of those that are given back; a forked child uses none of its parent.

    Args:
        url: `postgresql://…`, with the options of libpq.
        timeout: seconds to wait for a connection.
        prepare: the first requests on each new connection.
        most: how many connections there are at most, but for those that are urgent.
    """

    _free: Any

    def __init__(
        self, url: str, timeout: float, prepare: Callable[[BaseLine], Steps[None]], most: int = MOST
    ) -> None:
        self._url = url
        self._timeout = timeout
        self._prepare = prepare
        self._most = most
        self._closed = False
        self.forked()
        tell_of_forks(self)

    def give(self, line: BaseLine) -> None:
        """Take a connection back; one that is in a transaction, or whose answers were not read, is closed."""
        if self._process != os.getpid():
            return
        if self._closed or line.closed or not line.idle:
            line.close()
        else:
            self._idle.append(line)
        counted, line.counted = line.counted, False
        if counted:
            self._free.release()

    def close(self) -> None:
        """Close the idle connections now, the others when they are given back. Closing twice is harmless."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def forked(self) -> None:
        """Start afresh in a forked child: the connections are the parent's."""
        self._process = os.getpid()
        self._idle: list[Any] = []

    def _kept(self) -> Any:
        """Return an idle connection that is sound, None when there is none."""
        if self._closed:
            raise StoreError("the store was closed; open a new one")
        while self._idle:
            try:
                line = self._idle.pop()
            except IndexError:  # another thread was faster
                return None
            if line.is_sound():
                return line
            line.close()
        return None

    def _none_free(self) -> StoreTimeout:
        return StoreTimeout(f"all {self._most} connections to PostgreSQL are in use; try again")


class Pool(BasePool):
    """Connections for threads."""

    def forked(self) -> None:
        """Start afresh in a forked child."""
        super().forked()
        self._free = threading.BoundedSemaphore(self._most)

    def take(self, urgent: bool = False) -> Line:
        """Return a connection that is in no transaction; give it back with `give`.

        Args:
            urgent: it is for one request that others wait for, so it is had even while all are in use.

        Raises:
            BackendUnavailable: the server cannot be reached.
            StoreTimeout: all connections are in use.
            StoreError: the pool was closed.
        """
        if not urgent and not self._free.acquire(timeout=self._timeout):
            raise self._none_free()
        try:
            line = self._kept() or self._open()
        except BaseException:
            if not urgent:
                self._free.release()
            raise
        line.counted = not urgent
        return line

    def _open(self) -> Line:
        line = Line.open(self._url, self._timeout)
        try:
            line.follow(self._prepare(line))
        except BaseException:
            line.close()
            raise
        return line


class AsyncPool(BasePool):
    """Connections for tasks."""

    def forked(self) -> None:
        """Start afresh in a forked child."""
        super().forked()
        self._free = asyncio.BoundedSemaphore(self._most)

    async def take(self, urgent: bool = False) -> AsyncLine:
        """Return a connection that is in no transaction; see `Pool.take`."""
        if not urgent:
            await self._wait_for_one()
        try:
            line = self._kept() or await self._open()
        except BaseException:
            if not urgent:
                self._free.release()
            raise
        line.counted = not urgent
        return line

    async def _wait_for_one(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._free.acquire()
        except TimeoutError:
            raise self._none_free() from None

    async def _open(self) -> AsyncLine:
        line = await AsyncLine.open(self._url, self._timeout)
        try:
            await line.follow(self._prepare(line))
        except BaseException:
            line.close()
            raise
        return line
