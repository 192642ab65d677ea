-- Grants a lot of every bucket, or nothing.
local answer = stop(false)
if answer then return answer end
local id, final = argument(), argument()
local asked, refused = {}, {'no', now}
local is_refused = false
for i = 7, #KEYS do
  local bucket = look(KEYS[i], argument())
  local max, enforcement = tonumber(argument()), argument()
  local ask, least = tonumber(argument()), tonumber(argument())
  local left = even(max - bucket.used - bucket.reserved)
  bucket.grant = ask
  if enforcement ~= 'W' then
    if left < least or left <= 0 then
      is_refused = true
      -- What can be cut waits for any of it, and never for more than the limit is.
      local need = math.max(least, 0.000001) - left
      refused[#refused + 1] = i - 7
      refused[#refused + 1] = text(bucket.used)
      refused[#refused + 1] = text(bucket.reserved)
      refused[#refused + 1] = frees(bucket, need)
      refused[#refused + 1] = resets(bucket)
      bucket.tells = enforcement == 'H' or final == '1'
    elseif left < ask then
      bucket.grant = left
    end
  end
  asked[#asked + 1] = bucket
end
if is_refused then
  for _, bucket in ipairs(asked) do
    if bucket.tells then
      redis.call('HINCRBY', bucket.key, 'n', 1)
      redis.call('HSET', bucket.key, 'nt', string.format('%.0f', math.floor(now / 1000)), 'na', AGENT)
      redis.call('SADD', TOUCHED, bucket.key)
      expire(bucket)
    end
  end
  return refused
end
local granted, lot = {'ok', now}, {}
for _, bucket in ipairs(asked) do
  bucket.reserved = bucket.reserved + bucket.grant
  redis.call('HSET', bucket.key, 'r', text(bucket.reserved))
  if bucket.kind == 'H' then
    expire(bucket)
    redis.call('SADD', TOUCHED, bucket.key)
  end
  lot[#lot + 1] = text(bucket.grant) .. ' ' .. bucket.key .. '\n'
  granted[#granted + 1] = text(bucket.grant)
  granted[#granted + 1] = text(bucket.used)
  granted[#granted + 1] = text(bucket.reserved)
  granted[#granted + 1] = resets(bucket)
end
redis.call('HSET', LOTS, id, table.concat(lot))
redis.call('ZADD', PODS, now, POD)
return granted
