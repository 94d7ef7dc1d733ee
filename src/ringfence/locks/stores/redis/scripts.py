"""The steps of a lock store as Lua scripts, each carried out by the server at once and alone.

A lock has three keys with one hash tag, so that Redis Cluster keeps them together:

- KEYS[1], its lease: `end fence fences waited`, and the owner. Its fences stay for an hour after the lease, with end 0.
  Nobody waits from the time `waited` on, so that who takes and frees a lock alone does not look into its queue.
- KEYS[2], its queue: a list of the owners who wait, first come first.
- KEYS[3], their places: a hash from owner to `end ttl fences came`, and the channel. Who does not ask again in time
  has left.

Numbers are packed as `FIELDS`: that costs the server a fifth of what text does, and half of a script is that. What
happens mostly stands first in a script, before it even makes the functions for the rest.

All times are microseconds since 2020 by the server's clock. A fence is the server's time, or follows the last one
where the clock stands behind it. A lock that was idle for an hour relies on the clock alone, which would have to go
back by more than that to repeat a fence. So no key is without a time to live, and a server that lost all of them
still issues greater fences.
"""

from __future__ import annotations

from hashlib import sha1
from struct import Struct
from typing import NamedTuple

FIELDS = Struct("<dddd")
"""The numbers of a lease or a place; the text follows."""

PUSH = Struct("<dd")
"""What a waiter is told: its fence, and after how many microseconds it was granted; its owner id follows."""

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
local till, fence, fences, waited, owner = 0, 0, 0, now + 1, ''  -- a queue may have outlived its lease
local lease = redis.call('GET', KEYS[1])
if lease then
  till, fence, fences, waited = struct.unpack('{FIELDS.format}', lease)
  owner = string.sub(lease, {FIELDS.size + 1})
end

local function put(new_till, new_fence, new_fences, new_owner)
  till, fence, fences, owner = new_till, new_fence, new_fences, new_owner
  local last = math.max(till, fence, now)
  redis.call('SET', KEYS[1], struct.pack('{FIELDS.format}', till, fence, fences, waited) .. owner,
    'PX', string.format('%d', (last - now) / 1000 + {KEPT_MS}))
end
"""

_HELD = """
if till <= now or owner ~= asking or fence ~= tonumber(ARGV[#ARGV - 1]) then return 0 end
"""

_QUEUE = f"""
-- Grants the lock to the first waiter who still lives, and tells it; a waiter nobody listens for is dead.
-- Returns whether there was one.
local function pass_on()
  local first = redis.call('LPOP', KEYS[2])
  while first do
    local place = redis.call('HGET', KEYS[3], first)
    if place then
      redis.call('HDEL', KEYS[3], first)
      local kept, ttl, wanted, came = struct.unpack('{FIELDS.format}', place)
      local channel = string.sub(place, {FIELDS.size + 1})
      if kept > now and (first == asking or listens(channel)) then
        put(now + ttl, math.max(fence + fences, now), wanted, first)
        if first ~= asking then
          redis.call('PUBLISH', channel, struct.pack('{PUSH.format}', fence, now - came) .. first)
        end
        return true
      end
    end
    first = redis.call('LPOP', KEYS[2])
  end
  waited = 0
end

local function give_back()
  if not pass_on() then put(0, fence, fences, '') end
end
"""

_TAKE = """
-- ARGV: ttl, fences, how long a place is kept, the channel to publish the grant to (both empty not to wait), owner.
-- Returns the fence, or how long the holder's lease lasts, negated.
local ttl, wanted = tonumber(ARGV[1]), tonumber(ARGV[2])

local function take()
  put(now + ttl, math.max(fence + fences, now), wanted, asking)
  return fence
end

if till <= now and waited <= now then return take() end
"""

_GRANT = f"""
local place, channel = tonumber(ARGV[3]), ARGV[4]

-- The queue is kept for longer than a place, so that the lease need not tell of each who comes.
local function keep_queue()
  local kept = string.format('%d', 2 * place / 1000)
  redis.call('PEXPIRE', KEYS[2], kept)
  redis.call('PEXPIRE', KEYS[3], kept)
  if waited < now + place then
    waited = now + 2 * place
    put(till, fence, fences, owner)
  end
end

local function made(came)
  return struct.pack('{FIELDS.format}', now + place, ttl, wanted, came) .. channel
end

local function enqueue()
  if redis.call('HSETNX', KEYS[3], asking, made(now)) == 1 then
    redis.call('RPUSH', KEYS[2], asking)
  else
    local _, _, _, came = struct.unpack('{FIELDS.format}', redis.call('HGET', KEYS[3], asking))
    redis.call('HSET', KEYS[3], asking, made(came))
  end
  keep_queue()
end

if till > now and owner == asking then
  put(math.max(till, now + ttl), fence, fences, asking)
  return fence
end
if till <= now then
  if not pass_on() then return take() end
  if owner == asking then return fence end
end
if place then enqueue() end
return now - till
"""

_RENEW = """
-- ARGV: ttl, fence, owner. Returns whether it is held.
put(math.max(till, now + tonumber(ARGV[1])), fence, fences, owner)
return 1
"""

_FREE = f"""
-- ARGV: fence, owner. Returns whether it was held.
if waited <= now then
  redis.call('SETRANGE', KEYS[1], 0, struct.pack('{FIELDS.format[:2]}', 0))
  return 1
end
"""

_RELEASE = """
give_back()
return 1
"""

_WITHDRAW = """
-- ARGV: owner. It neither holds nor waits any more.
if redis.call('HDEL', KEYS[3], asking) == 1 then redis.call('LREM', KEYS[2], -1, asking) end
if till > now and owner == asking then give_back() end
return 0
"""

_SETTLE = """
-- ARGV: fence, owner. Raises the fence of a lease, as another server issued a greater one; returns whether it has it.
local raised = tonumber(ARGV[1])
if till <= now or owner ~= asking or fence > raised then return 0 end
put(till, raised, fences, asking)
return 1
"""

_STATUS = f"""
-- Returns the time, the lease if there is one, and who waits, in the order of the queue.
local waiting = {{}}
for _, owner in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
  local place = redis.call('HGET', KEYS[3], owner)
  if place and struct.unpack('{FIELDS.format}', place) > now then table.insert(waiting, owner) end
end
return {{time, redis.call('GET', KEYS[1]), waiting}}
"""


def script(*parts: str, keys: tuple[str, ...] = ("lease", "queue", "places")) -> Script:
    """Return the script made of some parts."""
    text = "".join(parts)
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest(), keys)


GRANT = script(CLOCK, _LEASE, _TAKE, LISTENS, _QUEUE, _GRANT)
RENEW = script(CLOCK, _LEASE, _HELD, _RENEW, keys=("lease",))
RELEASE = script(CLOCK, _LEASE, _HELD, _FREE, LISTENS, _QUEUE, _RELEASE)
WITHDRAW = script(CLOCK, _LEASE, LISTENS, _QUEUE, _WITHDRAW)
SETTLE = script(CLOCK, _LEASE, _SETTLE, keys=("lease",))
STATUS = script(CLOCK, _STATUS)

SCRIPTS = (GRANT, RENEW, RELEASE, WITHDRAW, SETTLE, STATUS)
