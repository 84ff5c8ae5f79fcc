-- ARGV: the client, limit of queued runs, limit of its runs or ''
-- 1: a run can begin, FULL, MANY: the client has as many as it may
local client, queue_limit, client_limit = unpack(ARGV, 5)
if has_many(client, client_limit) then return MANY end
if redis.call('XLEN', queue) >= tonumber(queue_limit) then return FULL end
return 1
