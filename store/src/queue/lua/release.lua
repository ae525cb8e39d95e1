-- id, step, fence. The try does not count; nothing happens where the lease was given away.
local id, name, fence = ARGV[1], ARGV[2], ARGV[3]
local job = job_key(id)
if get(job, name .. '.fence') ~= fence or get(job, name .. '.state') ~= 'leased' then return 'lost' end
redis.call('ZREM', base .. ':leases', id .. '|' .. name)
redis.call('HINCRBY', job, name .. '.attempts', -1)
-- What the step had put out already is no more: the recording is written anew.
next_fence(job)
forget_progress(job, name)
push_ready(id, job, name)
return 'ok'
