-- index, most entries. Answers jobs, newest first, without what their steps were given and gave.
local reply = {}
for _, id in ipairs(redis.call('ZREVRANGE', base .. ':' .. ARGV[1], 0, tonumber(ARGV[2]) - 1)) do
  local job = job_key(id)
  local fields = { 'tenant', 'recording', 'state', 'fence', 'created', 'due', 'finished', 'failure',
    'names' }
  for _, name in ipairs(words(get(job, 'names'))) do
    for _, field in ipairs({ 'state', 'needs', 'optional', 'priority', 'attempts', 'losses', 'worker', 'failure',
      'done', 'total' }) do
      fields[#fields + 1] = name .. '.' .. field
    end
  end
  local values = redis.call('HMGET', job, unpack(fields))
  local flat = {}
  for i, field in ipairs(fields) do
    if values[i] then
      flat[#flat + 1] = field
      flat[#flat + 1] = values[i]
    end
  end
  reply[#reply + 1] = flat
end
return reply
