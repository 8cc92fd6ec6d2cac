-- Takes back what a handshake counted in a sliding window, or what was kept for it; counts what its
-- answer says instead.
-- KEYS: as in rate.lua. ARGV: period in ms, weight to count, then for each that is taken back its slot,
-- its weight, and 1 when it was kept only.
-- Gives the slot of what was counted.
for i = 3, #ARGV, 3 do
  local weight = tonumber(ARGV[i + 1])
  local less = math.min(weight, tonumber(redis.call('HGET', KEYS[2], ARGV[i]) or 0))
  if less > 0 then
    redis.call('HINCRBY', KEYS[2], ARGV[i], -less)
    redis.call('HINCRBY', KEYS[2], 's', -less)
  end
  local kept = tonumber(redis.call('HGET', KEYS[2], 'p') or 0)
  if ARGV[i + 2] == '1' and kept > 0 then
    redis.call('HINCRBY', KEYS[2], 'p', -math.min(weight, kept))
  end
end
local period, weight = tonumber(ARGV[1]), tonumber(ARGV[2])
if weight == 0 then return '' end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function at(number) return string.format('%.0f', number) end
local horizon = math.max(period, tonumber(redis.call('HGET', KEYS[2], 'h') or 0))
local width = math.max(1, math.floor(period / 1000))
local slot = at(math.ceil(now / width) * width)
redis.call('ZADD', KEYS[1], slot, slot)
redis.call('HINCRBY', KEYS[2], slot, weight)
redis.call('HINCRBY', KEYS[2], 's', weight)
redis.call('HSET', KEYS[2], 'h', at(horizon))
redis.call('PEXPIRE', KEYS[1], at(horizon + width))
redis.call('PEXPIRE', KEYS[2], at(horizon + width))
return slot
