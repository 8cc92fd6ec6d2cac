-- A sliding window, as in counter.rs: slots in order, and the calls in each of them.
-- KEYS: slots (sorted set), calls by slot (hash; besides s: their sum, h: the longest period).
-- ARGV: period in ms, calls allowed (-1: do not ask), weight, weight counted by the same handshake.
-- Gives {1, remaining, slot}, or {0, ms to wait, nothing}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local period, calls = tonumber(ARGV[1]), tonumber(ARGV[2])
local weight, own = tonumber(ARGV[3]), tonumber(ARGV[4])
local sum = tonumber(redis.call('HGET', KEYS[2], 's') or 0)
local horizon = math.max(period, tonumber(redis.call('HGET', KEYS[2], 'h') or 0))
local function at(number) return string.format('%.0f', number) end
local function calls_of(slot) return tonumber(redis.call('HGET', KEYS[2], slot) or 0) end

local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', at(now - horizon))
for _, slot in ipairs(gone) do
  sum = sum - calls_of(slot)
  redis.call('HDEL', KEYS[2], slot)
  redis.call('ZREM', KEYS[1], slot)
end
local inside = nil
local used = sum
if period < horizon then
  inside = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. at(now - period), '+inf')
  used = 0
  for _, slot in ipairs(inside) do used = used + calls_of(slot) end
end
local needed = math.max(weight, own, 1)
if calls >= 0 and used - own + needed > calls then
  inside = inside or redis.call('ZRANGE', KEYS[1], 0, -1)
  local wait = period
  for _, slot in ipairs(inside) do
    used = used - calls_of(slot)
    if used - own + needed <= calls then
      wait = tonumber(slot) + period - now
      break
    end
  end
  if #gone > 0 then redis.call('HSET', KEYS[2], 's', at(sum)) end
  return {0, math.max(wait, 1), ''}
end
local more = math.max(weight - own, 0)
-- Rounded up: a call never leaves its window too early, and a window has some 1,000 slots at most.
local width = math.max(1, math.floor(period / 1000))
local slot = at(math.ceil(now / width) * width)
if more > 0 then
  redis.call('ZADD', KEYS[1], slot, slot)
  redis.call('HINCRBY', KEYS[2], slot, more)
  redis.call('HSET', KEYS[2], 's', at(sum + more), 'h', at(horizon))
  redis.call('PEXPIRE', KEYS[1], at(horizon + width))
  redis.call('PEXPIRE', KEYS[2], at(horizon + width))
elseif #gone > 0 then
  redis.call('HSET', KEYS[2], 's', at(sum))
end
return {1, calls - (used - own) - math.max(weight, own), slot}
