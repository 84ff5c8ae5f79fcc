-- Claims jobs whose lease has expired. Later than expected, because the server's clock has jumped or the server itself
-- has stood still, the leases of all workers seem to have expired: then it claims none.
-- Allowed when the memory is full: it only updates.
-- ARGV: worker, ms of a lease, where to go on looking, how many jobs at most, the latest time
-- the server's time, where to go on looking, the jobs
local worker, lease_ms, cursor, count, latest = unpack(ARGV, 5)
local jobs = {}
for _ = 1, now > tonumber(latest) and 0 or 4 do -- each time it looks at ten times as many as it claims at most
  cursor, jobs = unpack(redis.call('XAUTOCLAIM', queue, 'workers', worker, lease_ms, cursor, 'COUNT', count))
  if #jobs > 0 or cursor == '0-0' then break end
end
return {now, cursor, jobs}
