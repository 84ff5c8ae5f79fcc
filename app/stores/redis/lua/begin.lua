-- ARGV: run, epoch, lines, bytes, limit of logs, limit of queued runs or '' to queue nothing, the process that owns an
-- ephemeral run or '', ms of its claim, the client, limit of its runs or '', the composition
-- 1: begun, possibly by an earlier call whose reply was lost, 0: it exists, FULL, MANY: the client has as many as it may
local id, epoch, lines, bytes, log_limit, queue_limit, owner, owner_ms, client, client_limit, composition =
  unpack(ARGV, 5)
expire_old()
if redis.call('EXISTS', run_key(id)) == 1 then
  return redis.call('HGET', run_key(id), 'epoch:0') == epoch and 1 or 0
end
if has_many(client, client_limit) then return MANY end
if queue_limit ~= '' and redis.call('XLEN', queue) >= tonumber(queue_limit) then return FULL end
if total('logs') >= tonumber(log_limit) then expire_oldest(client) end
if is_full(client) then return FULL end
redis.call('ZREM', expired_runs, id)
redis.call('HSET', run_key(id), 'v', 1, 'term', 1, 'number', 0, 'epoch:0', epoch, 'last', 1, 'bytes', 0, 'ended', 0,
  'client', client, 'composition', composition, 'began_ms', now, 'since_ms', now, 'active_ms', 0,
  'serial', redis.call('HINCRBY', totals, 'serial', 1))
if owner ~= '' then
  redis.call('HSET', run_key(id), 'owner', owner)
  redis.call('SET', owner_key(owner), 1, 'PX', owner_ms, 'NX') -- it expires before the leases that are renewed with it
end
grow(id, bytes)
redis.call('HINCRBY', totals, 'logs', 1)
redis.call('SADD', active_key(client), id)
redis.call('XADD', log_key(id), '1-0', 'epoch', epoch, 'lines', lines)
if queue_limit ~= '' then enqueue_fresh(id) end
return 1
