-- Answers for each worker that is there: name, failures in a row, steps done, ms it is paused for, code of its last
-- failure.
local reply = {}
for _, worker in ipairs(live_workers()) do
  local paused = math.max(0, worker_field(worker, 'paused') - now)
  reply[#reply + 1] = { worker, digits(worker_field(worker, 'failures')), digits(worker_field(worker, 'done')),
    digits(paused), redis.call('HGET', worker_key(worker), 'code') or '' }
end
return reply
