-- id, step, fence, result, steps to add…
-- Answers 'ok' and the job, 'lost', or 'invalid'.
local id, name, fence = ARGV[1], ARGV[2], ARGV[3]
local job = job_key(id)
if get(job, name .. '.fence') ~= fence then return { 'lost', {} } end
local state = get(job, name .. '.state')
-- Asked again because the answer was lost on the way: it is accepted already.
if state == 'done' then return { 'ok', view(job) } end
if state ~= 'leased' then return { 'lost', {} } end
if not add_steps(job, 5) then return { 'invalid', {} } end
unqueue(id, job, name)
redis.call('HSET', job, name .. '.state', 'done', name .. '.result', ARGV[4])
redis.call('HDEL', job, name .. '.failure', name .. '.note')
next_fence(job)
advance(id, job)
return { 'ok', view(job) }
