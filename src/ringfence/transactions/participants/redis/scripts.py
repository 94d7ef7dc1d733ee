"""The steps of a Redis participant as Lua scripts, each carried out by the server at once and alone.

All keys of a participant have one hash tag:

- `prepared`: the gids of prepared branches, a sorted set with equal scores.
- `stage:<gid>`: a prepared branch, a hash: its commands, the keys it holds, and the marks that it has raised.
- `held`: a hash from each key that a prepared branch has read or written to its gid.
- `done:<gid>`: "committed" or "aborted", for a day: so late requests are known as such.
- `settled:…`: two bits for each transaction that committed in one phase, or never will, kept for ever.
- `branch`: the gid of the open branch, where there is one at a time; it ends by itself when its client dies.

Beside a mark, `ringfence:guard:{resource}:prepared` has the gids of the prepared branches that were compared with it.

A script that fails keeps what it did until then. So each looks at everything first, and then only writes.
"""

from __future__ import annotations

from hashlib import sha1
from typing import NamedTuple

from ringfence._redis import PREPARED_MARK, STALE


class Script(NamedTuple):
    """A script, and the digest under which the server keeps it."""

    text: str
    sha: str


_ARGUMENTS = """
local gid, at = ARGV[1], 1
local function take()
  at = at + 1
  return ARGV[at]
end
local function words()
  local found = {}
  for i = 1, tonumber(take()) do found[i] = take() end
  return found
end
"""

_APPLY = """
local KINDS = {HSET = 'hash', HDEL = 'hash', ZADD = 'zset', ZREM = 'zset'}

-- What the server's user may not do is not found out halfway; Redis 6 has no answer to that but for the key.
local function denied(command)
  if redis.acl_check_cmd then return not redis.acl_check_cmd(unpack(command)) end
  redis.call('TYPE', command[2])
end

-- What stands in the way of some commands, if anything does.
local function obstacle(commands)
  local known = {}
  for _, command in ipairs(commands) do
    local name, key = command[1], command[2]
    if denied(command) then return name .. ' of ' .. key .. ', which the user may not do' end
    if name == 'SET' then known[key] = 'string'
    elseif name == 'DEL' then known[key] = 'none'
    else
      local kind = known[key] or redis.call('TYPE', key).ok
      if kind ~= 'none' and kind ~= KINDS[name] then return name .. ' of ' .. key .. ', which is a ' .. kind end
      if name == 'HSET' or name == 'ZADD' then known[key] = KINDS[name] end
    end
  end
end

local function apply(commands)
  for _, command in ipairs(commands) do redis.call(unpack(command)) end
end
"""

_KEYS = """
local PREPARED, STAGE, DONE, HELD, BRANCH, SETTLED = unpack(KEYS)
"""

# ARGV     gid; "1" if one branch is open at a time; the fence for each mark in KEYS[7] and on; how many reads, and for
#          each whether it found something, what, how many words, and these; how many commands, and for each how many
#          words, and these; the place of its bits
# returns  what came of it, and details
_CHECK = """
local alone, fences = take() == '1', {}
local function out_of_turn()
  return alone and redis.call('GET', BRANCH) ~= gid
end
local function stale_fence()
  for i = 7, #KEYS do
    fences[i] = take()
    local mark = redis.call('GET', KEYS[i]) or '0'
    if stale(mark, fences[i]) then return {'stale', i - 7, mark} end
    local holder = stale(fences[i], mark) and redis.call('ZRANGE', prepared(KEYS[i]), 0, 0)[1]
    if holder then return {'guarded', i - 7, holder} end
  end
end

local touched, commands = {}, {}
local function another_holds(key)
  touched[key] = true
  local holder = redis.call('HGET', HELD, key)
  return holder and {'held', key, holder}
end
local function another_read()
  for _ = 1, tonumber(take()) do
    local there, value = take() == '1', take()
    local command = words()
    local held = another_holds(command[2])
    if held then return held end
    if redis.call(unpack(command)) ~= (there and value) then return {'changed', command[2]} end
  end
end
local function not_ours()
  local needed = {
    {'ZADD', PREPARED, '0', gid}, {'ZREM', PREPARED, gid}, {'HSET', STAGE, 'keys', ''}, {'DEL', STAGE},
    {'HSET', HELD, gid, gid}, {'HDEL', HELD, gid}, {'SET', DONE, ''}, {'SETBIT', SETTLED, '0', '1'}, {'DEL', BRANCH}
  }
  for i in pairs(fences) do
    table.insert(needed, {'SET', KEYS[i], '0'})
    table.insert(needed, {'ZADD', prepared(KEYS[i]), '0', gid})
    table.insert(needed, {'ZREM', prepared(KEYS[i]), gid})
  end
  for _, command in ipairs(needed) do
    if denied(command) then return command[1] .. ' of ' .. command[2] .. ', which the user may not do' end
  end
end
local function another_writes()
  for i = 1, tonumber(take()) do
    commands[i] = words()
    local held = another_holds(commands[i][2])
    if held then return held end
  end
  local found = obstacle(commands) or not_ours()
  return found and {'refused', found}
end

local function against()
  return out_of_turn() and {'lost'} or stale_fence() or another_read() or another_writes()
end
local function marks()
  local found = {}
  for i in pairs(fences) do table.insert(found, KEYS[i]) end
  return found
end
local function agree()
  for i, fence in pairs(fences) do redis.call('SET', KEYS[i], fence) end
  if alone then redis.call('DEL', BRANCH) end
end
"""

_PREPARE = """
if redis.call('EXISTS', STAGE) == 1 then return {'over', 'prepared'} end
local done = redis.call('GET', DONE)
if done then return {'over', done} end
local no = against()
if no then return no end
if #commands > 0 then
  local keys = {}
  for key in pairs(touched) do
    table.insert(keys, key)
    redis.call('HSET', HELD, key, gid)
  end
  for _, mark in ipairs(marks()) do redis.call('ZADD', prepared(mark), 0, gid) end
  redis.call(
    'HSET', STAGE, 'commands', cmsgpack.pack(commands), 'keys', cmsgpack.pack(keys), 'marks', cmsgpack.pack(marks()))
  redis.call('ZADD', PREPARED, 0, gid)
end
agree()
return {#commands > 0 and 'yes' or 'read only'}
"""

_ONE_PHASE = """
local bit = tonumber(ARGV[#ARGV])
if redis.call('GETBIT', SETTLED, bit) == 1 then return {'over', 'committed'} end
if redis.call('GETBIT', SETTLED, bit + 1) == 1 then return {'over', 'aborted'} end
local no = against()
if no then return no end
apply(commands)
redis.call('SETBIT', SETTLED, bit, 1)
agree()
return {'yes'}
"""

_END = """
-- ARGV: gid; milliseconds for which it is known as over; "1" if it is known that it was prepared.
local function release()
  for _, key in ipairs(cmsgpack.unpack(redis.call('HGET', STAGE, 'keys'))) do redis.call('HDEL', HELD, key) end
  local marks = redis.call('HGET', STAGE, 'marks')
  for _, mark in ipairs(marks and cmsgpack.unpack(marks) or {}) do redis.call('ZREM', prepared(mark), gid) end
  redis.call('ZREM', PREPARED, gid)
  redis.call('DEL', STAGE)
end
local function over(outcome)
  redis.call('SET', DONE, outcome, 'PX', ARGV[2])
  return {'over', outcome}
end
"""

_COMMIT = """
local staged = redis.call('HGET', STAGE, 'commands')
if not staged then
  local done = redis.call('GET', DONE)
  if done == 'aborted' then return {'otherwise', 'it was rolled back'} end
  local promised = ARGV[3] == '1' or redis.call('ZSCORE', PREPARED, gid)
  if promised and not done then return {'otherwise', 'its prepared work is lost'} end
  return {'over', 'committed'}
end
local commands = cmsgpack.unpack(staged)
local found = obstacle(commands)
if found then return {'otherwise', found .. ' now'} end
apply(commands)
release()
return over('committed')
"""

_ROLLBACK = """
if redis.call('EXISTS', STAGE) == 1 then
  release()
elseif redis.call('GET', DONE) == 'committed' then
  return {'otherwise', 'it was committed'}
end
if redis.call('GET', BRANCH) == gid then redis.call('DEL', BRANCH) end
return over('aborted')
"""

_BEGIN = """
-- ARGV: gid, milliseconds until the branch of a client that died is over.
local first = redis.call('ZRANGE', PREPARED, 0, 0)[1]
if first then return {'prepared', first} end
local open = redis.call('GET', BRANCH)
if open and open ~= gid then return {'busy', open} end
redis.call('SET', BRANCH, gid, 'PX', ARGV[2])
return {'begun'}
"""

_RELEASE = """
-- ARGV: gid of a branch that was not prepared.
if redis.call('GET', BRANCH) == gid then redis.call('DEL', BRANCH) end
return {'over'}
"""

_READ = """
-- ARGV: gid; milliseconds as for begin, "0" where branches are side by side; then the words of the command.
local command = {unpack(ARGV, 3)}
local holder = redis.call('HGET', HELD, command[2])
if holder then return {'held', holder} end
if ARGV[2] ~= '0' then
  if redis.call('GET', BRANCH) ~= gid then return {'lost'} end
  redis.call('PEXPIRE', BRANCH, ARGV[2])
end
return {'found', redis.call(unpack(command))}
"""

_SETTLED = """
-- ARGV: gid, the place of its bits.
if redis.call('GETBIT', SETTLED, ARGV[2]) == 1 then return {'committed'} end
if redis.call('GETBIT', SETTLED, ARGV[2] + 1) == 1 then return {'aborted'} end
"""

_LOOK = """
return {'open'}
"""

_SETTLE = """
redis.call('SETBIT', SETTLED, ARGV[2] + 1, 1)
return {'aborted'}
"""


def script(*parts: str) -> Script:
    """Return the script made of some parts."""
    return made("".join((_KEYS, *parts)))


def made(text: str) -> Script:
    """Return the script with that text."""
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


_OURS = "local gid = ARGV[1]\n"

PREPARE = script(_ARGUMENTS, STALE, PREPARED_MARK, _APPLY, _CHECK, _PREPARE)
ONE_PHASE = script(_ARGUMENTS, STALE, PREPARED_MARK, _APPLY, _CHECK, _ONE_PHASE)
COMMIT = script(_OURS, PREPARED_MARK, _APPLY, _END, _COMMIT)
ROLLBACK = script(_OURS, PREPARED_MARK, _END, _ROLLBACK)
BEGIN = script(_OURS, _BEGIN)
RELEASE = script(_OURS, _RELEASE)
READ = script(_OURS, _READ)
SETTLED = script(_SETTLED, _LOOK)
SETTLE = script(_SETTLED, _SETTLE)
