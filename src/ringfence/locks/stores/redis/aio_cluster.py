"""The lock store in a Redis Cluster for the tasks of an event loop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ringfence.locks.stores import Claim, Holder, Push, Status
from ringfence.locks.stores.redis.aio_store import AsyncRedisStore
from ringfence.locks.stores.redis.slots import Cluster
from ringfence.protocol import arun


class AsyncClusterStore:
    """`ClusterStore` for asyncio: its methods are coroutines, and it needs no thread.

    Args:
        url: `redis+cluster://host:port,host:port` or `rediss+cluster://…`, with the options of redis-py.
        timeout: seconds to wait for an answer of a node.

    Raises:
        BackendUnavailable: redis-py is not installed.
        InvalidValue: redis-py does not understand the URL.
    """

    shared = True

    def __init__(self, url: str, *, timeout: float = 1.0) -> None:
        self._cluster = Cluster(url, partial(AsyncRedisStore, timeout=timeout))

    async def grant(
        self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1
    ) -> int | None:
        """Give the lock to `owner` and return the fence; None if another has it, or others wait for it."""
        fence: int | None = await arun(self._cluster.ask(name, "grant", name, owner, ttl, queue, fences))
        return fence

    async def wait(self, name: str, owner: str, seconds: float) -> Push | None:
        """Wait for a grant to `owner`, who has a place in the queue; `seconds` at most."""
        push: Push | None = await arun(self._cluster.ask(name, "wait", name, owner, seconds))
        return push

    async def renew(self, claims: Sequence[Claim]) -> list[bool | None]:
        """Extend the leases that are still held; None for one whose node did not answer."""
        return await arun(self._cluster.renew(claims))

    async def release(self, name: str, owner: str, fence: int) -> bool:
        """Free the lock if this owner holds it with this fence, for the next waiter; say whether it did."""
        return bool(await arun(self._cluster.ask(name, "release", name, owner, fence)))

    async def withdraw(self, name: str, owner: str) -> None:
        """Free the lock if this owner holds it with whatever fence, and take the owner out of the queue."""
        await arun(self._cluster.ask(name, "withdraw", name, owner))

    async def status(self, name: str) -> Status:
        """Return who holds a lock, and who waits for it."""
        status: Status = await arun(self._cluster.ask(name, "status", name))
        return status

    async def leases(self) -> list[Holder]:
        """Return all leases there are, by name and then by fence."""
        return await arun(self._cluster.leases())

    async def close(self) -> None:
        """Close the connections; leases stay as they are. Closing twice is harmless."""
        for node in list(self._cluster.nodes.values()):
            await node.close()
