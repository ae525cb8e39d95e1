-- tenant, hashed value, recording. Unbinds the value, unless it stands for another recording by now.
local key = base .. ':claim:' .. ARGV[1] .. ':' .. ARGV[2]
if redis.call('GET', key) == ARGV[3] then return redis.call('DEL', key) end
return 0
