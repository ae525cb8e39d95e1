-- Answers how many jobs are open and failed, and how many steps are ready, leased and delayed.
local ready = 0
for _, priority in ipairs(redis.call('ZRANGE', base .. ':priorities', 0, -1)) do
  for _, tenant in ipairs(redis.call('ZRANGE', base .. ':turns:' .. priority, 0, -1)) do
    ready = ready + redis.call('ZCARD', base .. ':ready:' .. priority .. ':' .. tenant)
  end
end
local function count(list) return redis.call('ZCARD', base .. ':' .. list) end
return { count('open'), count('dead'), ready, count('leases'), count('delayed') }
