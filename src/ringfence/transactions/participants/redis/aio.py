"""A Redis as a participant, for asyncio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ringfence import _redis
from ringfence.errors import StoreError
from ringfence.protocol import arun
from ringfence.transactions.outcome import Outcome, Vote
from ringfence.transactions.participants import Capabilities
from ringfence.transactions.participants.redis.cluster import AioClusterServer
from ringfence.transactions.participants.redis.durability import shortcoming
from ringfence.transactions.participants.redis.keys import Word
from ringfence.transactions.participants.redis.opening import site
from ringfence.transactions.participants.redis.server import AioServer
from ringfence.transactions.participants.redis.steps import Steps
from ringfence.transactions.participants.redis.work import Work


class RedisBranch:
    """A transaction's work on a Redis, for one task at a time; all that is said of the one for threads holds here."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.gid = work.gid

    @property
    def wrote(self) -> bool:
        """Has it tried to change anything?"""
        return self.work.wrote

    async def get(self, key: Word) -> bytes | None:
        """Return the value of a key, None if there is none."""
        return await arun(self.work.get(key))

    async def set(self, key: Word, value: Word) -> None:
        """Give a key a value, without a time to live."""
        await arun(self.work.set(key, value))

    async def delete(self, key: Word) -> None:
        """Remove a key, whatever it holds, if it is there."""
        await arun(self.work.delete(key))

    async def incrby(self, key: Word, amount: int = 1) -> int:
        """Add to the integer that a key holds, 0 if there is none, and return the sum."""
        return await arun(self.work.incrby(key, amount))

    async def hget(self, key: Word, name: Word) -> bytes | None:
        """Return a field of a hash, None if there is none."""
        return await arun(self.work.hget(key, name))

    async def hset(self, key: Word, name: Word, value: Word) -> None:
        """Give a field of a hash a value."""
        await arun(self.work.hset(key, name, value))

    async def hdel(self, key: Word, name: Word) -> None:
        """Remove a field of a hash, if it is there."""
        await arun(self.work.hdel(key, name))


class RedisParticipant:
    """A participant over a Redis or Valkey, for tasks; all that is said of the one for threads holds here.

    Args:
        url: as there.
        timeout: seconds to wait for other transactions.
        alone: one branch is open at a time.
    """

    def __init__(self, url: str, *, timeout: float = 5.0, alone: bool = False) -> None:
        self.site = site(url, AioServer, AioClusterServer, timeout, alone)
        self.place = (_redis.store(url), self.site.keys.tag)
        self._steps = Steps(self.site)
        self.capabilities = Capabilities(concurrent=not alone, durable=False)
        self._asked = False

    async def shortcoming(self) -> str | None:
        """Say why what the server has acknowledged may be lost; None if it cannot be."""
        return await arun(shortcoming(self.site.server))

    async def begin(self, gid: str) -> RedisBranch:
        """Start the branch of `gid`; with the first one, ask whether the server is durable."""
        if not self._asked:
            await self._ask_durability()
        return RedisBranch(await arun(self._steps.begin(gid)))

    def guard(self, gid: str, resource: str, fence: int) -> None:
        """Compare a fence when the branch is prepared, with the mark that `RedisGuard` compares."""
        self._steps.guard(gid, resource, fence)

    async def prepare(self, gid: str) -> Vote:
        """Stage what the branch writes, if all that it has read is still so, and hold these keys."""
        return await arun(self._steps.prepare(gid))

    async def commit(self, gid: str) -> None:
        """Carry out what is staged."""
        await arun(self._steps.commit(gid))

    async def one_phase(self, gid: str) -> None:
        """Carry the branch out at once, if all that it has read is still so."""
        await arun(self._steps.one_phase(gid))

    async def rollback(self, gid: str) -> None:
        """Drop the branch, or what is staged."""
        await arun(self._steps.rollback(gid))

    async def recover(self, prefix: str = "") -> list[str]:
        """Return the gids of prepared branches that begin with a prefix."""
        return await arun(self._steps.recover(prefix))

    async def settled(self, gid: str) -> Outcome | None:
        """Whether `gid` was committed here in one phase, or never can be."""
        return await arun(self._steps.settled(gid))

    async def settle(self, gid: str) -> Outcome:
        """Like `settled`; a branch that could still commit in one phase no longer can."""
        return await arun(self._steps.settle(gid))

    async def resolve_many(self, gids: Sequence[str], outcome: Outcome) -> list[Exception | None]:
        """Commit or roll back prepared branches, many requests under way at once."""
        return await arun(self._steps.resolve_many(gids, outcome))

    async def close(self) -> None:
        """Give up branches that were not prepared, and connections. Closing twice is harmless."""
        await arun(self._steps.close())
        await self.site.server.close()

    async def _ask_durability(self) -> None:
        try:
            durable = await self.shortcoming() is None
        except StoreError:
            return
        self.capabilities = replace(self.capabilities, durable=durable)
        self._asked = True
