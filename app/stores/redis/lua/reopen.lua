-- ARGV: run, the new epoch
local id, epoch = unpack(ARGV, 5)
expire_old()
local number, ended = unpack(redis.call('HMGET', run_key(id), 'number', 'ended'))
if not number then return missing(id) end
if redis.call('HGET', run_key(id), 'epoch:' .. number) == epoch then return meta(id) end -- an earlier reply was lost
if ended == '0' then return {CHANGED} end
reopen(id, epoch)
return meta(id)
