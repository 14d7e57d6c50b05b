-- For gateways. The name has the version of the code: gateways of two versions load two libraries, and
-- neither touches the other's.

redis.register_function('roomcast_gateway_v1_publish', function(keys, args)
  return publish(keys[1], args[1], tonumber(args[2]), tonumber(args[3]), args[4], args[5])
end)

redis.register_function('roomcast_gateway_v1_renew', function(keys, args)
  return renew(keys[1], args[1])
end)

redis.register_function{
  function_name = 'roomcast_gateway_v1_history',
  callback = function(keys, args)
    return history(keys[1], args[1], tonumber(args[2]))
  end,
  flags = { 'no-writes' },
}
