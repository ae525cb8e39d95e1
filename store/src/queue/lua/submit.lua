-- id, tenant, recording, due, dedupe, created, lowest fence, ms a dedupe value is kept, steps…
-- Answers who stands for what was submitted, and whether a job was made; or 'invalid'.
local id, tenant, recording = ARGV[1], ARGV[2], ARGV[3]
local due, dedupe, created = ARGV[4], ARGV[5], ARGV[6]
local job = job_key(id)

if redis.call('EXISTS', job) == 1 then return { recording, '0' } end

local dedupe_key = base .. ':dedupe:' .. tenant .. ':' .. dedupe
if dedupe ~= '' then
  local other = redis.call('GET', dedupe_key)
  if other and other ~= recording then
    local state = get(job_key(tenant .. '/' .. other), 'state')
    -- One that failed, was stopped or is forgotten stands for nothing: the upload may be tried again.
    if state and state ~= 'failed' and state ~= 'cancelled' then return { other, '0' } end
  end
end

if created == '' then created = digits(now) end
redis.call('HSET', job, 'tenant', tenant, 'recording', recording, 'state', 'queued', 'created', created,
  'fence', ARGV[7])
if not add_steps(job, 9) then
  redis.call('DEL', job)
  return { 'invalid', '0' }
end
if due ~= '' then set(job, 'due', due) end
if dedupe ~= '' then
  set(job, 'dedupe', dedupe)
  redis.call('SET', dedupe_key, recording, 'PX', ARGV[8])
end
next_fence(job)
index('all', tenant, id, created)
index('open', tenant, id, created)
advance(id, job)
return { recording, '1' }
