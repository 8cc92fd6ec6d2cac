-- Takes back the calls that a refused handshake counted in a quota.
-- KEYS: as in quota.lua. ARGV: end of the period, calls.
local have = redis.call('HMGET', KEYS[1], 'e', 'c')
if have[1] == ARGV[1] then
  local less = math.min(tonumber(ARGV[2]), tonumber(have[2]))
  redis.call('HINCRBY', KEYS[1], 'c', -less)
end
return 0
