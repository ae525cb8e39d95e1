-- worker, lease in ms, most attempts, highest priority number (or empty: any).
-- Answers the next step, or nothing: tenant, recording, step, fence, attempt, optional, input, traceparent, and
-- for each need its name, '1' where it has a result, and that.
local worker, lease_ms, attempts_max = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local highest = ARGV[4] ~= '' and ARGV[4] or '+inf'

wake_delayed()

-- A worker that died is noticed by the next one that asks, not only by the sweeper. Steps without a try left
-- are the sweeper's: it tells who must hear of the failure.
for _, member in ipairs(redis.call('ZRANGEBYSCORE', base .. ':leases', '-inf', digits(now), 'LIMIT', 0, 100)) do
  local id, name = split_member(member)
  local job = job_key(id)
  if get(job, name .. '.state') ~= 'leased' then
    redis.call('ZREM', base .. ':leases', member)
  elseif tonumber(get(job, name .. '.attempts')) < attempts_max then
    redis.call('ZREM', base .. ':leases', member)
    push_ready(id, job, name)
  end
end

-- The next entry of a priority: of the tenant served longest ago, the one due first.
local function pop(priority)
  local turns = base .. ':turns:' .. priority
  while true do
    local tenant = redis.call('ZRANGE', turns, 0, 0)[1]
    if not tenant then
      redis.call('ZREM', base .. ':priorities', priority)
      return nil
    end
    local ready = base .. ':ready:' .. priority .. ':' .. tenant
    local member = redis.call('ZPOPMIN', ready)[1]
    if not member then
      redis.call('ZREM', turns, tenant)
    else
      local turn = redis.call('INCR', base .. ':turn')
      redis.call('HSET', base .. ':served', tenant, turn)
      redis.call('ZADD', turns, turn, tenant)
      return member
    end
  end
end

for _, priority in ipairs(redis.call('ZRANGEBYSCORE', base .. ':priorities', '-inf', highest)) do
  local member = pop(priority)
  while member do
    local id, name = split_member(member)
    local job = job_key(id)
    if get(job, name .. '.state') == 'ready' then
      local fence = next_fence(job)
      local attempt = redis.call('HINCRBY', job, name .. '.attempts', 1)
      redis.call('HSET', job, name .. '.state', 'leased', name .. '.worker', worker, name .. '.fence', fence)
      redis.call('HDEL', job, name .. '.done', name .. '.total', name .. '.note')
      if get(job, 'state') == 'queued' then set(job, 'state', 'running') end
      redis.call('ZADD', base .. ':leases', digits(now + lease_ms), member)
      local reply = { get(job, 'tenant'), get(job, 'recording'), name, fence, tostring(attempt),
        get(job, name .. '.optional'), get(job, name .. '.input'), get(job, 'traceparent') or '' }
      for _, need in ipairs(words(get(job, name .. '.needs'))) do
        local result = get(job, need .. '.state') == 'done' and get(job, need .. '.result')
        reply[#reply + 1] = need
        reply[#reply + 1] = result and '1' or '0'
        reply[#reply + 1] = result or ''
      end
      return reply
    end
    member = pop(priority)
  end
end
return {}
