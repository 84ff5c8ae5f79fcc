-- Makes the caller the writer, in a new term. An epoch that nobody has written in is continued.
-- ARGV: run, the new epoch, the job and the worker that has its claim, or '' for neither, and whether an ephemeral run
-- is dropped if its process has died; otherwise it is left alone
local id, epoch, job, worker, drops_orphan = unpack(ARGV, 5)
local run = run_key(id)
local number, last, ended, run_job, fresh_on =
  unpack(redis.call('HMGET', run, 'number', 'last', 'ended', 'job', 'fresh_on'))
if job ~= '' and run_job ~= job then -- nobody needs it
  remove_job(job)
  return number and {ENDED} or missing(id)
end
if not number then return missing(id) end
if ended == '1' then return {ENDED} end
if is_orphaned(id) then
  if drops_orphan ~= '1' then return {FENCED} end
  drop(id)
  return {ENDED}
end
if job ~= '' then
  if #redis.call('XPENDING', queue, 'workers', job, job, 1, worker) == 0 then return {FENCED} end
  redis.call('HINCRBY', run, 'takes', 1)
end
if fresh_on ~= server_id() then
  redis.call('HSET', run, 'kept:' .. number, last, 'epoch:' .. (number + 1), epoch)
  redis.call('HINCRBY', run, 'number', 1)
end
redis.call('HDEL', run, 'fresh_on')
redis.call('HINCRBY', run, 'term', 1)
return meta(id)
