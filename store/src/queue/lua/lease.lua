-- worker, lease in ms, most losses, '1' for short steps alone, what the worker does ('idle', 'busy' or 'draining'), most
-- steps of a tenant at once (0: any), capabilities of the worker.
-- Answers 'none'; 'paused', for how long in ms, and the code of the worker's last failure; or 'step', tenant, recording,
-- step, fence, attempt, optional, input, '1' where it is to run alone, and for each need its name, '1' where
-- it has a result, and that.
local worker, lease_ms, losses_max = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local only_short, occupancy, tenant_steps_max, can = ARGV[4] == '1', ARGV[5], tonumber(ARGV[6]), ARGV[7]

wake_delayed()
age_idle()

-- A worker that died is noticed by the next one that asks, not only by the sweeper. Steps that were lost too often are
-- the sweeper's: it tells who must hear of the failure.
for _, member in ipairs(redis.call('ZRANGEBYSCORE', base .. ':leases', '-inf', digits(now), 'LIMIT', 0, 100)) do
  local id, name = split_member(member)
  local job = job_key(id)
  if get(job, name .. '.state') ~= 'leased' then
    redis.call('ZREM', base .. ':leases', member)
  elseif tonumber(get(job, name .. '.losses') or '0') + 1 < losses_max then
    redis.call('ZREM', base .. ':leases', member)
    lose(id, job, name, losses_max)
    push_ready(id, job, name)
  end
end

local paused = worker_field(worker, 'paused') - now
if paused > 0 then
  return { 'paused', digits(paused), redis.call('HGET', worker_key(worker), 'code') or '' }
end

-- Tenants asked in one call, and steps of one tenant where this worker may not take each: in lanes of failed steps.
local tenants_max, members_max = 256, 16
-- A step that was lost twice is an idle worker's; after this long the next one's, which first ends what it runs, in ms.
local alone_wait = 60000

local function may_take(lane, job, name)
  if tonumber(get(job, name .. '.others_until') or '0') > now and failed_on(job, name)[worker]
    and has_others(job, name) then
    return false
  end
  if not lane.alone or occupancy == 'idle' then return true end
  return occupancy == 'busy' and now - tonumber(get(job, name .. '.ready_at') or '0') > alone_wait
end

-- Whether this worker may take steps of a lane. What nobody can do is anyone's: it fails with a clear code.
local function may_enter(lane)
  return includes(can, lane.requires) or not is_there({}, lane.requires, true)
end

-- Whether a tenant left a lane while it was looked at.
local has_left = false

-- The first step of a tenant in a lane that this worker may take, and its rank.
local function first_of(lane, tenant)
  local ready = base .. ':ready:' .. lane.name .. ':' .. tenant
  -- In a lane that avoids this worker, one says enough of all.
  local at, most = 0, ((lane.alone or lane.avoids) and lane.avoids ~= worker) and members_max or 1
  while at < most do
    local found = redis.call('ZRANGE', ready, at, at, 'WITHSCORES')
    if not found[1] then break end
    local id, name = split_member(found[1])
    local job = job_key(id)
    if get(job, name .. '.state') ~= 'ready' then
      redis.call('ZREM', ready, found[1])
    elseif may_take(lane, job, name) then
      return found[1], tonumber(found[2])
    else
      at = at + 1
    end
  end
  if at == 0 then has_left = leave_turns(lane, tenant) or has_left end
end

-- Whether a tenant has as many steps running as it may.
local held
local function is_capped(tenant)
  if tenant_steps_max == 0 then return false end
  if not held then
    held = {}
    for _, member in ipairs(redis.call('ZRANGE', base .. ':leases', 0, -1)) do
      local holder = string.match(member, '^[^/]*')
      held[holder] = (held[holder] or 0) + 1
    end
  end
  return (held[tenant] or 0) >= tenant_steps_max
end

-- Chooses a step among lanes: of the tenant that had least by this account, the first by rank. Answers it, and its lane.
local function choose(account, lanes)
  -- Tenants without a step for this worker, and where each lane goes on after them.
  local passed, places = {}, {}
  for _ = 1, tenants_max do
    if has_left then places, has_left = {}, false end
    local tenant, least
    for _, lane in ipairs(lanes) do
      local place, first = places[lane.name] or 0
      repeat
        first = redis.call('ZRANGE', turns_of(account, lane), place, place, 'WITHSCORES')
        place = place + 1
      until not first[1] or not passed[first[1]]
      places[lane.name] = place - 1
      if first[1] and (not least or tonumber(first[2]) < least) then tenant, least = first[1], tonumber(first[2]) end
    end
    if not tenant then return end
    local member, lowest, from
    if lanes[1].class == look or not is_capped(tenant) then
      for _, lane in ipairs(lanes) do
        local found, score = first_of(lane, tenant)
        if found and (not lowest or score < lowest) then member, lowest, from = found, score, lane end
      end
    end
    if member then return member, from, math.max(least, spent(account, '*')) end
    passed[tenant] = true
  end
end

-- Takes what was chosen: the tenant's account moves on by the step's estimated work.
local function take(account, lanes, member, lane, start)
  local id, name = split_member(member)
  local job = job_key(id)
  local known = redis.call('HMGET', job, 'tenant', name .. '.cost')
  local tenant, cost = known[1], tonumber(known[2] or '0')
  local ready = base .. ':ready:' .. lane.name .. ':' .. tenant
  redis.call('ZREM', ready, member)
  if redis.call('ZCARD', ready) == 0 then leave_turns(lane, tenant) end
  local total = digits(start + (cost > 0 and cost or default_cost))
  redis.call('HSET', base .. ':spent:' .. account, tenant, total, '*', digits(start))
  for _, other in ipairs(lanes) do
    local turns = turns_of(account, other)
    if turns then redis.call('ZADD', turns, 'XX', total, tenant) end
  end
end

local function next_step()
  local all = all_lanes()
  local lanes = { look = {}, listen = {}, rest = {}, idle = {} }
  for _, lane in ipairs(all) do
    local group = lane.class == look and 'look' or lane.class == idle and 'idle' or 'rest'
    if may_enter(lane) then
      lanes[group][#lanes[group] + 1] = lane
      if lane.class == listen then lanes.listen[#lanes.listen + 1] = lane end
    end
  end
  local plan = { { 'short', lanes.look }, { 'main', lanes.rest }, { 'main', lanes.idle } }
  if only_short then plan = { { 'short', lanes.look }, { 'short', lanes.listen } } end
  for _, choice in ipairs(plan) do
    local member, lane, start = choose(choice[1], choice[2])
    if member then
      take(choice[1], all, member, lane, start)
      return member, lane
    end
  end
end

local member, lane = next_step()
if not member then return { 'none' } end
local id, name = split_member(member)
local job = job_key(id)
local fence = next_fence(job)
local attempt = redis.call('HINCRBY', job, name .. '.attempts', 1)
redis.call('HSET', job, name .. '.state', 'leased', name .. '.worker', worker, name .. '.fence', fence)
redis.call('HDEL', job, name .. '.done', name .. '.total', name .. '.note')
redis.call('ZADD', base .. ':leases', digits(now + lease_ms), member)
local known = redis.call('HMGET', job, 'state', 'tenant', 'recording', name .. '.optional', name .. '.input',
  name .. '.needs')
if known[1] == 'queued' then set(job, 'state', 'running') end
local reply = { 'step', known[2], known[3], name, fence, tostring(attempt), known[4], known[5],
  lane.alone and '1' or '0' }
for _, need in ipairs(words(known[6])) do
  local result = get(job, need .. '.state') == 'done' and get(job, need .. '.result')
  reply[#reply + 1] = need
  reply[#reply + 1] = result and '1' or '0'
  reply[#reply + 1] = result or ''
end
return reply
