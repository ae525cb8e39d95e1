-- id. Forgets a job, and what it was deduplicated by.
local id = ARGV[1]
local job = job_key(id)
if not get(job, 'tenant') then return 'none' end
drop(id, job)
return 'ok'
