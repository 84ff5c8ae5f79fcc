-- Every script begins with this. All keys have one hash tag, because a cluster runs a script only on one slot.
-- KEYS: the ended runs, the expired ones, the totals, the queue. ARGV: prefix, keep_ms, expired_limit, all_bytes, …
local prefix, keep_ms, expired_limit, all_bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local ended_runs, expired_runs, totals, queue = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local EXPIRED, UNKNOWN, ENDED, FENCED, CHANGED, FULL, ORPHANED, MANY = -1, -2, -3, -4, -5, -6, -7, -8
local SWEEP = 100 -- runs that a call expires at most
local ORPHAN_MS = 60000 -- how long an ephemeral run is kept that its process has not dropped
local MEMORY_SHARE = 0.95 -- of the server's limit; beyond that the oldest finished runs expire

-- ms since then; 0 if the clock has been set back beyond that
local function since(ms) return math.max(0, now - ms) end

local function run_key(id) return prefix .. ':run:' .. id end
local function log_key(id) return prefix .. ':log:' .. id end
local function rewrites_key(id) return prefix .. ':rewrites:' .. id end
local function owner_key(owner) return prefix .. ':owner:' .. owner end

-- whether it is an ephemeral run whose web process has died
local function is_orphaned(id)
  local owner = redis.call('HGET', run_key(id), 'owner')
  return owner and redis.call('EXISTS', owner_key(owner)) == 0
end

-- the runs of a client: those that have not ended, a set, and those that have, a sorted set like that of all
local function active_key(client) return prefix .. ':active:' .. client end
local function ended_key(client) return prefix .. ':ended:' .. client end

-- a run that an older version has begun has no client
local function client_of(id) return redis.call('HGET', run_key(id), 'client') or '' end

local function missing(id)
  return {redis.call('ZSCORE', expired_runs, id) and EXPIRED or UNKNOWN}
end

local function meta(id) return {now, redis.call('HGETALL', run_key(id))} end

-- another one after a restart, which may have lost the last events, or on a replica
local function server_id() return redis.call('INFO', 'server'):match('run_id:(%x+)') end

local function enqueue(id)
  redis.call('HSET', run_key(id), 'job', redis.call('XADD', queue, '*', 'v', 1, 'run', id))
end

-- queues a run in an epoch that nobody has written in
local function enqueue_fresh(id)
  redis.call('HSET', run_key(id), 'fresh_on', server_id())
  enqueue(id)
end

local function remove_job(job)
  redis.call('XACK', queue, 'workers', job)
  redis.call('XDEL', queue, job)
end

local function acknowledge(id)
  local job = redis.call('HGET', run_key(id), 'job')
  if job then
    remove_job(job)
    redis.call('HDEL', run_key(id), 'job')
  end
end

local function drop(id)
  if redis.call('EXISTS', run_key(id)) == 1 then
    acknowledge(id)
    redis.call('HINCRBY', totals, 'bytes', -redis.call('HGET', run_key(id), 'bytes'))
    redis.call('HINCRBY', totals, 'logs', -1)
    local client = client_of(id)
    redis.call('SREM', active_key(client), id)
    redis.call('ZREM', ended_key(client), id)
    redis.call('UNLINK', run_key(id), log_key(id), rewrites_key(id))
  end
  redis.call('ZREM', ended_runs, id)
end

local function expire(id)
  drop(id)
  redis.call('ZADD', expired_runs, now, id)
  redis.call('ZREMRANGEBYRANK', expired_runs, 0, -expired_limit - 1)
end

local function expire_old()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', ended_runs, '-inf', now - keep_ms, 'LIMIT', 0, SWEEP)) do
    expire(id)
  end
end

local function total(field) return tonumber(redis.call('HGET', totals, field) or '0') end

-- the client's own oldest run that has ended, otherwise the oldest of all
local function expire_oldest(client)
  local own = client and redis.call('ZPOPMIN', ended_key(client))[1]
  if own and redis.call('HGET', run_key(own), 'ended') ~= '1' then own = nil end -- an older version has reopened it
  local oldest = own or redis.call('ZRANGE', ended_runs, 0, 0)[1]
  if oldest then expire(oldest) end
  return oldest
end

-- whether there is no room, although the oldest finished runs expire; those that are left then go with the next call
local function is_full(client)
  for _ = 1, SWEEP do
    if total('bytes') <= all_bytes then return false end
    if not expire_oldest(client) then return true end
  end
  return false
end

local function memory(field) return tonumber(redis.call('INFO', 'memory'):match('\n' .. field .. ':(%d+)')) end

-- expires the oldest finished runs before the server's memory is full
local function free_memory(client)
  local limit = memory('maxmemory') * MEMORY_SHARE
  for _ = 1, limit > 0 and SWEEP or 0 do
    if memory('used_memory') < limit or not expire_oldest(client) then return end
  end
end

-- whether the client has so many runs that have not ended; an older version may have ended some without a word
local function has_many(client, limit)
  if limit == '' or redis.call('SCARD', active_key(client)) < tonumber(limit) then return false end
  for _, id in ipairs(redis.call('SMEMBERS', active_key(client))) do
    if redis.call('HGET', run_key(id), 'ended') ~= '0' then redis.call('SREM', active_key(client), id) end
  end
  return redis.call('SCARD', active_key(client)) >= tonumber(limit)
end

local function grow(id, bytes)
  redis.call('HINCRBY', run_key(id), 'bytes', bytes)
  redis.call('HINCRBY', totals, 'bytes', bytes)
end

-- the end of a run; `active_ms` is how long it was written, without the time between an end and a reopening
local function finish(id, last)
  local run = run_key(id)
  redis.call('HINCRBY', run, 'active_ms', since(redis.call('HGET', run, 'since_ms')))
  redis.call('HSET', run, 'last', last, 'ended', 1)
  redis.call('HDEL', run, 'takes')
  local is_ephemeral = redis.call('HEXISTS', run, 'owner') == 1
  redis.call('ZADD', ended_runs, is_ephemeral and math.min(now, now - keep_ms + ORPHAN_MS) or now, id)
  redis.call('ZADD', ended_key(client_of(id)), now, id)
  redis.call('SREM', active_key(client_of(id)), id)
  redis.call('DEL', rewrites_key(id))
  acknowledge(id)
  expire_old()
end

-- drops the end and continues in a new epoch
local function reopen(id, epoch)
  local run = run_key(id)
  local number, last = unpack(redis.call('HMGET', run, 'number', 'last'))
  redis.call('HSET', run, 'ended', 0, 'reopened', 1, 'last', last - 1, 'since_ms', now,
    'kept:' .. number, last - 1, 'epoch:' .. (number + 1), epoch)
  redis.call('HINCRBY', run, 'number', 1)
  redis.call('HINCRBY', run, 'term', 1)
  redis.call('ZREM', ended_runs, id)
  redis.call('ZREM', ended_key(client_of(id)), id)
  redis.call('SADD', active_key(client_of(id)), id)
end
