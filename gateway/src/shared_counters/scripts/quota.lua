-- A fixed period, as in quota.rs.
-- KEYS: c: calls, b: bytes, e: end of the period in ms since 1970, -1: never (hash).
-- ARGV: length of a period in ms (0: it never ends), its start, calls allowed (-1: any), bytes
-- allowed (-1: any), calls that must be free (0: do not ask), calls to count, bytes to count.
-- Gives {0 counted | 1 no bytes left | 2 no calls left, bytes used, ms to wait (-1: for ever), end}.
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
local c, b = 0, 0
local have = redis.call('HMGET', KEYS[1], 'e', 'c', 'b')
if have[1] == ends then
  c, b = tonumber(have[2]), tonumber(have[3])
end
if needed > 0 then
  if bytes >= 0 and b >= bytes then return {1, b, wait, ends} end
  if calls >= 0 and c + needed > calls then return {2, b, wait, ends} end
end
if more > 0 or relayed > 0 then
  b = b + relayed
  redis.call('HSET', KEYS[1], 'e', ends, 'c', at(c + more), 'b', at(b))
  if wait >= 0 then redis.call('PEXPIRE', KEYS[1], at(wait)) end
end
return {0, b, wait, ends}
