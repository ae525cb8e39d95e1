-- Answers how many jobs are open and failed, how many steps are leased and delayed, how many leases were lost, and for each
-- lane its class, its ready steps, and how long, in ms, the step that is next has waited: the longest of all tenants.
-- Of each lane, only the first thousand tenants are counted, so that the script's time stays bounded.
local lanes = {}
for _, lane in ipairs(redis.call('ZRANGE', base .. ':priorities', 0, -1)) do
  local ready, waited = 0, 0
  for _, tenant in ipairs(redis.call('ZRANGE', base .. ':turns:' .. lane, 0, 999)) do
    local list = base .. ':ready:' .. lane .. ':' .. tenant
    ready = ready + redis.call('ZCARD', list)
    local member = redis.call('ZRANGE', list, 0, 0)[1]
    if member then
      local id, name = split_member(member)
      waited = math.max(waited, now - tonumber(get(job_key(id), name .. '.ready_at') or digits(now)))
    end
  end
  lanes[#lanes + 1] = { digits(class_of(tonumber(string.match(lane, '^-?%d+')))), digits(ready), digits(waited) }
end
local function count(list) return redis.call('ZCARD', base .. ':' .. list) end
local lost = tonumber(redis.call('GET', base .. ':lost') or '0')
return { count('open'), count('dead'), count('leases'), count('delayed'), lost, lanes }
