-- id, step, fence, failure, '1' where it may be tried again, '1' where only once more, most attempts,
-- first and highest ceiling of the wait in ms, a random number in [0, 1), '1' where the try does not count.
-- Answers what became of it ('retry', 'optional', 'job' or 'lost'), the wait in ms, and the job.
local id, name, fence, failure = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local job = job_key(id)
if get(job, name .. '.fence') ~= fence or get(job, name .. '.state') ~= 'leased' then return { 'lost', '0', {} } end

local attempts = tonumber(get(job, name .. '.attempts'))
-- Some days of waiting. What goes on for longer is no outage.
local outages_max = 10000
local uncounted = ARGV[11] == '1' and tonumber(get(job, name .. '.outages') or '0') < outages_max
local again = ARGV[5] == '1' and (uncounted or attempts < tonumber(ARGV[7]))
if again and ARGV[6] == '1' then
  again = redis.call('HINCRBY', job, name .. '.crashes', 1) == 1
end
next_fence(job)
if not again then
  local what = fail_for_good(id, job, name, failure)
  return { what, '0', view(job) }
end
local tries = attempts
if uncounted then
  redis.call('HINCRBY', job, name .. '.attempts', -1)
  tries = redis.call('HINCRBY', job, name .. '.outages', 1)
end
-- Far above any ceiling; an outage of days must not make it infinite.
local doubled = 2 ^ math.min(tries - 1, 40)
local ceiling = math.min(tonumber(ARGV[9]), tonumber(ARGV[8]) * doubled)
local wait = math.floor(ceiling * tonumber(ARGV[10]))
unqueue(id, job, name)
redis.call('HSET', job, name .. '.state', 'delayed', name .. '.failure', failure)
redis.call('ZADD', base .. ':delayed', digits(now + wait), id .. '|' .. name)
return { 'retry', digits(wait), view(job) }
