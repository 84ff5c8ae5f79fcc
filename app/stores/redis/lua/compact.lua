-- Replaces the entries of a run that has ended by one, which has all events. Allowed when the memory is full.
-- ARGV: run, the number of the epoch, the number of the last event, compressed lines, bytes
local id, number, last, lines, bytes = unpack(ARGV, 5)
local run = run_key(id)
local run_number, run_last, ended, run_bytes = unpack(redis.call('HMGET', run, 'number', 'last', 'ended', 'bytes'))
if ended ~= '1' or run_number ~= number or run_last ~= last then return 0 end
redis.call('UNLINK', log_key(id))
redis.call('XADD', log_key(id), last .. '-' .. number, 'epoch', redis.call('HGET', run, 'epoch:' .. number), 'zlib', lines)
grow(id, bytes - run_bytes)
return 1
