-- Who is in a room, added up over all nodes. KEYS[1] is <prefix><room>:
--   {<prefix><room>}:p          member -> "<connections on all nodes> <info>"; the field '' is the version
--   {<prefix><room>}:p:<name>   member -> connections on the node that goes by this name
-- and for the cluster:
--   roomcast:presence           sorted set of names by the time until which each is believed, in ms
--   roomcast:presence:<name>    the set of <prefix><room> where it has members

-- As many members as one room lists, and as many bytes of them as one message tells.
local MEMBERS_MAX = 10000
local EVENT_BYTES_MAX = 65536
-- Members that leave together with their node in one call.
local DROPPED_AT_ONCE = 500

local function milliseconds()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Versions of a room that was empty for a while begin later than those before: at the time, in microseconds.
local function next_version(all)
  if redis.call('HEXISTS', all, '') == 1 then
    return redis.call('HINCRBY', all, '', 1)
  end
  local time = redis.call('TIME')
  local version = tonumber(time[1]) * 1000000 + tonumber(time[2])
  redis.call('HSET', all, '', string.format('%.0f', version))
  return version
end

local function tell(base, changes)
  if #changes > 0 then
    local version = next_version(base .. ':p')
    redis.call('PUBLISH', base .. ':m', struct.pack('>BI8', 2, version) .. table.concat(changes))
  end
end

-- States members of a node: name, connections and info of each in turn. What changes in the sum is told.
local function set(room, name, members)
  local base = '{' .. room .. '}'
  local all, own = base .. ':p', base .. ':p:' .. name
  local changes, bytes = {}, 0
  for i = 1, #members, 3 do
    local member, count, info = members[i], tonumber(members[i + 1]), members[i + 2]
    local known = redis.call('HGET', all, member)
    local fits = known or redis.call('HLEN', all) <= MEMBERS_MAX
    if fits and (known or count > 0) then
      local before = known and tonumber(redis.call('HGET', own, member) or 0) or 0
      local total = math.max((known and tonumber(known:match('^%d+')) or 0) - before + count, 0)
      if count > 0 then
        redis.call('HSET', own, member, count)
      else
        redis.call('HDEL', own, member)
        info = known and known:match('^%d+ (.*)$') or ''
      end
      local entry = string.format('%.0f ', total) .. info
      if total > 0 then
        redis.call('HSET', all, member, entry)
      else
        redis.call('HDEL', all, member)
      end
      if total == 0 or entry ~= known then
        changes[#changes + 1] = struct.pack('>I4I2I2', total, #member, #info) .. member .. info
        bytes = bytes + #changes[#changes]
        if bytes > EVENT_BYTES_MAX then
          tell(base, changes)
          changes, bytes = {}, 0
        end
      end
    end
  end
  tell(base, changes)
  -- Only the version is left.
  if redis.call('HLEN', all) == 1 then
    redis.call('DEL', all)
  end
end

redis.register_function('roomcast_presence_v1_set', function(keys, args)
  local members = {}
  for i = 2, #args do
    members[i - 1] = args[i]
  end
  set(keys[1], args[1], members)
end)

-- A node that was believed no longer: its members leave, some at a time so that Redis serves others in between.
-- Answers how many are still there.
redis.register_function('roomcast_presence_v1_drop', function(keys, args)
  local own = '{' .. keys[1] .. '}:p:' .. args[1]
  local some = redis.call('HRANDFIELD', own, DROPPED_AT_ONCE)
  if #some == 0 then
    return 0
  end
  local members = {}
  for _, member in ipairs(some) do
    members[#members + 1] = member
    members[#members + 1] = '0'
    members[#members + 1] = ''
  end
  set(keys[1], args[1], members)
  -- Also those that the room has lost.
  redis.call('HDEL', own, unpack(some))
  return redis.call('HLEN', own)
end)

-- Believe a node for some ms more: one with a new name, or one that is believed still. Answers 1 if it is now, else 0,
-- and then names that are not any more.
redis.register_function('roomcast_presence_v1_renew', function(keys, args)
  local name, lease_ms, is_new = args[1], tonumber(args[2]), args[3] == 'new'
  local now = milliseconds()
  local believed = is_new or tonumber(redis.call('ZSCORE', keys[1], name) or 0) >= now
  if believed then
    redis.call('ZADD', keys[1], now + lease_ms, name)
  end
  local answer = redis.call('ZRANGEBYSCORE', keys[1], '-inf', string.format('(%.0f', now), 'LIMIT', 0, 16)
  table.insert(answer, 1, believed and '1' or '0')
  return answer
end)
