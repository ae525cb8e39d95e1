-- id. Answers the job, or nothing where there is none. One that is over stays as it is.
local id = ARGV[1]
local job = job_key(id)
local state = get(job, 'state')
if state and not over(state) then
  next_fence(job)
  stop(id, job, 'cancelled')
end
return view(job)
