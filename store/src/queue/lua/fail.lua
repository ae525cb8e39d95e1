-- id, step, fence, failure, code, how often it is tried, most attempts, most losses, first and highest ceiling of the wait
-- in ms, a random number in [0, 1), ms for which other workers go first, first and longest pause of the worker in ms.
-- Answers what became of it ('retry', 'optional', 'job' or 'lost'), the wait in ms, the worker's pause in ms, and the job.
local id, name, fence, failure, code, tries = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local job = job_key(id)
if get(job, name .. '.fence') ~= fence or get(job, name .. '.state') ~= 'leased' then
  return { 'lost', '0', '0', {} }
end
next_fence(job)

local worker = get(job, name .. '.worker')
local attempts = tonumber(get(job, name .. '.attempts'))
-- Some days of waiting. What goes on for longer is no outage.
local outages_max = 10000

-- Workers that failed this step and did others well since: the more there are, the less it was the machine.
local well = 0
for other, done in pairs(failed_on(job, name)) do
  if worker_field(other, 'done') > done then well = well + 1 end
end
if tries == 'machine' and well > 0 then tries = 'counted' end
local outages = tonumber(get(job, name .. '.outages') or '0')
if (tries == 'machine' or tries == 'outage') and outages >= outages_max then tries = 'counted' end

note_failed_on(job, name, worker, tonumber(ARGV[12]))
local pause = 0
local others = has_others(job, name)
local blames_worker = tries ~= 'never' and tries ~= 'confirm' and tries ~= 'elsewhere'
if blames_worker and well < 2 then
  -- A step that crashes says more about its recording, and no other worker would do the work meanwhile.
  local longest = (tries == 'twice' and not others) and ARGV[13] or ARGV[14]
  pause = strike(worker, code, tonumber(ARGV[13]), tonumber(longest))
end

local again, counted, number = false, false, 1
if tries == 'confirm' then
  again = not get(job, name .. '.refused_by')
  if again then set(job, name .. '.refused_by', worker) end
elseif tries == 'twice' then
  counted, number = true, attempts
  again = redis.call('HINCRBY', job, name .. '.crashes', 1) == 1
elseif tries == 'counted' then
  counted, number = true, attempts
  again = attempts < tonumber(ARGV[7])
elseif tries == 'machine' or tries == 'outage' then
  again, number = true, redis.call('HINCRBY', job, name .. '.outages', 1)
elseif tries == 'elsewhere' then
  again = others
elseif tries == 'lost' then
  number = redis.call('HINCRBY', job, name .. '.losses', 1)
  again = number < tonumber(ARGV[8])
end
if not again then
  local what = fail_for_good(id, job, name, failure)
  return { what, '0', digits(pause), view(job) }
end
if not counted then redis.call('HINCRBY', job, name .. '.attempts', -1) end

-- Far above any ceiling; an outage of days must not make it infinite.
local doubled = 2 ^ math.min(number - 1, 40)
local ceiling = math.min(tonumber(ARGV[10]), tonumber(ARGV[9]) * doubled)
local wait = math.floor(ceiling * tonumber(ARGV[11]))
-- What says nothing about the step is another worker's at once, and so is a second opinion.
if tries == 'confirm' or (others and tries ~= 'outage' and not counted) then wait = 0 end
unqueue(id, job, name)
forget_progress(job, name)
set(job, name .. '.failure', failure)
if wait == 0 then
  push_ready(id, job, name)
else
  set(job, name .. '.state', 'delayed')
  redis.call('ZADD', base .. ':delayed', digits(now + wait), id .. '|' .. name)
end
return { 'retry', digits(wait), digits(pause), view(job) }
