-- Gives a place back. KEYS: as in lease.lua. ARGV: lease.
return redis.call('ZREM', KEYS[1], ARGV[1])
