-- worker, its capabilities, outcome of the check of its machine ('passed', 'failed', or empty), code of a failed one, first and longest
-- pause in ms.
-- Answers the ms it is paused for, and the code of its last failure.
local worker, outcome, code = ARGV[1], ARGV[3], ARGV[4]
redis.call('ZADD', base .. ':workers', digits(now), worker)
redis.call('HSET', worker_key(worker), 'can', ARGV[2])
redis.call('PEXPIRE', worker_key(worker), worker_kept)
redis.call('ZREMRANGEBYSCORE', base .. ':workers', '-inf', digits(now - worker_kept))
if outcome == 'failed' then strike(worker, code, tonumber(ARGV[5]), tonumber(ARGV[6])) end
if outcome == 'passed' then redis.call('HDEL', worker_key(worker), 'paused') end
local paused = math.max(0, worker_field(worker, 'paused') - now)
return { digits(paused), redis.call('HGET', worker_key(worker), 'code') or '' }
