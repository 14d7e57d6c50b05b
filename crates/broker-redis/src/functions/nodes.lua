-- How many connections each node has. KEYS[1] is roomcast:nodes, with <node> -> "<connections> <when it said so, in ms>".

-- A node that has said nothing for so long is not counted, nor remembered.
local SILENCE_MAX_MS = 20000

-- Notes the connections of one node, and answers nodes and their connections in turn.
redis.register_function('roomcast_nodes_v1_report', function(keys, args)
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  redis.call('HSET', keys[1], args[1], args[2] .. ' ' .. string.format('%.0f', now))
  redis.call('PEXPIRE', keys[1], SILENCE_MAX_MS)
  local all, answer = redis.call('HGETALL', keys[1]), {}
  for i = 1, #all, 2 do
    local connections, said = all[i + 1]:match('^(%d+) (%d+)$')
    if said and math.abs(now - tonumber(said)) <= SILENCE_MAX_MS then
      answer[#answer + 1] = all[i]
      answer[#answer + 1] = connections
    else
      redis.call('HDEL', keys[1], all[i])
    end
  end
  return answer
end)
