"""What Redis does in one step: Lua scripts, each atomic (https://redis.io/docs/latest/develop/programmability/eval-intro/).

A key is a hash: ``v`` its value, ``n`` its version, ``x`` when it expires (milliseconds, Redis's own clock).  Without
``v`` it is a tombstone, kept for a day: a version number never comes back, so somebody who slept through the end of a
lease cannot renew it in another holder's name.
"""

from __future__ import annotations

from typing import Final

TOMBSTONE_MS: Final = 86_400_000

_NOW: Final = """
local function now()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function current(key)
    local fields = redis.call('HMGET', key, 'v', 'n', 'x')
    if fields[1] and (not fields[3] or tonumber(fields[3]) > now()) then
        return fields[1], fields[2]
    end
    return false, false
end
"""

GET: Final = (
    _NOW
    + """
local value, version = current(KEYS[1])
return {value, version}
"""
)

# ARGV: expected version ('' = must not exist), value, TTL in ms ('' = none), tombstone's life in ms
COMPARE_AND_SET: Final = (
    _NOW
    + """
local _, version = current(KEYS[1])
if (version or '') ~= ARGV[1] then return false end
local written = redis.call('HINCRBY', KEYS[1], 'n', 1)
redis.call('HSET', KEYS[1], 'v', ARGV[2])
if ARGV[3] == '' then
    redis.call('HDEL', KEYS[1], 'x')
    redis.call('PERSIST', KEYS[1])
else
    redis.call('HSET', KEYS[1], 'x', now() + ARGV[3])
    redis.call('PEXPIRE', KEYS[1], ARGV[3] + ARGV[4])
end
return written
"""
)

# ARGV: expected version ('' = any), tombstone's life in ms
DELETE: Final = (
    _NOW
    + """
local _, version = current(KEYS[1])
if not version or (ARGV[1] ~= '' and ARGV[1] ~= version) then return 0 end
redis.call('HDEL', KEYS[1], 'v', 'x')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""
)

# KEYS: stream, counter.  ARGV: values.  An entry's id is its position, so positions are dense and XRANGE finds them.
APPEND: Final = """
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
for _, value in ipairs(ARGV) do
    last = last + 1
    redis.call('XADD', KEYS[1], last .. '-0', 'v', value)
end
redis.call('SET', KEYS[2], last)
return last
"""

# KEYS: manifest.  ARGV: prefix of chunk keys, generation, chunks, size, TTL in ms ('' = none), old chunks' life in ms.
# New chunks come with a short life of their own; only the ones that a manifest names are kept.
PUT_MANIFEST: Final = """
local chunks = tonumber(ARGV[3])
local function chunk(generation, number) return ARGV[1] .. generation .. ':' .. number end
for number = 0, chunks - 1 do
    if redis.call('EXISTS', chunk(ARGV[2], number)) == 0 then
        return redis.error_reply('ERR chunk ' .. number .. ' of a blob has expired')
    end
end
local function keep(key)
    if ARGV[5] == '' then redis.call('PERSIST', key) else redis.call('PEXPIRE', key, ARGV[5]) end
end
local old = redis.call('HMGET', KEYS[1], 'generation', 'chunks')
redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'chunks', chunks, 'size', ARGV[4])
keep(KEYS[1])
for number = 0, chunks - 1 do keep(chunk(ARGV[2], number)) end
for number = 0, tonumber(old[2] or '0') - 1 do redis.call('PEXPIRE', chunk(old[1], number), ARGV[6]) end
return 1
"""

# KEYS: manifest.  ARGV: prefix of chunk keys.
DELETE_BLOB: Final = """
local old = redis.call('HMGET', KEYS[1], 'generation', 'chunks')
redis.call('DEL', KEYS[1])
if old[1] then
    for number = 0, tonumber(old[2]) - 1 do redis.call('UNLINK', ARGV[1] .. old[1] .. ':' .. number) end
end
return 1
"""
