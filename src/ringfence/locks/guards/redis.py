"""A guard of data in Redis or Valkey: compares a fence and runs commands in one script."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ringfence import _redis
from ringfence._url import split
from ringfence.errors import BackendUnavailable, InvalidValue, OutcomeUnknown, StoreTimeout
from ringfence.locks.guards.base import BaseGuard

LONGEST = 4000
"""Words of a command at most: Lua puts no more on its stack."""
_PAUSE = 0.01
"""Seconds until it is looked again whether prepared work is over."""

# KEYS[1]  the mark
# ARGV     the fence; then for each command the number of its words, and these
# returns  the mark if it is higher than the fence, else nil; or, in an array, the gid of a prepared branch that was
#          compared with a lower mark: its writes are still to come, and must not overwrite those of this fence
SCRIPT = f"""{_redis.STALE}{_redis.PREPARED_MARK}
local mark, fence = redis.call('GET', KEYS[1]) or '0', ARGV[1]
if stale(mark, fence) then
    return mark
end
local first = stale(fence, mark) and redis.call('ZRANGE', prepared(KEYS[1]), 0, 0)
if first and first[1] then
    return first
end
redis.call('SET', KEYS[1], fence)
local at = 2
while ARGV[at] do
    local last = at + tonumber(ARGV[at])
    redis.call(unpack(ARGV, at + 1, last))
    at = last + 1
end
return false
"""


class RedisGuard(BaseGuard[Any]):
    """Lets the holder of the newest fence write to a Redis, and nobody older.

    ::

        guard = RedisGuard("redis://localhost", "report")
        with manager.lock("report") as lease, guard.write(lease) as commands:
            commands.set("report", body)
            commands.hset("changed", "report", now)

    The block collects commands, by the methods that `redis.Redis` has; leaving it sends them in one script, which
    first compares the fence. So it holds up nobody, and a command gives nothing back. As in MULTI, commands that
    precede one that fails stand. While the prepared branch of a transaction under an older lease waits for its end,
    it waits too, and then raises `StoreTimeout` with the gid. The mark is the key `ringfence:guard:{resource}`; in a
    Redis Cluster all keys that are written need the hash tag `{resource}`. The mark lasts as long as the data beside
    it: a Redis that forgets its last second in a crash, or evicts keys, forgets marks. Needs redis-py (extra `redis`).

    Args:
        url: `redis://`, `rediss://` or `unix://`, with the options of redis-py.
        resource: what is guarded, of several things in one Redis; usually the name of the lock.
        timeout: seconds to wait for a connection, for each answer, and for prepared work of an older fence.

    Raises:
        InvalidType: an argument has the wrong type.
        InvalidValue: the URL is none of Redis, or the resource is no name.
        BackendUnavailable: redis-py is not installed.
    """

    def __init__(self, url: str, resource: str, *, timeout: float = 5.0) -> None:
        super().__init__(resource)
        split(url, _redis.SCHEMES)
        self._client = _redis.client(url, timeout=timeout)
        self._place = _redis.where(url)
        self._key = _redis.guard_key(resource)
        self._timeout = timeout

    def mark(self) -> int:
        """Return the highest fence that has written; 0 if none has."""
        with _redis.translating(self._place):
            return int(self._client.get(self._key) or 0)

    def close(self) -> None:
        """Close the guard's connections. Closing twice is harmless."""
        self._client.close()

    @contextmanager
    def _writing(self, fence: int, check: Callable[[], None]) -> Iterator[Any]:
        from ringfence.locks.guards.redis_commands import Commands

        self._admit(fence, self.mark())
        check()
        commands = Commands()
        yield commands
        words = [word for command in commands.collected for word in (_counted(command), *command)]
        until = time.monotonic() + self._timeout
        while isinstance(answer := self._checked(check, fence, words), list):
            if time.monotonic() > until:
                raise self._in_the_way(answer[0].decode())
            time.sleep(_PAUSE)
        self._admit(fence, int(answer or 0))

    def _checked(self, check: Callable[[], None], fence: int, words: list[Any]) -> Any:
        check()
        return self._send(fence, words)

    def _in_the_way(self, gid: str) -> StoreTimeout:
        return StoreTimeout(
            f"prepared work of transaction {gid}, under an older fence, holds the mark of {self.resource!r} in "
            f"{self._place}; nothing was changed, try again when it is over"
        )

    def _send(self, fence: int, words: list[Any]) -> Any:
        try:
            with _redis.translating(self._place):
                return self._client.eval(SCRIPT, 1, self._key, fence, *words)
        except BackendUnavailable as error:  # `mark` has reached it, so this one may have got there too
            raise OutcomeUnknown(f"{error}; the commands may or may not have been carried out") from error


def _counted(command: tuple[Any, ...]) -> int:
    if len(command) > LONGEST:
        raise InvalidValue(
            f"a guarded command has {LONGEST} words at most, not {len(command)}; write several"
        )
    return len(command)
