-- ARGV: run
drop(ARGV[5])
redis.call('PUBLISH', prefix .. ':hints', 'stop ' .. ARGV[5])
return redis.call('ZREM', expired_runs, ARGV[5])
