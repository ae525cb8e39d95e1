-- id, step, fence, failure, '1' where it may be tried again, '1' where only once more, most attempts,
-- first and highest ceiling of the wait in ms, a random number in [0, 1).
-- Answers what became of it ('retry', 'optional', 'job' or 'lost'), the wait in ms, and the job.
local id, name, fence, failure = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local job = job_key(id)
if get(job, name .. '.fence') ~= fence or get(job, name .. '.state') ~= 'leased' then return { 'lost', '0', {} } end

local attempts = tonumber(get(job, name .. '.attempts'))
local again = ARGV[5] == '1' and attempts < tonumber(ARGV[7])
if again and ARGV[6] == '1' then
  again = redis.call('HINCRBY', job, name .. '.crashes', 1) == 1
end
next_fence(job)
if not again then
  local what = fail_for_good(id, job, name, failure)
  return { what, '0', view(job) }
end
local ceiling = math.min(tonumber(ARGV[9]), tonumber(ARGV[8]) * 2 ^ (attempts - 1))
local wait = math.floor(ceiling * tonumber(ARGV[10]))
unqueue(id, job, name)
redis.call('HSET', job, name .. '.state', 'delayed', name .. '.failure', failure)
redis.call('ZADD', base .. ':delayed', digits(now + wait), id .. '|' .. name)
return { 'retry', digits(wait), view(job) }
