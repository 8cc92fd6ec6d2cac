-- A place among live tunnels: a lease that its pod renews, so that a dead pod's places get free.
-- KEYS: leases by the time they end (sorted set). ARGV: places, lease, its length in ms.
-- Gives 1, or 0 when there is no place.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function at(number) return string.format('%.0f', number) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', at(now))
-- The clock was set back: a dead pod's places would stay taken for long.
for _, later in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. at(now + ARGV[3]), '+inf')) do
  redis.call('ZADD', KEYS[1], at(now + ARGV[3]), later)
end
local others = redis.call('ZCARD', KEYS[1])
if redis.call('ZSCORE', KEYS[1], ARGV[2]) then others = others - 1 end
if others >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], at(now + ARGV[3]), ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
