"""Nodes that register with Redis or Valkey.

A group has a sorted set of names by the end of their leases, a hash of their records, and a counter of fences. The
time is the server's. Every change is published to a channel; a lease that runs out is noticed by whoever renews or
reads next.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any

from ringfence import _redis
from ringfence.errors import StoreDamaged
from ringfence.placement.membership.sources import Entry, Member, Standing
from ringfence.placement.membership.sources.text import dump, load
from ringfence.protocol import now

TIMEOUT = 5.0
"""Seconds to wait for an answer."""

_STEP = 0.25  # seconds after which a wait looks whether it shall end

# A record is "fence beat owner node", the node in JSON.
_RECORD = re.compile(rb"(\d+) (\d+) (\S+) (.*)", re.DOTALL)

# KEYS: 1 the ends of the leases in ms, 2 the records, 3 the last fence, which is the channel, too.
_COMMON = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function record(name)
  local found = redis.call('HGET', KEYS[2], name)
  if found then return string.match(found, '^(%d+) (%d+) (%S+) (.*)$') end
end

local function put(name, ttl, fence, beat, owner, node)
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + ttl), name)
  redis.call('HSET', KEYS[2], name, fence .. ' ' .. beat .. ' ' .. owner .. ' ' .. node)
end

local function drop(name)
  redis.call('ZREM', KEYS[1], name)
  redis.call('HDEL', KEYS[2], name)
end

local function publish() redis.call('PUBLISH', KEYS[3], '') end

local function drop_ended()
  local ended = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)
  for _, name in ipairs(ended) do drop(name) end
  if #ended > 0 then publish() end
end
"""

# ARGV: name, owner, ttl in ms, the fence it had or 0, node
# Fences go on upward if the counter is lost: they are microseconds since 2020 at least.
_ENTER = f"""{_COMMON}
drop_ended()
local fence, beat, owner = record(ARGV[1])
if owner == ARGV[2] then
  put(ARGV[1], ARGV[3], fence, beat + 1, owner, ARGV[5])
  return fence
end
if owner and ARGV[4] ~= '0' then return false end
local last = tonumber(redis.call('GET', KEYS[3]) or 0)
local micros = (time[1] - 1577836800) * 1000000 + time[2]
fence = string.format('%.0f', math.max(last + 1, micros))
redis.call('SET', KEYS[3], fence)
put(ARGV[1], ARGV[3], fence, 0, ARGV[2], ARGV[5])
publish()
return fence
"""

# ARGV: name, owner, ttl in ms; again for more
_RENEW = f"""{_COMMON}
drop_ended()
local standings = {{}}
for at = 1, #ARGV, 3 do
  local fence, beat, owner, node = record(ARGV[at])
  if owner == ARGV[at + 1] then
    put(ARGV[at], ARGV[at + 2], fence, beat + 1, owner, node)
    standings[#standings + 1] = 'held'
  else
    standings[#standings + 1] = owner and 'replaced' or 'lost'
  end
end
return standings
"""

# ARGV: name, owner
_LEAVE = f"""{_COMMON}
local _, _, owner = record(ARGV[1])
if owner == ARGV[2] then
  drop(ARGV[1])
  publish()
end
"""

_LIST = f"""{_COMMON}
local records = {{}}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')) do
  records[#records + 1] = redis.call('HGET', KEYS[2], name) or nil
end
return records
"""


class RedisSource:
    """Nodes that register with Redis or Valkey; they are dropped when the server's clock says that their lease is over.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with the options of redis-py.
        group: names the nodes that belong together.

    Raises:
        BackendUnavailable: redis-py is not installed.
        InvalidValue: redis-py does not understand the URL.
    """

    def __init__(self, url: str, group: str = "nodes") -> None:
        self._place = f"{_redis.where(url)} group {group!r}"
        self._client = _redis.client(url, timeout=TIMEOUT)
        base = f"ringfence:members:{{{group}}}"  # the braces keep the keys in one slot of a cluster
        self._keys = [f"{base}:leases", f"{base}:records", f"{base}:fence"]
        self._enter, self._renew, self._leave, self._list = map(
            self._client.register_script, (_ENTER, _RENEW, _LEAVE, _LIST)
        )
        self._subscription: Any = None
        self._woken = threading.Event()

    def read(self) -> list[Member]:
        """Return the nodes that are registered; see `Source`."""
        try:
            with _redis.translating(self._place):
                self._subscribe()  # first, so that no change is missed in between
                records = self._list(keys=self._keys)
        except Exception:
            self._unsubscribe()  # the connection may have ended without a word
            raise
        return [self._member(record) for record in records]

    def wait(self, seconds: float) -> None:
        """Return when the nodes may have changed, or after `seconds`."""
        until = now() + seconds
        while not self._woken.is_set() and (left := until - now()) > 0:
            if self._hears(min(left, _STEP)):
                break
        self._woken.clear()

    def wake(self) -> None:
        """End the wait under way, or the next one."""
        self._woken.set()

    def close(self) -> None:
        """Close the connections."""
        self._unsubscribe()
        self._client.close()

    def enter(self, entry: Entry) -> int | None:
        """Register a node; see `Registry`."""
        arguments = [entry.node.name, entry.owner, _ms(entry), entry.fence, dump(entry.node)]
        with _redis.translating(self._place):
            fence = self._enter(keys=self._keys, args=arguments)
        return None if fence is None else int(fence)

    def renew(self, entries: Sequence[Entry]) -> list[Standing]:
        """Extend registrations in one request; see `Registry`."""
        arguments = [argument for entry in entries for argument in (entry.node.name, entry.owner, _ms(entry))]
        with _redis.translating(self._place):
            return [Standing(standing.decode()) for standing in self._renew(keys=self._keys, args=arguments)]

    def leave(self, entry: Entry) -> None:
        """Take out a registration; see `Registry`."""
        with _redis.translating(self._place):
            self._leave(keys=self._keys, args=[entry.node.name, entry.owner])

    def _member(self, record: bytes) -> Member:
        match = _RECORD.fullmatch(record)
        if match is None:
            raise StoreDamaged(f"{self._place} has a record that nobody registered: {record[:200]!r}")
        fence, beat, _, text = match.groups()
        return Member(load(text, self._place)[0], int(fence), int(beat))

    def _subscribe(self) -> None:
        if self._subscription is None:
            self._subscription = self._client.pubsub(ignore_subscribe_messages=True)
            self._subscription.subscribe(self._keys[2])
            self._subscription.get_message(timeout=TIMEOUT)  # the server's word that it listens

    def _unsubscribe(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def _hears(self, seconds: float) -> bool:
        if self._subscription is None:
            return self._woken.wait(seconds)
        try:
            with _redis.translating(self._place):
                return self._subscription.get_message(timeout=seconds) is not None
        except Exception:
            self._unsubscribe()
            return True  # the next reading tells what is wrong


def _ms(entry: Entry) -> int:
    return round(entry.ttl * 1000)
