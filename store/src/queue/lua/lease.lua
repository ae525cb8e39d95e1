-- worker, lease in ms, most losses, highest priority number (or empty: any), steps the worker runs now, its
-- capabilities.
-- Answers 'none'; 'paused', for how long in ms, and the code of the worker's last failure; or 'step', tenant, recording,
-- step, fence, attempt, optional, input, traceparent, '1' where it is to run alone, and for each need its name, '1' where
-- it has a result, and that.
local worker, lease_ms, losses_max = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local highest = ARGV[4] ~= '' and ARGV[4] or '+inf'
local running, can = tonumber(ARGV[5]), ARGV[6]

wake_delayed()

-- A worker that died is noticed by the next one that asks, not only by the sweeper. Steps that were lost too often are
-- the sweeper's: it tells who must hear of the failure.
for _, member in ipairs(redis.call('ZRANGEBYSCORE', base .. ':leases', '-inf', digits(now), 'LIMIT', 0, 100)) do
  local id, name = split_member(member)
  local job = job_key(id)
  if get(job, name .. '.state') ~= 'leased' then
    redis.call('ZREM', base .. ':leases', member)
  elseif tonumber(get(job, name .. '.losses') or '0') + 1 < losses_max then
    redis.call('ZREM', base .. ':leases', member)
    lose(job, name, losses_max)
    push_ready(id, job, name)
  end
end

local paused = worker_field(worker, 'paused') - now
if paused > 0 then
  return { 'paused', digits(paused), redis.call('HGET', worker_key(worker), 'code') or '' }
end

-- Members looked at in one tenant's list, and tenants in one lane: most are the first's first.
local members_max, tenants_max = 16, 64
-- A step that was lost twice is an idle worker's; after this long the next one's, which first ends what it runs, in ms.
local alone_wait = 60000

local function is_alone(job, name) return tonumber(get(job, name .. '.losses') or '0') >= 2 end

local function may_take(job, name)
  if tonumber(get(job, name .. '.others_until') or '0') > now and failed_on(job, name)[worker]
    and has_others(job, name) then
    return false
  end
  if running > 0 and is_alone(job, name) then
    local since = tonumber(get(job, name .. '.ready_at') or '0')
    return now - since > alone_wait
  end
  return true
end

-- Whether this worker may take steps of a lane. What nobody can do is anyone's: it fails with a clear code.
local function may_enter(lane)
  local required = {}
  for capability in string.gmatch(lane, '+([^+]+)') do required[#required + 1] = capability end
  return includes(can, required) or not is_there({}, required, true)
end

-- Takes the next entry out of a lane: of the tenant served longest ago, the one due first that this worker may take.
local function take(lane)
  local turns = base .. ':turns:' .. lane
  local tenants = redis.call('ZRANGE', turns, 0, tenants_max - 1)
  for _, tenant in ipairs(tenants) do
    local ready = base .. ':ready:' .. lane .. ':' .. tenant
    local members, stale
    repeat
      stale = false
      members = redis.call('ZRANGE', ready, 0, members_max - 1)
      for _, member in ipairs(members) do
        local id, name = split_member(member)
        local job = job_key(id)
        if get(job, name .. '.state') ~= 'ready' then
          redis.call('ZREM', ready, member)
          stale = true
        elseif may_take(job, name) then
          redis.call('ZREM', ready, member)
          local turn = redis.call('INCR', base .. ':turn')
          redis.call('HSET', base .. ':served', tenant, turn)
          redis.call('ZADD', turns, turn, tenant)
          return member
        end
      end
    until not stale
    if #members == 0 then redis.call('ZREM', turns, tenant) end
  end
  if redis.call('ZCARD', turns) == 0 then redis.call('ZREM', base .. ':priorities', lane) end
end

for _, lane in ipairs(redis.call('ZRANGEBYSCORE', base .. ':priorities', '-inf', highest)) do
  local member = may_enter(lane) and take(lane)
  if member then
    local id, name = split_member(member)
    local job = job_key(id)
    local fence = next_fence(job)
    local attempt = redis.call('HINCRBY', job, name .. '.attempts', 1)
    redis.call('HSET', job, name .. '.state', 'leased', name .. '.worker', worker, name .. '.fence', fence)
    redis.call('HDEL', job, name .. '.done', name .. '.total', name .. '.note')
    if get(job, 'state') == 'queued' then set(job, 'state', 'running') end
    redis.call('ZADD', base .. ':leases', digits(now + lease_ms), member)
    local reply = { 'step', get(job, 'tenant'), get(job, 'recording'), name, fence, tostring(attempt),
      get(job, name .. '.optional'), get(job, name .. '.input'), get(job, 'traceparent') or '',
      is_alone(job, name) and '1' or '0' }
    for _, need in ipairs(words(get(job, name .. '.needs'))) do
      local result = get(job, need .. '.state') == 'done' and get(job, need .. '.result')
      reply[#reply + 1] = need
      reply[#reply + 1] = result and '1' or '0'
      reply[#reply + 1] = result or ''
    end
    return reply
  end
end
return { 'none' }
