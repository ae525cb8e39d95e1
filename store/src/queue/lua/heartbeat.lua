-- id, step, fence, lease in ms, done and total in ms (or empty).
local id, name, fence = ARGV[1], ARGV[2], ARGV[3]
local job = job_key(id)
if get(job, name .. '.fence') ~= fence then return 'lost' end
local state = get(job, name .. '.state')
if state == 'cancelled' then return 'cancelled' end
if state ~= 'leased' then return 'lost' end
redis.call('ZADD', base .. ':leases', digits(now + tonumber(ARGV[4])), id .. '|' .. name)
if ARGV[5] ~= '' then redis.call('HSET', job, name .. '.done', ARGV[5], name .. '.total', ARGV[6]) end
return 'continue'
