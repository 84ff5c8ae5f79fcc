-- ARGV: for each run its id, the writer's term, the numbers of the first and the last event, bytes, whether the last is
-- the end, how many rewrites the writer has seen, the epoch, lines
-- for each run 1: appended, possibly by an earlier call whose reply was lost, UNKNOWN, FENCED, ENDED, or
-- CHANGED: the end is refused, because there are more rewrites
local answers = {}
for at = 5, #ARGV, 9 do
  local id, term, first, last, bytes, is_end, rewrites, epoch, lines = unpack(ARGV, at, at + 8)
  local run_term, number, run_last, ended = unpack(redis.call('HMGET', run_key(id), 'term', 'number', 'last', 'ended'))
  local answer = 1
  if not run_term then answer = UNKNOWN
  elseif run_term ~= term then answer = FENCED
  elseif run_last == last then answer = 1
  elseif ended == '1' then answer = ENDED
  elseif tonumber(run_last) ~= first - 1 then answer = FENCED
  elseif is_end == '1' and redis.call('LLEN', rewrites_key(id)) > tonumber(rewrites) then answer = CHANGED
  else
    redis.call('XADD', log_key(id), last .. '-' .. number, 'epoch', epoch, 'lines', lines)
    grow(id, bytes)
    if is_end == '1' then finish(id, last) else redis.call('HSET', run_key(id), 'last', last) end
    if ('\n' .. lines):find('\ne', 1, true) then redis.call('HDEL', run_key(id), 'takes') end -- a part has ended
  end
  answers[#answers + 1] = answer
end
if total('bytes') > all_bytes then -- of these clients, the one with the most runs makes room
  local client, most = '', -1
  for at = 5, #ARGV, 9 do
    local each = client_of(ARGV[at])
    local count = redis.call('ZCARD', ended_key(each))
    if count > most then client, most = each, count end
  end
  is_full(client)
end
return answers
