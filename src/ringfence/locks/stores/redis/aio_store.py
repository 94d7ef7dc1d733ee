"""The lock store in Redis for the tasks of an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

from ringfence import _redis
from ringfence.errors import StoreError
from ringfence.locks.stores import Claim, Holder, Push, Status
from ringfence.locks.stores.redis import requests
from ringfence.locks.stores.redis.aio_connection import LoopConnection, TaskSlot, answered
from ringfence.locks.stores.redis.line import HungUp
from ringfence.locks.stores.redis.opening import Replicas, Target
from ringfence.locks.stores.redis.wire import checked, command, is_unknown_script, whole
from ringfence.protocol import arun, now


class AsyncRedisStore:
    """`RedisStore` for asyncio: its methods are coroutines, and it needs no thread.

    It serves one event loop at a time; asked by another loop, it connects afresh.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with the options of redis-py, or `redis+sentinel://`; and
            `wait_replicas=n`: a grant counts when so many replicas have it.
        timeout: seconds to wait for an answer. The request is given up then, and the connection with it.

    Raises:
        BackendUnavailable: redis-py is not installed.
        InvalidValue: redis-py does not understand the URL.
    """

    shared = True

    def __init__(self, url: str, *, timeout: float = 1.0) -> None:
        self._target = Target(url)
        self._timeout = timeout
        self._replicas = Replicas(url, timeout)
        self._client = _redis.aclient(self._replicas.url, timeout=timeout)
        self._connection: LoopConnection | None = None
        self._connecting: asyncio.Task[LoopConnection] | None = None

    def grant(
        self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1
    ) -> Awaitable[int | None]:
        """Give the lock to `owner` and return the fence; None if another has it, or others wait for it."""
        return self._line_up(name, owner, ttl, fences) if queue else self._ask_once(name, owner, ttl, fences)

    async def wait(self, name: str, owner: str, seconds: float) -> Push | None:  # noqa: ARG002 -- owners are unique
        """Wait for a grant to `owner`, who has a place in the queue; `seconds` at most."""
        connection = self._connection
        slot = connection.waiters.get(owner) if connection is not None else None
        if connection is None or slot is None:
            return None
        push = await slot.wait(min(slot.until - now(), seconds))
        if not isinstance(push, Push):
            return None
        connection.waiters.pop(owner, None)
        return None if self._replicas.requests else push  # asked again, it counts when they have it

    async def renew(self, claims: Sequence[Claim], asking: bool = False) -> list[bool]:
        """Extend the leases that are still held; for each claim, say whether it is; see `RedisStore.renew`."""
        if asking:
            return [await self._ask_moving(requests.renew(claim)) == 1 for claim in claims]
        held: list[bool] = []
        for batch in requests.renewals(claims):  # in one batch: what counts is what this connection wrote
            answers = await self._ask_all([*batch, *self._replicas.requests])
            self._replicas.check(answers[len(batch) :])
            held += (answer == 1 for answer in answers[: len(batch)])
        return held

    async def release(self, name: str, owner: str, fence: int) -> bool:
        """Free the lock if this owner holds it with this fence, for the next waiter; say whether it did."""
        connection = self.live() or await self._connected()
        request = requests.release(name, owner, fence)
        answer = await connection.send(request)
        return bool(answer if type(answer) is int else await self._resolved(connection, request, answer))

    async def withdraw(self, name: str, owner: str) -> None:
        """Free the lock if this owner holds it with whatever fence, and take the owner out of the queue."""
        connection = await self._connected()
        connection.waiters.pop(owner, None)
        await self._ask(connection, requests.withdraw(name, owner))

    async def status(self, name: str) -> Status:
        """Return who holds a lock, and who waits for it."""
        return requests.told(name, (await self._ask_all([requests.status(name)]))[0])

    async def leases(self) -> list[Holder]:
        """Return all leases there are, by name and then by fence."""
        return await arun(requests.leases(await self._connected()))

    async def ask(self, *words: str) -> Any:
        """Return the answer to a command."""
        return checked(await (await self._connected()).ask(command(*words)))

    async def close(self) -> None:
        """Close the connection; leases stay as they are. Closing twice is harmless."""
        self._target.closed = True
        if self._connecting is not None:
            await asyncio.wait([self._connecting])
        if self._connection is not None:
            self._connection.give_up("it was closed")

    async def _ask_once(
        self, name: str, owner: str, ttl: float, fences: int, again: bool = True
    ) -> int | None:
        connection = self.live() or await self._connected()
        try:
            answer = await self._ask(connection, requests.grant(name, owner, ttl, fences))
        except HungUp:  # perhaps while nothing was asked; a second time cannot harm
            if not again:
                raise
            return await self._ask_once(name, owner, ttl, fences, again=False)
        return await self._counted(connection, name, owner, answer) if answer > 0 else None

    async def _line_up(
        self, name: str, owner: str, ttl: float, fences: int, again: bool = True
    ) -> int | None:
        connection = self.live() or await self._connected()
        request = requests.grant(name, owner, ttl, fences, connection.channel)
        slot = connection.waiters[owner] = TaskSlot()  # before the push can come
        answer = 0
        try:
            first = await connection.send(request)
            answer = first if type(first) is int else await self._resolved(connection, request, first)
        except HungUp:
            if not again:
                raise
            return await self._line_up(name, owner, ttl, fences, again=False)
        finally:
            if answer >= 0:
                connection.waiters.pop(owner, None)
        if answer > 0:
            return await self._counted(connection, name, owner, answer) if self._replicas.requests else answer
        slot.until = now() + requests.patience(answer)
        return None

    async def _counted(self, connection: LoopConnection, name: str, owner: str, fence: int) -> int:
        """Return the fence of a grant that enough replicas have; withdraw another."""
        for request in self._replicas.requests:
            missing = self._replicas.missing(name, checked(await connection.ask(request)))
            if missing is not None:
                await self._ask(connection, requests.withdraw(name, owner))
                raise missing
        return fence

    async def _ask(self, connection: LoopConnection, request: bytes) -> int:
        return await self._resolved(connection, request, await connection.send(request))

    async def _resolved(self, connection: LoopConnection, request: bytes, answer: Any) -> int:
        """Return what a request comes to whose first answer is no number, perhaps."""
        if is_unknown_script(answer):
            answer = await connection.send(whole(request))
        return int(checked(answered(answer)))

    async def _ask_moving(self, request: bytes) -> Any:
        answers = await (await self._connected()).ask_all([command("ASKING"), whole(request)])
        return checked(answers[1])

    async def _ask_all(self, batch: list[bytes]) -> list[Any]:
        connection = await self._connected()
        answers = await connection.ask_all(batch)
        if any(map(is_unknown_script, answers)):
            answers = await connection.ask_all([whole(request) for request in batch])
        return [checked(answer) for answer in answers]

    def live(self) -> LoopConnection | None:
        """Return the connection of the running loop, if it stands."""
        connection = self._connection
        if connection is None or connection.lost is not None:
            return None
        return connection if connection.loop is asyncio.get_running_loop() else None

    async def _connected(self) -> LoopConnection:
        connection = self.live()
        if connection is not None:
            return connection
        loop = asyncio.get_running_loop()
        if self._connecting is None or self._connecting.get_loop() is not loop:
            self._connecting = loop.create_task(self._connect())
        return await asyncio.shield(self._connecting)

    async def _connect(self) -> LoopConnection:
        """Connect for all tasks that ask meanwhile, whichever of them is cancelled."""
        try:
            self._target.check()
            try:
                self._connection = await self._open()
            except StoreError as error:
                raise self._target.failed(error) from error
            self._target.connected()
            return self._connection
        finally:
            self._connecting = None

    async def _open(self) -> LoopConnection:
        pool = self._client.connection_pool
        opened = pool.connection_class(**pool.connection_kwargs)
        try:
            with _redis.translating(self._target.place):
                await opened.connect()
            connection = LoopConnection(opened, self._timeout)
            checked(await connection.ask(command("SUBSCRIBE", connection.channel)))
        except BaseException:
            await opened.disconnect(nowait=True)
            raise
        finally:
            for sentinel in _redis.sentinels(self._client):
                await sentinel.connection_pool.disconnect()
        return connection
