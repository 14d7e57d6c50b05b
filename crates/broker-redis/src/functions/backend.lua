-- For backend services: FCALL roomcast_publish 1 room:<room> <payload> [EVENT name] [KEY key] [TYPE type]
-- and FCALL_RO roomcast_history 1 room:<room> <after> <limit>. What rooms keep is rendered into SETTINGS.

local KINDS = { json = 'j', text = 't', bytes = 'b' }

local function retention(room)
  local name = room:sub(#SETTINGS.prefix + 1)
  local namespace = name:match('^([^:]*):')
  local listed = namespace and SETTINGS.namespaces[namespace]
  if listed == nil then
    return SETTINGS.default
  end
  return listed
end

local function check(room)
  if room:sub(1, #SETTINGS.prefix) ~= SETTINGS.prefix then
    return 'the key must be ' .. SETTINGS.prefix .. '<room>'
  end
  local name = room:sub(#SETTINGS.prefix + 1)
  if #name < 1 or #name > 200 or name:find('[^A-Za-z0-9._:@~-]') then
    return 'a room name has 1 to 200 of A-Z a-z 0-9 . _ - : @ ~'
  end
end

local function options(args)
  local found = { EVENT = '', KEY = '', TYPE = '' }
  for i = 2, #args, 2 do
    local name = args[i]:upper()
    if found[name] == nil or args[i + 1] == nil then
      return nil, 'options are EVENT name, KEY key and TYPE json, text or bytes'
    end
    found[name] = args[i + 1]
  end
  if #found.EVENT > 100 or found.EVENT:find('%c') then
    return nil, 'an event name has 100 bytes at most and no control characters'
  end
  if #found.KEY > 200 then
    return nil, 'a key has 200 bytes at most'
  end
  if found.TYPE ~= '' and not KINDS[found.TYPE] then
    return nil, 'TYPE is json, text or bytes'
  end
  return found
end

redis.register_function('roomcast_publish', function(keys, args)
  local wrong = #keys ~= 1 and 'give one key' or check(keys[1])
  if wrong or #args < 1 then
    return redis.error_reply('ERR ' .. (wrong or 'the payload is missing'))
  end
  local found, problem = options(args)
  if problem then
    return redis.error_reply('ERR ' .. problem)
  end
  local event = found.EVENT == 'message' and '' or found.EVENT
  local time = redis.call('TIME')
  local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
  local envelope = struct.pack('>BBI2I2I8I8I8', 1, (KINDS[found.TYPE] or 'u'):byte(), #event, 0, 0, 0, now_us)
    .. string.rep('\0', 16) .. event .. args[1]
  local kept = retention(keys[1])
  local id = publish(keys[1], envelope, kept and kept[1] or 0, kept and kept[2] or 0, SETTINGS.generation, found.KEY)
  return id ~= '' and id or false
end)

redis.register_function{
  function_name = 'roomcast_history',
  callback = function(keys, args)
    local wrong = #keys ~= 1 and 'give one key' or check(keys[1])
    local limit = tonumber(args[2] or 100)
    if wrong or not limit then
      return redis.error_reply('ERR ' .. (wrong or 'the limit is a number'))
    end
    local after = args[1] or ''
    if after ~= '' and not after:match('^%d+-%d+$') then
      return redis.error_reply('ERR after is an id such as 1732190000000-41, or empty')
    end
    local found = history(keys[1], after, math.min(limit, 500))
    local answer = {}
    for i = 3, #found, 2 do
      local _, kind, event_length, user_length = struct.unpack('>BBI2I2', found[i + 1])
      local names = found[i + 1]:sub(47, 46 + event_length)
      local payload = found[i + 1]:sub(47 + event_length + user_length)
      answer[#answer + 1] = { found[i], names ~= '' and names or 'message', payload }
    end
    return answer
  end,
  flags = { 'no-writes' },
}
