-- A fixed period, as in quota.rs.
-- KEYS: c: calls, b: bytes, e: end of the period in ms since 1970, -1: never, pe, pc, pb: the same of
-- the period before (hash); places that are kept until an answer is known, by the time they end (sorted
-- set), their weights, s: their sum (hash).
-- ARGV: length of a period in ms (0: it never ends), its start, calls allowed (-1: any), bytes
-- allowed (-1: any), calls that must be free (0: do not ask), calls to count, bytes to count, ms to wait
-- where places that are kept are in the way; a place to keep, its weight, how long in ms.
-- Gives {0 counted | 1 no bytes left | 2 no calls left, bytes used, ms to wait (-1: for ever), end, calls
-- that are kept}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local length, start = tonumber(ARGV[1]), tonumber(ARGV[2])
local calls, bytes = tonumber(ARGV[3]), tonumber(ARGV[4])
local needed, more, relayed = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local function at(number) return string.format('%.0f', number) end
local wait, ends = -1, '-1'
if length > 0 then
  wait = length - (now - start) % length
  ends = at(now + wait)
end
-- The fields of the period: those of the one before when the clock was set back to it.
local e, c, b = 'e', 0, 0
local have = redis.call('HMGET', KEYS[1], 'e', 'c', 'b', 'pe', 'pc', 'pb')
if have[1] == ends then
  c, b = tonumber(have[2]), tonumber(have[3])
elseif have[4] == ends then
  e, c, b = 'pe', tonumber(have[5]), tonumber(have[6])
elseif have[1] and tonumber(have[1]) > tonumber(ends) and tonumber(have[1]) - now <= 2 * length then
  -- Set back to one of which nothing is known: that renews nothing.
  ends = have[1]
  wait = tonumber(ends) - now
  c, b = tonumber(have[2]), tonumber(have[3])
end

local over = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', at(now))
for _, place in ipairs(over) do
  redis.call('HINCRBY', KEYS[3], 's', -tonumber(redis.call('HGET', KEYS[3], place) or 0))
  redis.call('HDEL', KEYS[3], place)
  redis.call('ZREM', KEYS[2], place)
end
local keep = tonumber(ARGV[10] or 0)
if keep > 0 and calls >= 0 then
  -- Nobody keeps more than is left, see quota.rs.
  keep = math.min(keep, math.max(calls - c, 1))
  needed = math.max(needed, keep)
end
if needed > 0 then
  if bytes >= 0 and b >= bytes then return {1, b, wait, ends, 0} end
  local kept = tonumber(redis.call('HGET', KEYS[3], 's') or 0)
  if calls >= 0 and c + needed > calls then return {2, b, wait, ends, 0} end
  if calls >= 0 and c + kept + needed > calls then
    local soon = tonumber(ARGV[8])
    if wait >= 0 then soon = math.min(wait, soon) end
    return {2, b, soon, ends, 0}
  end
end
if more > 0 or relayed > 0 then
  b = b + relayed
  if e == 'pe' then
    redis.call('HSET', KEYS[1], 'pc', at(c + more), 'pb', at(b))
  else
    if have[1] and have[1] ~= ends then
      redis.call('HSET', KEYS[1], 'pe', have[1], 'pc', have[2], 'pb', have[3])
    end
    redis.call('HSET', KEYS[1], 'e', ends, 'c', at(c + more), 'b', at(b))
    -- A day longer than it counts, at most: the clock may be set forward for a while.
    if wait >= 0 then redis.call('PEXPIRE', KEYS[1], at(wait + math.min(length, 86400000))) end
  end
end
if keep > 0 then
  local ending = tonumber(ARGV[11])
  redis.call('ZADD', KEYS[2], at(now + ending), ARGV[9])
  redis.call('HSET', KEYS[3], ARGV[9], keep)
  redis.call('HINCRBY', KEYS[3], 's', keep)
  local longest = math.max(ending, redis.call('PTTL', KEYS[2]))
  redis.call('PEXPIRE', KEYS[2], at(longest))
  redis.call('PEXPIRE', KEYS[3], at(longest))
end
return {0, b, wait, ends, keep}
