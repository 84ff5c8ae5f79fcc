-- Renews the worker's claims on runs that it still writes. Allowed when the memory is full: it only updates.
-- ARGV: worker, and for each run its id, the writer's term, how many rewrites it has seen
-- for each run 1: renewed, CHANGED: renewed, and there are more rewrites, FENCED
local worker, answers = ARGV[5], {}
for at = 6, #ARGV, 3 do
  local id, term, rewrites = unpack(ARGV, at, at + 2)
  local run_term, job = unpack(redis.call('HMGET', run_key(id), 'term', 'job'))
  local answer = FENCED
  if run_term == term and job then
    redis.call('XCLAIM', queue, 'workers', worker, 0, job, 'JUSTID')
    answer = redis.call('LLEN', rewrites_key(id)) > tonumber(rewrites) and CHANGED or 1
  end
  answers[#answers + 1] = answer
end
expire_old()
return answers
