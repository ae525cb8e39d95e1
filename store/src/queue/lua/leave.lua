-- worker. It stopped: no step waits for it.
redis.call('ZREM', base .. ':workers', ARGV[1])
return 'ok'
