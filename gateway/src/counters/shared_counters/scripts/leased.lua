-- How many places among live tunnels are taken, as lease.lua keeps them; takes none.
-- KEYS: leases by the time they end (sorted set).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZCOUNT', KEYS[1], '(' .. string.format('%.0f', now), '+inf')
