-- Writes the end in a new term, so the run's writer is fenced. A run whose log is too damaged for that expires.
-- ARGV: run, the line of the end with @total_ms and @at_ms
local id, line = unpack(ARGV, 5)
local run = run_key(id)
local number, last, ended, began_ms, since_ms, active_ms =
  unpack(redis.call('HMGET', run, 'number', 'last', 'ended', 'began_ms', 'since_ms', 'active_ms'))
if not number then return missing(id) end
if ended == '1' then return {ENDED} end
local lines = line:gsub('@total_ms', string.format('%d', active_ms + since(since_ms)))
lines = lines:gsub('@at_ms', string.format('%d', since(began_ms)))
local epoch = redis.call('HGET', run, 'epoch:' .. number)
local added = redis.pcall('XADD', log_key(id), (last + 1) .. '-' .. number, 'epoch', epoch, 'lines', lines)
if type(added) == 'table' and added.err then
  expire(id)
  redis.call('PUBLISH', prefix .. ':hints', 'stop ' .. id)
  return {EXPIRED}
end
grow(id, #lines)
redis.call('HINCRBY', run, 'term', 1)
finish(id, last + 1)
redis.call('PUBLISH', prefix .. ':hints', 'stop ' .. id)
return meta(id)
