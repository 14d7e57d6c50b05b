-- What both libraries share. KEYS[1] is always <prefix><room>; keys of the room carry it as a hash
-- tag, so that they live in the slot of its channel:
--   {<prefix><room>}:s         stream: ids are <epoch>-<offset>, the field m is the envelope
--   {<prefix><room>}:e         "<epoch> <generation> <first or later>" of the stream
--   {<prefix><room>}:k:<key>   what a publication with this idempotency key was answered

local KEY_REMEMBERED_MS = 300000
-- Most bytes of messages in one answer about history, but for a single larger one.
local PAGE_BYTES_MAX = 524288

-- Bytes 7 to 22 of an envelope are epoch and offset.
local function with_position(envelope, epoch, offset)
  return envelope:sub(1, 6) .. struct.pack('>I8I8', epoch, offset) .. envelope:sub(23)
end

-- Appends to the stream of the room, in the epoch that it has, or in a new one if the stream is new or
-- the server is another than the one that began it.
local function append(base, envelope, messages, ttl_ms, generation)
  local stream, record = base .. ':s', base .. ':e'
  local known = redis.call('GET', record)
  local epoch, id
  if known then
    local known_generation
    epoch, known_generation = known:match('^(%d+) (%S+)')
    -- A promoted server forgets in time that it was: then it says 0, and is still the same.
    if known_generation == generation or (generation == '0' and known_generation ~= 'lost') then
      id = redis.call('XADD', stream, 'NOMKSTREAM', 'MAXLEN', messages, epoch .. '-*', 'm', envelope)
    end
  end
  if not id then
    local time = redis.call('TIME')
    local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
    -- Never an epoch twice, however the clock has been set.
    if epoch and now_ms <= tonumber(epoch) then
      now_ms = tonumber(epoch) + 1
    end
    epoch = string.format('%.0f', now_ms)
    local kind = redis.call('TYPE', stream).ok
    if kind ~= 'none' and kind ~= 'stream' then
      error('WRONGTYPE ' .. stream .. ' is a ' .. kind .. ', not the stream of a room')
    end
    redis.call('DEL', stream)
    id = redis.call('XADD', stream, 'MAXLEN', messages, epoch .. '-*', 'm', envelope)
    redis.call('SET', record, epoch .. ' ' .. generation .. (known and ' later' or ' first'))
  end
  redis.call('PEXPIRE', stream, ttl_ms)
  -- The record outlives the stream, so that the next epoch is a later one.
  redis.call('PEXPIRE', record, ttl_ms + 86400000)
  return id
end

-- Appends where messages > 0, publishes, and answers the id, or '' where there is none. A key that was seen
-- before answers what it was answered then.
local function publish(room, envelope, messages, ttl_ms, generation, key)
  local base = '{' .. room .. '}'
  local remembered = key ~= '' and base .. ':k:' .. key
  if remembered then
    local first = redis.call('GET', remembered)
    if first then
      return first
    end
  end
  local id = ''
  if messages > 0 then
    id = append(base, envelope, messages, ttl_ms, generation)
    local epoch, offset = id:match('^(%d+)-(%d+)$')
    envelope = with_position(envelope, tonumber(epoch), tonumber(offset))
  end
  if remembered then
    redis.call('SET', remembered, id, 'PX', KEY_REMEMBERED_MS)
  end
  redis.call('PUBLISH', base .. ':m', envelope)
  return id
end

-- The stream once had the id seen, and now ends before it: the next message begins a new epoch.
local function renew(room, seen)
  local base = '{' .. room .. '}'
  local record = redis.call('GET', base .. ':e')
  local epoch, offset = seen:match('^(%d+)-(%d+)$')
  if not record or record:match('^(%d+)') ~= epoch then
    return 0
  end
  local last = redis.call('XREVRANGE', base .. ':s', '+', '-', 'COUNT', 1)
  if #last > 0 and tonumber(last[1][1]:match('-(%d+)$')) >= tonumber(offset) then
    return 0
  end
  redis.call('SET', base .. ':e', epoch .. ' lost later', 'KEEPTTL')
  return 1
end

-- The last id, or '' or 'gone'; whether its epoch is the first one; and then ids and envelopes in turn: with after the oldest behind it, without it
-- the newest.
local function history(room, after, limit)
  local base = '{' .. room .. '}'
  local stream = base .. ':s'
  local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
  if #last == 0 then
    return { redis.call('EXISTS', base .. ':e') == 1 and 'gone' or '', 'first' }
  end
  local record = redis.call('GET', base .. ':e')
  local answer = { last[1][1], record and record:match(' (%S+)$') or 'later' }
  if limit <= 0 then
    return answer
  end
  local entries
  if after == '' then
    local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', limit)
    entries = {}
    local first, total = 0, 0
    while first < #newest and (total == 0 or total + #newest[first + 1][2][2] <= PAGE_BYTES_MAX) do
      first = first + 1
      total = total + #newest[first][2][2]
    end
    for i = first, 1, -1 do
      entries[#entries + 1] = newest[i]
    end
  else
    local epoch = last[1][1]:match('^(%d+)-')
    local from = after:match('^(%d+)-') == epoch and '(' .. after or epoch .. '-0'
    entries = redis.call('XRANGE', stream, from, '+', 'COUNT', limit)
  end
  local bytes = 0
  for i, entry in ipairs(entries) do
    bytes = bytes + #entry[2][2]
    if bytes > PAGE_BYTES_MAX and i > 1 and after ~= '' then
      break
    end
    answer[#answer + 1] = entry[1]
    answer[#answer + 1] = entry[2][2]
  end
  return answer
end
