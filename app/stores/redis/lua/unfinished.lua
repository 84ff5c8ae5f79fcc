-- the queued runs whose jobs no worker has claimed, oldest first
local serials, ids = {}, {}
for _, entry in ipairs(redis.call('XRANGE', queue, '-', '+')) do
  local job, id = entry[1], entry[2][4]
  if #redis.call('XPENDING', queue, 'workers', job, job, 1) == 0 then
    ids[#ids + 1] = id
    serials[id] = tonumber(redis.call('HGET', run_key(id), 'serial'))
  end
end
table.sort(ids, function(one, other) return serials[one] < serials[other] end)
return ids
