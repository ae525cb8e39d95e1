-- id, step, fence, note: what the recording's manifest must know of a step before it is over.
-- Answers 'ok' and the job under a fresh fence, or 'lost'.
local id, name, fence = ARGV[1], ARGV[2], ARGV[3]
local job = job_key(id)
if get(job, name .. '.fence') ~= fence or get(job, name .. '.state') ~= 'leased' then return { 'lost', {} } end
set(job, name .. '.note', ARGV[4])
next_fence(job)
return { 'ok', view(job) }
