-- Queues a run again, so that another worker takes it at once.
-- ARGV: run, the writer's term
local id, term = unpack(ARGV, 5)
if redis.call('HGET', run_key(id), 'term') ~= term then return 0 end
acknowledge(id)
redis.call('HINCRBY', run_key(id), 'term', 1)
redis.call('HDEL', run_key(id), 'takes')
enqueue(id)
return 1
