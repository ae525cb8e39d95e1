-- id, step, fence, result, code of a refusal that did not hold, first and longest pause of who refused in ms, steps to
-- add…
-- Answers 'ok' and the job, 'lost', or 'invalid'.
local id, name, fence = ARGV[1], ARGV[2], ARGV[3]
local job = job_key(id)
if get(job, name .. '.fence') ~= fence then return { 'lost', {} } end
local state = get(job, name .. '.state')
-- Asked again because the answer was lost on the way: it is accepted already.
if state == 'done' then return { 'ok', view(job) } end
if state ~= 'leased' then return { 'lost', {} } end
if not add_steps(job, 8) then return { 'invalid', {} } end
unqueue(id, job, name)
local worker, refused_by = get(job, name .. '.worker'), get(job, name .. '.refused_by')
prove(worker, fence)
-- Another worker refused this file: something is missing there.
if refused_by and refused_by ~= worker then strike(refused_by, ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])) end
redis.call('HSET', job, name .. '.state', 'done', name .. '.result', ARGV[4])
redis.call('HDEL', job, name .. '.failure', name .. '.note', name .. '.failed_on', name .. '.others_until',
  name .. '.avoids', name .. '.refused_by')
next_fence(job)
advance(id, job)
return { 'ok', view(job) }
