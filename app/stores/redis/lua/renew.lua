-- Renews the worker's claims on runs that it still writes, and the process's on its ephemeral runs.
-- Allowed when the memory is full: it only updates.
-- ARGV: worker, the process or '' if it owns no runs, ms of its claim, and for each run its id, the writer's term or ''
-- while the worker takes it, how many rewrites it has seen
-- for each run 1: renewed, CHANGED: renewed, and there are more rewrites, ORPHANED: renewed, but its process has died,
-- FENCED; and then the server's time
local worker, owner, owner_ms, answers = ARGV[5], ARGV[6], ARGV[7], {}
if owner ~= '' then redis.call('SET', owner_key(owner), 1, 'PX', owner_ms) end
for at = 8, #ARGV, 3 do
  local id, term, rewrites = unpack(ARGV, at, at + 2)
  local run_term, job = unpack(redis.call('HMGET', run_key(id), 'term', 'job'))
  if term == '' and job and #redis.call('XPENDING', queue, 'workers', job, job, 1, worker) == 1 then term = run_term end
  local answer = FENCED
  if run_term == term and job then
    redis.call('XCLAIM', queue, 'workers', worker, 0, job, 'JUSTID')
    answer = redis.call('LLEN', rewrites_key(id)) > tonumber(rewrites) and CHANGED or 1
    if is_orphaned(id) then answer = ORPHANED end
  end
  answers[#answers + 1] = answer
end
expire_old()
free_memory()
answers[#answers + 1] = now
return answers
