"""The steps of a lock that several hold at once as Lua scripts; those of a plain lock stand in `scripts`.

Such a lock has four keys with one hash tag:

- KEYS[1], its leases: a hash from owner to `end fence asked of`, and from the empty string to `floor used`: the least
  fence that may be issued next, and how many shares are held. It stays for an hour after the last lease.
- KEYS[2], their ends: a sorted set of the owners, by which those that have ended are found.
- KEYS[3], its queue: a list of the owners who wait, first come first.
- KEYS[4], their places: a hash from owner to `end ttl fences came asked of channel`.

Every script begins by taking back what has ended, and grants what has become free to as many from the head of the
queue as fit: none overtakes the first of them.
"""

from __future__ import annotations

from ringfence.locks.stores.redis.scripts import CLOCK, KEPT_MS, LISTENS, PUSH, script

LEASE = "shared:lease"
_KEYS = (LEASE, "shared:ends", "shared:queue", "shared:places")

_SHARES = f"""
local function text(number) return string.format('%.0f', number) end

local floor, used = string.match(redis.call('HGET', KEYS[1], '') or '0 0', '^(%d+) (%d+)$')
floor, used = tonumber(floor), tonumber(used)

local function share(owner)
  local value = redis.call('HGET', KEYS[1], owner)
  if not value then return end
  local till, fence, asked, of = string.match(value, '^(%d+) (%d+) (%d+) (%d+)$')
  return tonumber(till), tonumber(fence), tonumber(asked), tonumber(of)
end

local function put(owner, till, fence, asked, of)
  redis.call('HSET', KEYS[1], owner, table.concat({{text(till), text(fence), text(asked), text(of)}}, ' '))
  redis.call('ZADD', KEYS[2], text(till), owner)
end

-- Where the leases are gone and their ends are not, as an eviction can leave them, nothing is held.
local function take_back(owner)
  local _, _, asked = share(owner)
  redis.call('HDEL', KEYS[1], owner)
  redis.call('ZREM', KEYS[2], owner)
  used = used - (asked or 0)
end

local function issue(owner, ttl, fences, asked, of)
  local fence = math.max(floor, now)
  floor, used = fence + fences, used + asked
  put(owner, now + ttl, fence, asked, of)
  return fence
end

local function keep()
  if floor == 0 then return end
  redis.call('HSET', KEYS[1], '', text(floor) .. ' ' .. text(used))
  local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] or now
  local kept = text((math.max(tonumber(last), floor, now) - now) / 1000 + {KEPT_MS})
  redis.call('PEXPIRE', KEYS[1], kept)
  redis.call('PEXPIRE', KEYS[2], kept)
end

for _, owner in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', text(now))) do take_back(owner) end
"""

_QUEUE = f"""
-- Takes the first waiter out of the queue; grants it the lock if it still lives.
local function call_up(owner, till, ttl, fences, came, asked, of, channel)
  redis.call('LPOP', KEYS[3])
  redis.call('HDEL', KEYS[4], owner)
  if till <= now or not (owner == asking or listens(channel)) then return end
  local fence = issue(owner, ttl, fences, asked, of)
  if owner ~= asking then
    redis.call('PUBLISH', channel, struct.pack('{PUSH.format}', fence, now - came) .. owner)
  end
end

-- Grants the lock to as many from the head of the queue as fit.
local function admit()
  local owner = redis.call('LINDEX', KEYS[3], 0)
  while owner do
    local place = redis.call('HGET', KEYS[4], owner) or '0 0 0 0 0 0 '
    local till, ttl, fences, came, asked, of, channel =
      string.match(place, '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (.*)$')
    if tonumber(till) > now and used + asked > tonumber(of) then return end
    call_up(owner, tonumber(till), tonumber(ttl), tonumber(fences), tonumber(came), tonumber(asked), tonumber(of),
      channel)
    owner = redis.call('LINDEX', KEYS[3], 0)
  end
end
"""

_GRANT = """
-- ARGV: ttl, fences, shares asked for, shares there are, how long a place is kept, the channel to publish the grant to
-- (both empty not to wait), owner. Returns the fence, or how long it is until the next lease ends, negated.
local ttl, fences, wanted, all = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local place, channel = tonumber(ARGV[5]), ARGV[6]

local function enqueue()
  local had = redis.call('HGET', KEYS[4], asking)
  local came = had and string.match(had, '^%d+ %d+ %d+ (%d+)') or text(now)
  if not had then redis.call('RPUSH', KEYS[3], asking) end
  redis.call('HSET', KEYS[4], asking, table.concat(
    {text(now + place), text(ttl), text(fences), came, text(wanted), text(all), channel}, ' '))
  redis.call('PEXPIRE', KEYS[3], text(place / 1000))
  redis.call('PEXPIRE', KEYS[4], text(place / 1000))
end

local function held()
  local till, fence, asked, of = share(asking)
  if till then put(asking, math.max(till, now + ttl), fence, asked, of) end
  return fence
end

local function fence_or_patience()
  local fence = held()
  if fence then return fence end
  admit()
  fence = held()
  if fence then return fence end
  if redis.call('LLEN', KEYS[3]) == 0 and used + wanted <= all then
    return issue(asking, ttl, fences, wanted, all)
  end
  if place then enqueue() end
  return now - tonumber(redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] or now + 1000000)
end

local answer = fence_or_patience()
keep()
return answer
"""

_RENEW = """
-- ARGV: ttl, fence, owner. Returns whether it is held.
local till, fence, asked, of = share(asking)
local holds = till and fence == tonumber(ARGV[2])
if holds then put(asking, math.max(till, now + tonumber(ARGV[1])), fence, asked, of) end
keep()
return holds and 1 or 0
"""

_RELEASE = """
-- ARGV: fence, owner. Returns whether it was held.
local till, fence = share(asking)
local holds = till and fence == tonumber(ARGV[1])
if holds then take_back(asking) end
admit()
keep()
return holds and 1 or 0
"""

_WITHDRAW = """
-- ARGV: owner. It neither holds nor waits any more.
if redis.call('HDEL', KEYS[4], asking) == 1 then redis.call('LREM', KEYS[3], -1, asking) end
if share(asking) then take_back(asking) end
admit()
keep()
return 0
"""

_STATUS = """
-- Returns the time, the leases, and who waits, in the order of the queue.
local waiting = {}
for _, owner in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do
  local till = string.match(redis.call('HGET', KEYS[4], owner) or '', '^%d+')
  if till and tonumber(till) > now then table.insert(waiting, owner) end
end
return {time, redis.call('HGETALL', KEYS[1]), waiting}
"""

GRANT = script(CLOCK, _SHARES, LISTENS, _QUEUE, _GRANT, keys=_KEYS)
RENEW = script(CLOCK, _SHARES, _RENEW, keys=_KEYS[:2])
RELEASE = script(CLOCK, _SHARES, LISTENS, _QUEUE, _RELEASE, keys=_KEYS)
WITHDRAW = script(CLOCK, _SHARES, LISTENS, _QUEUE, _WITHDRAW, keys=_KEYS)
STATUS = script(CLOCK, _STATUS, keys=_KEYS)

SCRIPTS = (GRANT, RENEW, RELEASE, WITHDRAW, STATUS)
