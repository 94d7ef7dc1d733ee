"""A Redis as a participant, for threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ringfence import _redis
from ringfence.errors import StoreError
from ringfence.protocol import run
from ringfence.transactions.outcome import Outcome, Vote
from ringfence.transactions.participants import Capabilities
from ringfence.transactions.participants.redis.cluster import ClusterServer
from ringfence.transactions.participants.redis.durability import shortcoming
from ringfence.transactions.participants.redis.keys import Word
from ringfence.transactions.participants.redis.opening import site
from ringfence.transactions.participants.redis.server import Server
from ringfence.transactions.participants.redis.steps import Steps
from ringfence.transactions.participants.redis.work import Work


class RedisBranch:
    """A transaction's work on a Redis: it sees its own changes, nobody else does. For one thread at a time.

    What it writes is sent when it is prepared. What it has read must then still be so, and stays so until the
    transaction is over if the branch writes anything. A command that fails fails the transaction, even when its error
    is caught. Keys, fields and values are str, bytes, int or float; they come back as bytes.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.gid = work.gid

    @property
    def wrote(self) -> bool:
        """Has it tried to change anything?"""
        return self.work.wrote

    def get(self, key: Word) -> bytes | None:
        """Return the value of a key, None if there is none.

        Raises:
            InvalidType, InvalidValue: it is no key, or one of the participant's own.
            InDoubt: prepared work of the transaction that it names holds the key.
            Aborted: an earlier command failed, or the branch is over for the server.
            StoreError: the key holds something else, or the server cannot be asked.
        """
        return run(self.work.get(key))

    def set(self, key: Word, value: Word) -> None:
        """Give a key a value, without a time to live. Raises as `get`."""
        run(self.work.set(key, value))

    def delete(self, key: Word) -> None:
        """Remove a key, whatever it holds, if it is there. Raises as `get`."""
        run(self.work.delete(key))

    def incrby(self, key: Word, amount: int = 1) -> int:
        """Add to the integer that a key holds, 0 if there is none, and return the sum. Raises as `get`."""
        return run(self.work.incrby(key, amount))

    def hget(self, key: Word, name: Word) -> bytes | None:
        """Return a field of a hash, None if there is none. Raises as `get`."""
        return run(self.work.hget(key, name))

    def hset(self, key: Word, name: Word, value: Word) -> None:
        """Give a field of a hash a value. Raises as `get`."""
        run(self.work.hset(key, name, value))

    def hdel(self, key: Word, name: Word) -> None:
        """Remove a field of a hash, if it is there. Raises as `get`."""
        run(self.work.hdel(key, name))


class RedisParticipant:
    """A `Participant` whose branches read and write keys of a Redis or Valkey, from version 6 on.

    Args:
        url: `redis://`, `rediss://`, `unix://` or `redis+sentinel://`, with the options of redis-py, and `tag=`: the
            hash tag of the keys in which prepared work is kept, `txn` if not given. All who share keys use one tag. Or
            `redis+cluster://host:port,host:port`, where the tag is needed, and stands in all keys that branches use.
        timeout: seconds to wait for other transactions.
        alone: one branch is open at a time, and others wait to begin; or else branches are side by side, and one that
            comes second to a key is aborted. All who share a tag do the same.

    Raises:
        InvalidType: an argument has the wrong type.
        InvalidValue: the URL is none of Redis.
        BackendUnavailable: redis-py is not installed.
    """

    def __init__(self, url: str, *, timeout: float = 5.0, alone: bool = False) -> None:
        self.site = site(url, Server, ClusterServer, timeout, alone)
        self.place = (_redis.store(url), self.site.keys.tag)
        self._steps = Steps(self.site)
        self._capabilities = Capabilities(concurrent=not alone, durable=False)
        self._asked = False

    @property
    def capabilities(self) -> Capabilities:
        """It is durable if its server syncs each write before it answers. It is never a marker."""
        if not self._asked:
            with suppress(StoreError):
                self._capabilities = replace(self._capabilities, durable=self.shortcoming() is None)
                self._asked = True
        return self._capabilities

    def shortcoming(self) -> str | None:
        """Say why what the server has acknowledged may be lost; None if it cannot be.

        Raises:
            StoreError: the server cannot be asked.
        """
        return run(shortcoming(self.site.server))

    def begin(self, gid: str) -> RedisBranch:
        """Start the branch of `gid`."""
        return RedisBranch(run(self._steps.begin(gid)))

    def guard(self, gid: str, resource: str, fence: int) -> None:
        """Compare a fence when the branch is prepared, with the mark that `RedisGuard` compares."""
        self._steps.guard(gid, resource, fence)

    def prepare(self, gid: str) -> Vote:
        """Stage what the branch writes, if all that it has read is still so, and hold these keys."""
        return run(self._steps.prepare(gid))

    def commit(self, gid: str) -> None:
        """Carry out what is staged."""
        run(self._steps.commit(gid))

    def one_phase(self, gid: str) -> None:
        """Carry the branch out at once, if all that it has read is still so."""
        run(self._steps.one_phase(gid))

    def rollback(self, gid: str) -> None:
        """Drop the branch, or what is staged."""
        run(self._steps.rollback(gid))

    def recover(self, prefix: str = "") -> list[str]:
        """Return the gids of prepared branches that begin with a prefix."""
        return run(self._steps.recover(prefix))

    def settled(self, gid: str) -> Outcome | None:
        """Whether `gid` was committed here in one phase, or never can be."""
        return run(self._steps.settled(gid))

    def settle(self, gid: str) -> Outcome:
        """Like `settled`; a branch that could still commit in one phase no longer can."""
        return run(self._steps.settle(gid))

    def resolve_many(self, gids: Sequence[str], outcome: Outcome) -> list[Exception | None]:
        """Commit or roll back prepared branches, many requests under way at once; return what went wrong with each.

        Raises:
            OutcomeUnknown: no answer; ask again.
        """
        return run(self._steps.resolve_many(gids, outcome))

    def send(self, operation: str, *arguments: Any) -> Callable[[], Any] | None:
        """Send the request of `prepare` or `commit`; return what waits for its answer. See `protocol.Parallel`."""
        request = self._steps.request(operation, *arguments) if operation in ("prepare", "commit") else None
        if request is None:
            return None
        call, result = request
        receive = self.site.server.send(*call.args)
        return lambda: result(receive())

    def close(self) -> None:
        """Give up branches that were not prepared, and connections. Closing twice is harmless."""
        run(self._steps.close())
        self.site.server.close()
