-- id, fence of the recording's manifest. A manifest above the job's fence was written before a failover to a server that
-- is behind: the fence is raised above it, and the job answered. Nothing where the job has caught up, or is not there.
local job = job_key(ARGV[1])
local fence, above = tonumber(get(job, 'fence') or ''), tonumber(ARGV[2])
if not fence or fence >= above then return {} end
set(job, 'fence', ARGV[2])
next_fence(job)
return view(job)
