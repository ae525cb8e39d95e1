-- id. Puts a job and its steps back into the lists that lost them: by an eviction, or by a hand.
-- Answers its state, when it finished, and '1' where something was missing; nothing where there is no such job.
local id = ARGV[1]
local job = job_key(id)
local state, tenant, created = get(job, 'state'), get(job, 'tenant'), get(job, 'created')
if not state then return {} end
-- A worker that lives renews its lease within a second.
local lease_ms = 15000
local healed = '0'

local function keep(list, member, score)
  if redis.call('ZADD', base .. ':' .. list, 'NX', score, member) == 1 then healed = '1' end
end

keep('all', id, created)
keep('all:' .. tenant, id, created)
if over(state) then
  keep('finished', id, get(job, 'finished') or digits(now))
else
  keep('open', id, created)
  keep('open:' .. tenant, id, created)
  for _, name in ipairs(words(get(job, 'names'))) do
    local member, step = id .. '|' .. name, get(job, name .. '.state')
    if step == 'leased' then
      keep('leases', member, digits(now + lease_ms))
    elseif step == 'delayed' then
      keep('delayed', member, digits(now))
    elseif step == 'ready' and not is_findable(id, job, name) then
      push_ready(id, job, name)
      healed = '1'
    end
  end
end
return { state, get(job, 'finished') or '', healed }
