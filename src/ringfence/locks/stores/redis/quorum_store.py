"""The lock store at a majority of independent Redis servers, for threads and for the tasks of an event loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ringfence import _redis
from ringfence.errors import InvalidValue
from ringfence.locks.stores import Claim, Holder, Status
from ringfence.locks.stores.redis.quorum import Quorum
from ringfence.locks.stores.redis.quorum_servers import LoopServers, Servers
from ringfence.protocol import arun, run

_TIMEOUT = 0.25
_DELAY = 60.0


class QuorumStore:
    """Leases at a majority of an odd number of independent Redis or Valkey servers; `quorum` says what that is worth.

    Args:
        url: `redis+quorum://host:port,host:port,host:port` or `rediss+quorum://…`, with the options of redis-py, and
            `restart_delay`: seconds for which a server that starts again is left out (60), the longest ttl; 0 where
            they lose nothing, because each write is on the disk before it is answered.
        timeout: seconds to wait for an answer of a server. It counts as silent then.

    Raises:
        BackendUnavailable: redis-py is not installed.
        InvalidValue: redis-py does not understand the URL, the servers are even in number, or one is named twice.
    """

    shared = False

    def __init__(self, url: str, *, timeout: float = _TIMEOUT) -> None:
        urls, delay = servers(url)
        self._servers = Servers(urls, timeout, delay)
        self._quorum = Quorum(self._servers, len(urls), delay or float("inf"))

    def grant(self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1) -> int | None:  # noqa: ARG002
        """Give the lock to `owner` and return the fence; None if another has it. There is no queue."""
        return run(self._quorum.grant(name, owner, ttl, fences))

    def wait(self, name: str, owner: str, seconds: float) -> None:  # noqa: ARG002 -- nobody is told
        """Pause before the lock is asked for again."""
        return run(self._quorum.wait(seconds))

    def renew(self, claims: Sequence[Claim]) -> list[bool | None]:
        """Extend the leases that are still held at a majority; None where that is open."""
        return run(self._quorum.renew(claims))

    def release(self, name: str, owner: str, fence: int) -> bool:
        """Free the lock everywhere if this owner holds it with this fence; say whether it did, at a majority."""
        return run(self._quorum.release(name, owner, fence))

    def withdraw(self, name: str, owner: str) -> None:
        """Free the lock everywhere if this owner holds it with whatever fence."""
        run(self._quorum.withdraw(name, owner))

    def status(self, name: str) -> Status:
        """Return who holds a lock at a majority."""
        return run(self._quorum.status(name))

    def leases(self) -> list[Holder]:
        """Return all leases that a majority keeps, by name and then by fence."""
        return run(self._quorum.leases())

    def close(self) -> None:
        """Close the connections; leases stay as they are. Closing twice is harmless."""
        self._servers.close()


class AsyncQuorumStore:
    """`QuorumStore` for asyncio: its methods are coroutines, and it needs no thread."""

    shared = False

    def __init__(self, url: str, *, timeout: float = _TIMEOUT) -> None:
        urls, delay = servers(url)
        self._servers = LoopServers(urls, timeout, delay)
        self._quorum = Quorum(self._servers, len(urls), delay or float("inf"))

    async def grant(
        self,
        name: str,
        owner: str,
        ttl: float,
        queue: bool = False,  # noqa: ARG002 -- there is none
        fences: int = 1,
    ) -> int | None:
        """Give the lock to `owner` and return the fence; None if another has it. There is no queue."""
        return await arun(self._quorum.grant(name, owner, ttl, fences))

    async def wait(self, name: str, owner: str, seconds: float) -> None:  # noqa: ARG002 -- nobody is told
        """Pause before the lock is asked for again."""
        return await arun(self._quorum.wait(seconds))

    async def renew(self, claims: Sequence[Claim]) -> list[bool | None]:
        """Extend the leases that are still held at a majority; None where that is open."""
        return await arun(self._quorum.renew(claims))

    async def release(self, name: str, owner: str, fence: int) -> bool:
        """Free the lock everywhere if this owner holds it with this fence; say whether it did, at a majority."""
        return await arun(self._quorum.release(name, owner, fence))

    async def withdraw(self, name: str, owner: str) -> None:
        """Free the lock everywhere if this owner holds it with whatever fence."""
        await arun(self._quorum.withdraw(name, owner))

    async def status(self, name: str) -> Status:
        """Return who holds a lock at a majority."""
        return await arun(self._quorum.status(name))

    async def leases(self) -> list[Holder]:
        """Return all leases that a majority keeps, by name and then by fence."""
        return await arun(self._quorum.leases())

    async def close(self) -> None:
        """Close the connections; leases stay as they are. Closing twice is harmless."""
        await self._servers.close()


def servers(url: str) -> tuple[list[str], float]:
    """Return the URL of each server, and for how long one that starts again is left out.

    Raises:
        InvalidValue: they are even in number, one is named twice, or the delay is none.
    """
    plain, delay = _redis.option(url, "restart_delay")
    members = _redis.members(plain)
    if len(members) % 2 == 0 or len(set(members)) < len(members):
        raise InvalidValue(
            f"{_redis.where(url)!r} names {len(members)} servers; a majority needs an odd number of different ones"
        )
    return [_redis.member(plain, member) for member in members], _seconds(delay)


def _seconds(delay: Any) -> float:
    try:
        seconds = _DELAY if delay is None else float(delay)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86400:
        raise InvalidValue(f"restart_delay={delay!r} is no time from 0 to 86400 seconds")
    return seconds
