-- What each node says of itself. KEYS[1] is roomcast:nodes, with <node> -> "<connections> <when it said so, in ms> <the rest>".

-- A node that has said nothing for so long is not counted, nor remembered.
local SILENCE_MAX_MS = 20000

-- Notes the connections of one node and the rest of what it says, and answers nodes, their connections and the rest in turn.
redis.register_function('roomcast_nodes_v2_report', function(keys, args)
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  redis.call('HSET', keys[1], args[1], args[2] .. ' ' .. string.format('%.0f', now) .. ' ' .. args[3])
  redis.call('PEXPIRE', keys[1], SILENCE_MAX_MS)
  local all, answer = redis.call('HGETALL', keys[1]), {}
  for i = 1, #all, 2 do
    local connections, said, rest = all[i + 1]:match('^(%d+) (%d+) ?(.*)$')
    if said and math.abs(now - tonumber(said)) <= SILENCE_MAX_MS then
      answer[#answer + 1] = all[i]
      answer[#answer + 1] = connections
      answer[#answer + 1] = rest
    else
      redis.call('HDEL', keys[1], all[i])
    end
  end
  return answer
end)
