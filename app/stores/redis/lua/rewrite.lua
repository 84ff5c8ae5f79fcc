-- ARGV: run, the number of the epoch, whether the run has ended and how many rewrites there were when the caller
-- looked, the rewrite, the epoch if the run has to be reopened, limit of queued runs, limit of its client's runs or ''
local id, number, ended, rewrites, rewrite, epoch, queue_limit, client_limit = unpack(ARGV, 5)
expire_old()
local run_number, run_ended = unpack(redis.call('HMGET', run_key(id), 'number', 'ended'))
if not run_number then return missing(id) end
if redis.call('LINDEX', rewrites_key(id), -1) == rewrite then return meta(id) end -- an earlier reply was lost
if run_number ~= number or run_ended ~= ended or redis.call('LLEN', rewrites_key(id)) ~= tonumber(rewrites) then
  return {CHANGED}
end
if ended == '1' then
  if redis.call('XLEN', queue) >= tonumber(queue_limit) then return {FULL} end
  if has_many(client_of(id), client_limit) then return {MANY} end
  reopen(id, epoch)
  enqueue_fresh(id)
end
redis.call('RPUSH', rewrites_key(id), rewrite)
if ended == '0' then redis.call('PUBLISH', prefix .. ':hints', 'rewrite ' .. id) end
return meta(id)
