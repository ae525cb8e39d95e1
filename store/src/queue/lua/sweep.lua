-- grace in ms, most losses, code and sentence of a step whose worker was lost, ms for which jobs that are done
-- or cancelled stay known, ms for which dead letters do.
-- Takes back leases that ended, and forgets old jobs. Answers '1' where more is left to do, and the jobs whose
-- manifests are to be written: a step failed for good, or a live rendition was lost.
local page = 100
local grace, losses_max = tonumber(ARGV[1]), tonumber(ARGV[2])
local reply = { '0' }

wake_delayed()

local ended = redis.call('ZRANGEBYSCORE', base .. ':leases', '-inf', digits(now - grace), 'LIMIT', 0, page)
if #ended == page then reply[1] = '1' end
for _, member in ipairs(ended) do
  local id, name = split_member(member)
  local job = job_key(id)
  if get(job, name .. '.state') ~= 'leased' then
    redis.call('ZREM', base .. ':leases', member)
  elseif lose(id, job, name, losses_max) then
    redis.call('ZREM', base .. ':leases', member)
    push_ready(id, job, name)
  else
    -- A step's name needs no escaping; the code and the sentence are ours.
    fail_for_good(id, job, name, '{"code":"' .. ARGV[3] .. '","message":"' .. ARGV[4] .. '","step":"' .. name
      .. '","blame":"machine"}')
    reply[#reply + 1] = view(job)
  end
end

for _, id in ipairs(redis.call('SPOP', base .. ':unrecorded', page)) do
  local fields = view(job_key(id))
  if #fields > 0 then reply[#reply + 1] = fields end
end

local old = redis.call('ZRANGEBYSCORE', base .. ':finished', '-inf', digits(now - tonumber(ARGV[5])), 'LIMIT', 0, page)
for _, id in ipairs(old) do
  local job = job_key(id)
  local state = get(job, 'state')
  if not state then
    redis.call('ZREM', base .. ':finished', id)
  elseif state ~= 'failed' then
    drop(id, job)
  elseif tonumber(get(job, 'finished')) < now - tonumber(ARGV[6]) then
    drop(id, job)
  else
    -- Looked at again when its own time is over.
    redis.call('ZADD', base .. ':finished', digits(tonumber(get(job, 'finished')) + tonumber(ARGV[6]) - tonumber(ARGV[5])), id)
  end
end
if #old == page then reply[1] = '1' end
return reply
