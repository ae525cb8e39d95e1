-- Prepended to every script of the queue. KEYS[1] is the prefix in its hash tag; every other key begins with
-- it, so all lie in one slot. Replies and fields are plain strings: JSON passes through untouched (Lua's own
-- would turn [] into {} and round large numbers).
--
-- job:{id}      hash; id = tenant/recording. tenant, recording, state, fence, created, due, finished, dedupe,
--               failure, names (step names, by spaces), and per step `{name}.{field}`: state, needs,
--               optional, priority, cost, requires, input, attempts, crashes, outages, losses, fence, worker, result, failure,
--               done, total, note; failed_on (workers that failed it, `name=count` with the steps they had done by then),
--               others_until and avoids (others than this worker go first till then), refused_by (the worker that refused the file), lane and ready_at
--               (where it waits, and since when), aged (an idle step that waited long enough)
-- ready:{lane}:{tenant}      what waits for a worker, by rank                   member = id|step
-- turns:{lane}               tenants that have such, by their account: the one that had least goes first
-- short_turns:{lane}         the same tenants of a lane of audio and stills, by their account of the slots for short steps
-- priorities                 lanes that have such, by priority
-- spent:main|short           hash: what each tenant had, in ms of estimated work; `*` is where those that come back begin
-- idle                       idle steps by when they stop to be that             member = id|step
-- leases, delayed            member = id|step, by the time they end
-- all|open|dead[:{tenant}]   job ids by time: every one known, not over, failed
-- unrecorded                 ids of jobs whose live rendition was lost with its worker: manifests to be written
-- finished                   ids of jobs over, by time: those to forget one day
-- lost                       number of leases that were lost with their worker
-- workers                    names by when each was last seen
-- worker:{name}              hash: failures (in a row), done (steps since the first), struck (when it failed last), paused
--                            (until when), code (of its last failure), can (its capabilities)

local base = KEYS[1]

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

-- Jobs without a due time come after all with one: beyond any time of day, still exact in a double.
local no_due = 4e15

-- Plain digits; tostring would write large numbers as 1.8e+15.
local function digits(number) return string.format('%.0f', number) end

local function job_key(id) return base .. ':job:' .. id end

local function get(job, field) return redis.call('HGET', job, field) or nil end

local function set(job, field, value) redis.call('HSET', job, field, value) end

local function words(text)
  local out = {}
  for word in string.gmatch(text or '', '%S+') do out[#out + 1] = word end
  return out
end

local function split_member(member)
  local bar = string.find(member, '|', 1, true)
  return string.sub(member, 1, bar - 1), string.sub(member, bar + 1)
end

-- Strictly rising per recording. The clock carries it over a loss of everything here.
local function next_fence(job)
  local fence = math.max(tonumber(get(job, 'fence') or '0') + 1, now)
  set(job, 'fence', digits(fence))
  return digits(fence)
end

local function index(kind, tenant, id, score)
  redis.call('ZADD', base .. ':' .. kind, score, id)
  redis.call('ZADD', base .. ':' .. kind .. ':' .. tenant, score, id)
end

local function unindex(kind, tenant, id)
  redis.call('ZREM', base .. ':' .. kind, id)
  redis.call('ZREM', base .. ':' .. kind .. ':' .. tenant, id)
end

-- Classes. Steps of earlier builds have one of three priorities: 0, 1 or 2.
local look, listen, ladder, idle = 0, 10, 40, 50

local function class_of(priority)
  if priority == 1 then return ladder end
  if priority == 2 then return idle end
  return priority
end

-- Idle steps stop to be that after so long, and a class is worth so much of a lesson's age, in ms.
local day = 86400000
-- Estimated work of one that has no estimate, in ms.
local default_cost = 60000

-- A lane holds steps that the same workers may take. Its name is the priority, then `!` where each is to run alone or
-- `@` and the worker that failed each last, while others go first, then each required capability after a `+`. So
-- what one worker may not take never hides what it may.
local function lane_of(job, name)
  local known = redis.call('HMGET', job, name .. '.priority', name .. '.aged', name .. '.losses', name .. '.others_until',
    name .. '.avoids', name .. '.requires')
  local lane = known[2] and digits(ladder) or known[1]
  if tonumber(known[3] or '0') >= 2 then
    lane = lane .. '!'
  elseif tonumber(known[4] or '0') > now then
    lane = lane .. '@' .. (known[5] or '')
  end
  for _, capability in ipairs(words(known[6])) do lane = lane .. '+' .. capability end
  return lane
end

local function parse_lane(lane)
  local priority, mark, required = string.match(lane, '^(-?%d+)([^+]*)(.*)$')
  local parsed = { name = lane, class = class_of(tonumber(priority)), alone = mark == '!', requires = {} }
  if string.sub(mark, 1, 1) == '@' then parsed.avoids = string.sub(mark, 2) end
  for capability in string.gmatch(required, '[^+]+') do parsed.requires[#parsed.requires + 1] = capability end
  return parsed
end

-- Every lane that has steps, by priority.
local function all_lanes()
  local lanes = {}
  for _, lane in ipairs(redis.call('ZRANGE', base .. ':priorities', 0, -1)) do lanes[#lanes + 1] = parse_lane(lane) end
  return lanes
end

-- Each tenant has two accounts: `short` of what short steps it had that go first (looks, and audio and stills in the slot
-- that is kept for them), and `main` of all else. Answers where a lane's tenants stand by one of them, or nothing.
local function turns_of(account, lane)
  if (account == 'short') == (lane.class == look) then return base .. ':turns:' .. lane.name end
  if account == 'short' and lane.class == listen then return base .. ':short_turns:' .. lane.name end
end

local function spent(account, tenant)
  return tonumber(redis.call('HGET', base .. ':spent:' .. account, tenant) or '0')
end

-- A tenant that comes back does not make up for when it had nothing to do.
local function enter_turns(lane, tenant)
  for _, account in ipairs({ 'main', 'short' }) do
    local turns = turns_of(account, lane)
    local start = math.max(spent(account, tenant), spent(account, '*'))
    if turns then redis.call('ZADD', turns, 'NX', digits(start), tenant) end
  end
end

-- Answers whether the tenant had a turn in the lane.
local function leave_turns(lane, tenant)
  local turns = base .. ':turns:' .. lane.name
  local was_there = redis.call('ZREM', turns, tenant) == 1
  redis.call('ZREM', base .. ':short_turns:' .. lane.name, tenant)
  if redis.call('ZCARD', turns) == 0 then redis.call('ZREM', base .. ':priorities', lane.name) end
  return was_there
end

-- Lower goes first within a tenant: what is due, then by class and age. A day of age is worth a class, so none waits for
-- ever behind newer lessons.
local function rank(job, class)
  local due = get(job, 'due')
  if due then return tonumber(due) + class / 10 end
  return no_due + tonumber(get(job, 'created')) + class / 10 * day
end

local function push_ready(id, job, name)
  local tenant, lane, member = get(job, 'tenant'), parse_lane(lane_of(job, name)), id .. '|' .. name
  redis.call('HSET', job, name .. '.state', 'ready', name .. '.ready_at', digits(now), name .. '.lane', lane.name)
  redis.call('ZADD', base .. ':ready:' .. lane.name .. ':' .. tenant, digits(rank(job, lane.class)), member)
  redis.call('ZADD', base .. ':priorities', string.match(lane.name, '^-?%d+'), lane.name)
  if lane.class == idle then redis.call('ZADD', base .. ':idle', 'NX', digits(now + day), member) end
  enter_turns(lane, tenant)
end

-- Whether a step that is ready can be found by workers.
local function is_findable(id, job, name)
  local tenant, lane = get(job, 'tenant'), get(job, name .. '.lane') or lane_of(job, name)
  local ready = base .. ':ready:' .. lane .. ':' .. tenant
  return redis.call('ZSCORE', ready, id .. '|' .. name) and redis.call('ZSCORE', base .. ':turns:' .. lane, tenant)
    and redis.call('ZSCORE', base .. ':priorities', lane) and true or false
end

-- Takes a step out of every list it may be in.
local function unqueue(id, job, name)
  local member = id .. '|' .. name
  redis.call('ZREM', base .. ':leases', member)
  redis.call('ZREM', base .. ':delayed', member)
  -- One that an earlier build queued has its priority's lane.
  local lane = get(job, name .. '.lane') or lane_of(job, name)
  redis.call('ZREM', base .. ':ready:' .. lane .. ':' .. get(job, 'tenant'), member)
end

-- A step that is over and lets its dependents go on.
local function satisfied(job, name)
  local state = get(job, name .. '.state')
  return state == 'done' or (state == 'failed' and get(job, name .. '.optional') == '1')
end

local function over(state) return state == 'done' or state == 'failed' or state == 'cancelled' end

-- Makes every waiting step ready whose needs are satisfied, and ends the job where nothing is left.
local function advance(id, job)
  local state = get(job, 'state')
  if over(state) then return end
  local left = false
  for _, name in ipairs(words(get(job, 'names'))) do
    local step = get(job, name .. '.state')
    if step == 'waiting' then
      local free = true
      for _, need in ipairs(words(get(job, name .. '.needs'))) do
        free = free and satisfied(job, need)
      end
      if free then push_ready(id, job, name) end
    end
    left = left or not over(step)
  end
  if not left then
    local tenant = get(job, 'tenant')
    redis.call('HSET', job, 'state', 'done', 'finished', digits(now))
    unindex('open', tenant, id)
    redis.call('ZADD', base .. ':finished', digits(now), id)
  end
end

-- Ends a job before its steps: they are taken off every list, and their workers' heartbeats hear of it.
local function stop(id, job, state)
  local tenant = get(job, 'tenant')
  for _, name in ipairs(words(get(job, 'names'))) do
    if not over(get(job, name .. '.state')) then
      unqueue(id, job, name)
      set(job, name .. '.state', 'cancelled')
    end
  end
  redis.call('HSET', job, 'state', state, 'finished', digits(now))
  unindex('open', tenant, id)
  redis.call('ZADD', base .. ':finished', digits(now), id)
  if state == 'failed' then index('dead', tenant, id, digits(now)) end
end

-- A step failed for good. Answers what that did: 'optional' or 'job'.
local function fail_for_good(id, job, name, failure)
  unqueue(id, job, name)
  redis.call('HSET', job, name .. '.state', 'failed', name .. '.failure', failure)
  if get(job, name .. '.optional') == '1' then
    advance(id, job)
    return 'optional'
  end
  set(job, 'failure', failure)
  stop(id, job, 'failed')
  return 'job'
end

-- Steps whose wait is over become ready. Bounded, so that no call takes long.
local function wake_delayed()
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', base .. ':delayed', '-inf', digits(now), 'LIMIT', 0, 100)) do
    redis.call('ZREM', base .. ':delayed', member)
    local id, name = split_member(member)
    local job = job_key(id)
    if get(job, name .. '.state') == 'delayed' then push_ready(id, job, name) end
  end
end

-- Idle steps that waited for a day go on as part of the ladder. Bounded likewise.
local function age_idle()
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', base .. ':idle', '-inf', digits(now), 'LIMIT', 0, 20)) do
    redis.call('ZREM', base .. ':idle', member)
    local id, name = split_member(member)
    local job = job_key(id)
    local state = get(job, name .. '.state')
    if state and not over(state) then
      if state == 'ready' then unqueue(id, job, name) end
      set(job, name .. '.aged', '1')
      if state == 'ready' then push_ready(id, job, name) end
    end
  end
end

-- Reads `count` steps of ten arguments each from ARGV[at + 1] on: name, needs, optional, priority, input, requires, cost,
-- and (of a job put together again) state, result, failure. Adds those that are not there. Nothing is written and
-- the answer is false where one needs a step that is nowhere.
local function add_steps(job, at)
  local count = tonumber(ARGV[at])
  local names = words(get(job, 'names'))
  local known = {}
  for _, name in ipairs(names) do known[name] = true end
  local added = {}
  for i = 0, count - 1 do
    local first = at + 1 + i * 10
    if not known[ARGV[first]] then
      known[ARGV[first]] = true
      added[#added + 1] = first
    end
  end
  for _, first in ipairs(added) do
    for _, need in ipairs(words(ARGV[first + 1])) do
      if not known[need] then return false end
    end
  end
  for _, first in ipairs(added) do
    local name = ARGV[first]
    names[#names + 1] = name
    local state = ARGV[first + 7]
    if state == '' then state = 'waiting' end
    redis.call('HSET', job, name .. '.needs', ARGV[first + 1], name .. '.optional', ARGV[first + 2],
      name .. '.priority', ARGV[first + 3], name .. '.input', ARGV[first + 4], name .. '.requires', ARGV[first + 5],
      name .. '.cost', ARGV[first + 6], name .. '.state', state,
      name .. '.attempts', '0', name .. '.crashes', '0')
    if ARGV[first + 8] ~= '' then set(job, name .. '.result', ARGV[first + 8]) end
    if ARGV[first + 9] ~= '' then set(job, name .. '.failure', ARGV[first + 9]) end
  end
  set(job, 'names', table.concat(names, ' '))
  return true
end

-- A worker that was not seen for this long counts as gone, in ms.
local seen_for = 35000
-- What is known of a worker is forgotten after this long, in ms.
local worker_kept = 86400000

local function worker_key(name) return base .. ':worker:' .. name end

local function worker_field(name, field) return tonumber(redis.call('HGET', worker_key(name), field) or '0') end

local function live_workers() return redis.call('ZRANGEBYSCORE', base .. ':workers', digits(now - seen_for), '+inf') end

-- A worker failed. It takes no step for a while, longer with each failure in a row. Answers the pause in ms.
local function strike(name, code, first, longest)
  local key = worker_key(name)
  local failures = redis.call('HINCRBY', key, 'failures', 1)
  local pause = math.min(longest, first * 2 ^ math.min(failures - 1, 20))
  redis.call('HSET', key, 'paused', digits(now + pause), 'struck', digits(now), 'code', code)
  redis.call('PEXPIRE', key, worker_kept)
  return pause
end

-- A worker did a step that it was given after its last failure: it is well again.
local function prove(name, fence)
  local key = worker_key(name)
  if tonumber(fence) <= worker_field(name, 'struck') then return end
  redis.call('HINCRBY', key, 'done', 1)
  redis.call('HDEL', key, 'failures', 'paused', 'code')
  redis.call('PEXPIRE', key, worker_kept)
end

-- The workers that failed a step, with the number of steps each had done by then.
local function failed_on(job, name)
  local out = {}
  for _, entry in ipairs(words(get(job, name .. '.failed_on'))) do
    local worker, done = string.match(entry, '^(.*)=(%d+)$')
    if worker then out[worker] = tonumber(done) end
  end
  return out
end

-- Remembers that a worker failed a step; others go first for a while.
local function note_failed_on(job, name, worker, others_ms)
  local failed = failed_on(job, name)
  failed[worker] = worker_field(worker, 'done')
  local entries = {}
  for other, done in pairs(failed) do entries[#entries + 1] = other .. '=' .. digits(done) end
  table.sort(entries)
  redis.call('HSET', job, name .. '.failed_on', table.concat(entries, ' '), name .. '.others_until',
    digits(now + others_ms), name .. '.avoids', worker)
end

-- Whether capabilities, by spaces, include all that are required.
local function includes(can, required)
  for _, capability in ipairs(required) do
    if not string.find(' ' .. can .. ' ', ' ' .. capability .. ' ', 1, true) then return false end
  end
  return true
end

-- Whether a worker is there that did not fail the step, and that can do what is required; paused or not.
local function is_there(failed, required, with_paused)
  for _, worker in ipairs(live_workers()) do
    local fits = not failed[worker] and (with_paused or worker_field(worker, 'paused') <= now)
    if fits and includes(redis.call('HGET', worker_key(worker), 'can') or '', required) then return true end
  end
  return false
end

-- Whether a worker is there that did not fail the step and may take it now.
local function has_others(job, name)
  return is_there(failed_on(job, name), words(get(job, name .. '.requires')), false)
end

-- What a worker did of a step is lost with it, so nobody is shown that it was nearly done.
local function forget_progress(job, name) redis.call('HDEL', job, name .. '.done', name .. '.total') end

-- A lease ended without a word: the worker is lost. That is no try of the step, and what it had put out already is no
-- more. Answers whether it may go on.
local function lose(id, job, name, losses_max)
  if get(job, name .. '.note') then
    redis.call('HDEL', job, name .. '.note')
    redis.call('SADD', base .. ':unrecorded', id)
  end
  next_fence(job)
  forget_progress(job, name)
  redis.call('HINCRBY', job, name .. '.attempts', -1)
  redis.call('INCR', base .. ':lost')
  return redis.call('HINCRBY', job, name .. '.losses', 1) < losses_max
end

-- Everything known of a job, as its fields and values in turn.
local function view(job) return redis.call('HGETALL', job) end

-- Forgets a job that is over or unwanted, and what it was deduplicated by.
local function drop(id, job)
  local tenant, dedupe = get(job, 'tenant'), get(job, 'dedupe')
  if dedupe then
    local key = base .. ':dedupe:' .. tenant .. ':' .. dedupe
    if redis.call('GET', key) == get(job, 'recording') then redis.call('DEL', key) end
  end
  for _, name in ipairs(words(get(job, 'names'))) do unqueue(id, job, name) end
  for _, kind in ipairs({ 'all', 'open', 'dead' }) do unindex(kind, tenant, id) end
  redis.call('ZREM', base .. ':finished', id)
  redis.call('DEL', job)
end
