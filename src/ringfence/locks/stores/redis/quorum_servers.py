"""How the servers of a quorum are reached: all at once, and none makes the others wait for its connection."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

from ringfence.errors import StoreError, StoreTimeout
from ringfence.locks.stores import Holder
from ringfence.locks.stores.redis import requests
from ringfence.locks.stores.redis.aio_connection import LoopConnection
from ringfence.locks.stores.redis.aio_store import AsyncRedisStore
from ringfence.locks.stores.redis.connection import Connection
from ringfence.locks.stores.redis.quorum import Question
from ringfence.locks.stores.redis.store import RedisStore
from ringfence.locks.stores.redis.wire import checked, is_unknown_script, whole
from ringfence.protocol import arun, now, run

Batches = Sequence[Sequence[Question]]


class Start:
    """When a server that was connected to may be asked: not soon after it began, perhaps with nothing.

    Args:
        delay: seconds; 0 for servers that lose nothing.
    """

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._counts_from = 0.0

    def note(self, info: bytes) -> None:
        """Take note of what the server tells of itself."""
        told = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
        uptime = max(int(told["uptime_in_seconds"]) - 1, 0)  # it is rounded by the second
        self._counts_from = now() + self._delay - uptime if self._delay else 0.0

    def check(self) -> None:
        """Raise `StoreTimeout` while it is too early."""
        if now() < self._counts_from:
            raise StoreTimeout("a server has started lately and may have lost leases; it is asked later")


class Server:
    """One server for threads; it is connected to by a thread that lives as long as that takes."""

    def __init__(self, url: str, timeout: float, delay: float) -> None:
        self._store = RedisStore(url, timeout=timeout)
        self._timeout = timeout
        self._start = Start(delay)
        self._first: threading.Thread | None = None
        self._connecting: threading.Thread | None = None
        self._starting = threading.Lock()
        self._failure: StoreError = StoreTimeout("a server is being connected to; try again")

    def approach(self) -> None:
        """Begin to connect unless there is a connection, or a thread makes one."""
        if self._store.live() is not None or self._is_connecting():
            return
        with self._starting:
            if not self._is_connecting():
                thread = threading.Thread(target=self._connect, name="ringfence-quorum", daemon=True)
                thread.start()
                self._connecting = thread
                self._first = self._first or thread

    def connection(self) -> Connection:
        """Return the connection; only the first one is waited for.

        Raises:
            StoreError: there is none now, or the server began too lately.
        """
        if self._first is not None:
            self._first.join(2 * self._timeout)
        connection = self._store.live()
        if connection is None or self._is_connecting():
            raise self._failure
        self._start.check()
        return connection

    def close(self) -> None:
        """Close the connection."""
        self._store.close()
        if self._connecting is not None:
            self._connecting.join(2 * self._timeout)

    def _is_connecting(self) -> bool:
        return self._connecting is not None and self._connecting.is_alive()

    def _connect(self) -> None:
        try:
            self._start.note(self._store.ask("INFO", "server"))
        except StoreError as error:
            self._failure = error


class Servers:
    """Several servers for threads: what they are asked leaves before the first answer is waited for."""

    def __init__(self, urls: Sequence[str], timeout: float, delay: float) -> None:
        self._servers = [Server(url, timeout, delay) for url in urls]

    def ask(self, batches: Batches) -> list[Any]:
        """Ask each server its batch of questions, and return what each answered, or why it did not."""
        for server in self._servers:
            server.approach()
        begun = [
            _caught(self._begin, server, [question.packed() for question in batch])
            for server, batch in zip(self._servers, batches, strict=True)
        ]
        return [each if isinstance(each, StoreError) else _caught(_finish, *each) for each in begun]

    def leases(self) -> list[Any]:
        """Return the leases at each server, or why it did not answer."""
        for server in self._servers:
            server.approach()
        return [_caught(self._leases, server) for server in self._servers]

    def close(self) -> None:
        """Close the connections."""
        for server in self._servers:
            server.close()

    def _leases(self, server: Server) -> list[Holder]:
        return run(requests.leases(server.connection()))

    def _begin(self, server: Server, batch: list[bytes]) -> tuple[Connection, list[bytes], list[Any]]:
        connection = server.connection()
        return connection, batch, connection.begin(batch)


def _finish(connection: Connection, batch: list[bytes], slots: list[Any]) -> list[Any]:
    answers = connection.finish(slots)
    if any(map(is_unknown_script, answers)):
        answers = connection.ask_all([whole(request) for request in batch])
    return [checked(answer) for answer in answers]


def _caught(function: Any, *args: Any) -> Any:
    try:
        return function(*args)
    except StoreError as error:
        return error


class LoopServer:
    """One server for the tasks of an event loop."""

    def __init__(self, url: str, timeout: float, delay: float) -> None:
        self._store = AsyncRedisStore(url, timeout=timeout)
        self._timeout = timeout
        self._start = Start(delay)
        self._first: asyncio.Task[None] | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._failure: StoreError = StoreTimeout("a server is being connected to; try again")

    async def ask(self, batch: Sequence[Question]) -> Any:
        """Ask questions, and return the answers, or why there are none."""
        try:
            return await self._asked([question.packed() for question in batch])
        except StoreError as error:
            return error

    async def _asked(self, batch: list[bytes]) -> list[Any]:
        connection = await self._connection()
        answers = await connection.ask_all(batch)
        if any(map(is_unknown_script, answers)):
            answers = await connection.ask_all([whole(request) for request in batch])
        return [checked(answer) for answer in answers]

    async def leases(self) -> Any:
        """Return the leases, or why there are none."""
        try:
            return await arun(requests.leases(await self._connection()))
        except StoreError as error:
            return error

    async def close(self) -> None:
        """Close the connection."""
        await self._store.close()
        if self._connecting is not None:
            await asyncio.wait([self._connecting])

    async def _connection(self) -> LoopConnection:
        """Return the connection; only the first one of an event loop is waited for."""
        loop = asyncio.get_running_loop()
        if self._first is None or self._first.get_loop() is not loop:
            self._first = self._connecting = loop.create_task(self._connect())
        elif self._store.live() is None and (self._connecting is None or self._connecting.done()):
            self._connecting = loop.create_task(self._connect())
        if not self._first.done():
            await asyncio.wait([self._first], timeout=2 * self._timeout)
        connection = self._store.live()
        if connection is None or self._connecting is None or not self._connecting.done():
            raise self._failure
        self._start.check()
        return connection

    async def _connect(self) -> None:
        try:
            self._start.note(await self._store.ask("INFO", "server"))
        except StoreError as error:
            self._failure = error


class LoopServers:
    """Several servers for the tasks of an event loop."""

    def __init__(self, urls: Sequence[str], timeout: float, delay: float) -> None:
        self._servers = [LoopServer(url, timeout, delay) for url in urls]

    async def ask(self, batches: Batches) -> list[Any]:
        """Ask each server its batch of questions, and return what each answered, or why it did not."""
        pairs = zip(self._servers, batches, strict=True)
        return await asyncio.gather(*(server.ask(batch) for server, batch in pairs))

    async def leases(self) -> list[Any]:
        """Return the leases at each server, or why it did not answer."""
        return await asyncio.gather(*(server.leases() for server in self._servers))

    async def close(self) -> None:
        """Close the connections."""
        for server in self._servers:
            await server.close()
