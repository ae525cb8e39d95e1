-- id, recording. Forgets a job, and what it was deduplicated by.
local id, recording = ARGV[1], ARGV[2]
local job = job_key(id)
local tenant = get(job, 'tenant')
if not tenant then return 'none' end
local dedupe = get(job, 'dedupe')
if dedupe then
  local key = base .. ':dedupe:' .. tenant .. ':' .. dedupe
  if redis.call('GET', key) == recording then redis.call('DEL', key) end
end
drop(id, job)
return 'ok'
