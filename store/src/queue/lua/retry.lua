-- id. Failed and cancelled steps start anew, and with them those that went on without them. Answers the job, or
-- nothing where there is none; one that is not over stays as it is.
local id = ARGV[1]
local job = job_key(id)
local state = get(job, 'state')
if not state or not over(state) then return view(job) end

local names = words(get(job, 'names'))
local again, found = {}, false
for _, name in ipairs(names) do
  local step = get(job, name .. '.state')
  if step == 'failed' or step == 'cancelled' then again[name], found = true, true end
end
if not found then return view(job) end
local grew = true
while grew do
  grew = false
  for _, name in ipairs(names) do
    if not again[name] then
      for _, need in ipairs(words(get(job, name .. '.needs'))) do
        if again[need] then again[name], grew = true, true end
      end
    end
  end
end
for name in pairs(again) do
  redis.call('HSET', job, name .. '.state', 'waiting', name .. '.attempts', '0', name .. '.crashes', '0')
  redis.call('HDEL', job, name .. '.outages', name .. '.losses', name .. '.failure', name .. '.failed_on',
    name .. '.others_until', name .. '.avoids', name .. '.refused_by', name .. '.result', name .. '.fence', name .. '.done',
    name .. '.total')
end

local tenant = get(job, 'tenant')
redis.call('HDEL', job, 'failure', 'finished')
set(job, 'state', 'queued')
unindex('dead', tenant, id)
redis.call('ZREM', base .. ':finished', id)
index('open', tenant, id, get(job, 'created'))
next_fence(job)
advance(id, job)
return view(job)
