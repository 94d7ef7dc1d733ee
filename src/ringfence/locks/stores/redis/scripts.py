"""The steps of a lock store as Lua scripts, each carried out by the server at once and alone.

A lock has three keys with one hash tag, so that Redis Cluster keeps them together:

- KEYS[1], its lease: `end fence fences owner`. Its fences stay for an hour after the lease, with end 0 and no owner.
- KEYS[2], its queue: a list of the owners who wait, first come first.
- KEYS[3], their places: a hash from owner to `end ttl fences came channel`. Who does not ask again in time has left.

All times are microseconds since 2020 by the server's clock. A fence is the server's time, or follows the last one
where the clock stands behind it. A lock that was idle for an hour relies on the clock alone, which would have to go
back by more than that to repeat a fence. So no key is without a time to live, and a server that lost all of them
still issues greater fences.
"""

from __future__ import annotations

from hashlib import sha1
from typing import NamedTuple

KEPT_MS = 3_600_000


class Script(NamedTuple):
    """A script, the digest under which the server keeps it, and the keys of a lock that it reads or writes."""

    text: str
    sha: str
    keys: tuple[str, ...]


CLOCK = """
local time = redis.call('TIME')
local now = (time[1] - 1577836800) * 1000000 + time[2]
local asking = ARGV[#ARGV]
"""

LISTENS = """
-- Whether the connection of a waiter is alive here. What is published without asking first would reach connections to
-- replicas and to the other nodes of a cluster, too, and their waiters would believe what only these were granted.
local function listens(channel)
  return redis.call('PUBSUB', 'NUMSUB', channel)[2] > 0
end
"""

_LEASE = f"""
local function lease()
  local value = redis.call('GET', KEYS[1])
  if not value then return 0, 0, 0, '' end
  local till, fence, fences, owner = string.match(value, '^(%d+) (%d+) (%d+) (.*)$')
  return tonumber(till), tonumber(fence), tonumber(fences), owner
end

local function put(till, fence, fences, owner)
  local last = math.max(till, fence, now)
  redis.call('SET', KEYS[1], string.format('%.0f %.0f %.0f %s', till, fence, fences, owner),
    'PX', string.format('%.0f', (last - now) / 1000 + {KEPT_MS}))
end

local function holds(till, fence, owner)
  return till > now and owner == asking and fence == tonumber(ARGV[#ARGV - 1])
end
"""

_QUEUE = """
-- Grants the lock to the first waiter who still lives, and tells it; a waiter nobody listens for is dead.
-- Returns its owner and fence.
local function pass_on(last)
  local owner = redis.call('LPOP', KEYS[2])
  while owner do
    local place = redis.call('HGET', KEYS[3], owner)
    if place then
      redis.call('HDEL', KEYS[3], owner)
      local till, ttl, fences, came, channel = string.match(place, '^(%d+) (%d+) (%d+) (%d+) (.*)$')
      local fence = math.max(last, now)
      if tonumber(till) > now and (owner == asking or listens(channel)) then
        put(now + ttl, fence, tonumber(fences), owner)
        if owner ~= asking then
          redis.call('PUBLISH', channel, string.format('%s %.0f %.0f', owner, fence, now - came))
        end
        return owner, fence
      end
    end
    owner = redis.call('LPOP', KEYS[2])
  end
end

local function give_back(fence, fences)
  if not pass_on(fence + fences) then put(0, fence, fences, '') end
end
"""

_GRANT = """
-- ARGV: ttl, fences, how long a place is kept, the channel to publish the grant to (both empty not to wait), owner.
-- Returns the fence, or how long the holder's lease lasts, negated.
local ttl, wanted, place, channel = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]

local function enqueue()
  local had = redis.call('HGET', KEYS[3], asking)
  local came = had and string.match(had, '^%d+ %d+ %d+ (%d+)') or string.format('%.0f', now)
  if not had then redis.call('RPUSH', KEYS[2], asking) end
  redis.call('HSET', KEYS[3], asking,
    string.format('%.0f %.0f %.0f %s %s', now + place, ttl, wanted, came, channel))
  local kept = string.format('%.0f', place / 1000)
  redis.call('PEXPIRE', KEYS[2], kept)
  redis.call('PEXPIRE', KEYS[3], kept)
end

local till, fence, fences, holder = lease()
if till > now and holder == asking then
  put(math.max(till, now + ttl), fence, fences, asking)
  return fence
end
if till <= now then
  local first, passed = pass_on(fence + fences)
  if first == asking then return passed end
  if not first then
    fence = math.max(fence + fences, now)
    put(now + ttl, fence, wanted, asking)
    return fence
  end
  till = lease()
end
if place then enqueue() end
return now - till
"""

_RENEW = """
-- ARGV: ttl, fence, owner. Returns whether it is held.
local till, fence, fences, owner = lease()
if not holds(till, fence, owner) then return 0 end
put(math.max(till, now + tonumber(ARGV[1])), fence, fences, owner)
return 1
"""

_RELEASE = """
-- ARGV: fence, owner. Returns whether it was held.
local till, fence, fences, owner = lease()
if not holds(till, fence, owner) then return 0 end
give_back(fence, fences)
return 1
"""

_WITHDRAW = """
-- ARGV: owner. It neither holds nor waits any more.
local till, fence, fences, owner = lease()
if redis.call('HDEL', KEYS[3], asking) == 1 then redis.call('LREM', KEYS[2], -1, asking) end
if till > now and owner == asking then give_back(fence, fences) end
return 0
"""

_SETTLE = """
-- ARGV: fence, owner. Raises the fence of a lease, as another server issued a greater one; returns whether it has it.
local till, fence, fences, owner = lease()
local raised = tonumber(ARGV[1])
if till <= now or owner ~= asking or fence > raised then return 0 end
put(till, raised, fences, asking)
return 1
"""

_STATUS = """
-- Returns the time, the lease if there is one, and who waits, in the order of the queue.
local waiting = {}
for _, owner in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
  local till = string.match(redis.call('HGET', KEYS[3], owner) or '', '^%d+')
  if till and tonumber(till) > now then table.insert(waiting, owner) end
end
return {time, redis.call('GET', KEYS[1]), waiting}
"""


def script(*parts: str, keys: tuple[str, ...] = ("lease", "queue", "places")) -> Script:
    """Return the script made of some parts."""
    text = "".join(parts)
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest(), keys)


GRANT = script(CLOCK, _LEASE, LISTENS, _QUEUE, _GRANT)
RENEW = script(CLOCK, _LEASE, _RENEW, keys=("lease",))
RELEASE = script(CLOCK, _LEASE, LISTENS, _QUEUE, _RELEASE)
WITHDRAW = script(CLOCK, _LEASE, LISTENS, _QUEUE, _WITHDRAW)
SETTLE = script(CLOCK, _LEASE, _SETTLE, keys=("lease",))
STATUS = script(CLOCK, _STATUS)

SCRIPTS = (GRANT, RENEW, RELEASE, WITHDRAW, SETTLE, STATUS)
