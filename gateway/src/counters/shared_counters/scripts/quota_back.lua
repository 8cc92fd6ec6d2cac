-- Takes back what a handshake counted in a quota, or places that were kept for it.
-- KEYS: as in quota.lua. ARGV: end of the period, calls; places.
local have = redis.call('HMGET', KEYS[1], 'e', 'c', 'pe', 'pc')
local function less(of) return -math.min(tonumber(ARGV[2]), tonumber(of)) end
if have[1] == ARGV[1] then
  redis.call('HINCRBY', KEYS[1], 'c', less(have[2]))
elseif have[3] == ARGV[1] then
  redis.call('HINCRBY', KEYS[1], 'pc', less(have[4]))
end
for i = 3, #ARGV do
  local weight = redis.call('HGET', KEYS[3], ARGV[i])
  if weight then
    redis.call('HINCRBY', KEYS[3], 's', -tonumber(weight))
    redis.call('HDEL', KEYS[3], ARGV[i])
    redis.call('ZREM', KEYS[2], ARGV[i])
  end
end
return 0
