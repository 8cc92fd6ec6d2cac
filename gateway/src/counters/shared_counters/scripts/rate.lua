-- A sliding window, as in counter.rs: slots in order, and the calls in each of them.
-- KEYS: slots (sorted set), calls by slot (hash; besides s: their sum, h: the longest period, p: how
-- many of them wait for an answer).
-- ARGV: period in ms, calls allowed, weight, what the same handshake counted, what is kept for it,
-- 1 when the weight is to be kept only, ms to wait where places that are kept are in the way.
-- Gives {1, remaining, slot, what was counted or kept}, or {0, ms to wait, nothing, 0}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local period, calls = tonumber(ARGV[1]), tonumber(ARGV[2])
local weight, own, held = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local provisional = ARGV[6] == '1'
local sum = tonumber(redis.call('HGET', KEYS[2], 's') or 0)
local horizon = math.max(period, tonumber(redis.call('HGET', KEYS[2], 'h') or 0))
local function at(number) return string.format('%.0f', number) end
local function calls_of(slot) return tonumber(redis.call('HGET', KEYS[2], slot) or 0) end
-- Rounded up: a call never leaves its window too early, and a window has some 1,000 slots at most.
local width = math.max(1, math.floor(period / 1000))
local slot = at(math.ceil(now / width) * width)

-- The clock was set back: what lies in the future is of now. It would count for long otherwise.
local longest = math.max(1, math.floor(horizon / 1000))
for _, later in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. at(now + longest), '+inf')) do
  redis.call('ZADD', KEYS[1], slot, slot)
  redis.call('HINCRBY', KEYS[2], slot, calls_of(later))
  redis.call('HDEL', KEYS[2], later)
  redis.call('ZREM', KEYS[1], later)
end
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
local others = used - own - held
local kept = math.max(tonumber(redis.call('HGET', KEYS[2], 'p') or 0) - held, 0)
-- Nobody keeps more than is left, see counter.rs.
if provisional then weight = math.min(weight, math.max(calls - (others - kept), 1)) end
local needed = math.max(weight, own + held, 1)
if others + needed > calls then
  inside = inside or redis.call('ZRANGE', KEYS[1], 0, -1)
  local wait, left = period, others
  for _, slot in ipairs(inside) do
    left = left - calls_of(slot)
    if left + needed <= calls then
      wait = tonumber(slot) + period - now
      break
    end
  end
  if kept > 0 and others - kept + needed <= calls then wait = math.min(wait, tonumber(ARGV[7])) end
  if #gone > 0 then redis.call('HSET', KEYS[2], 's', at(sum)) end
  return {0, math.max(wait, 1), '', 0}
end
local more = math.max(weight - own, 0)
if provisional then more = math.max(weight - own - held, 0) end
if more > 0 then
  redis.call('ZADD', KEYS[1], slot, slot)
  redis.call('HINCRBY', KEYS[2], slot, more)
  if provisional then redis.call('HINCRBY', KEYS[2], 'p', more) end
end
if more > 0 or sum > 0 then
  redis.call('HSET', KEYS[2], 's', at(sum + more), 'h', at(horizon))
  redis.call('PEXPIRE', KEYS[1], at(horizon + width))
  redis.call('PEXPIRE', KEYS[2], at(horizon + width))
elseif #gone > 0 then
  redis.call('HSET', KEYS[2], 's', at(sum))
end
if provisional then weight = 0 end
return {1, calls - others - math.max(weight, own), slot, more}
