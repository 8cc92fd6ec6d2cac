-- Takes back what a refused handshake counted in a sliding window.
-- KEYS: as in rate.lua. ARGV: slot, weight.
local less = math.min(tonumber(ARGV[2]), tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or 0))
if less > 0 then
  redis.call('HINCRBY', KEYS[2], ARGV[1], -less)
  redis.call('HINCRBY', KEYS[2], 's', -less)
end
return less
