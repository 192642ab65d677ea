-- Grants a lot of every bucket, or nothing.
local answer = stop()
if answer then return answer end
if string.sub(JOINED, -1) ~= 'r' then return 'join ' .. now end
local id, final = argument(), argument()
local first = at

local function judge()
  local asked, is_refused = {}, false
  at = first
  for i = 7, #KEYS do
    local bucket = look(KEYS[i], argument())
    local max, enforcement = tonumber(argument()), argument()
    bucket.grant, bucket.least = tonumber(argument()), tonumber(argument())
    if enforcement ~= 'W' then
      local left = even(max - bucket.used - bucket.reserved)
      if left < bucket.least or left <= 0 then
        is_refused, bucket.left = true, left
        -- Of what is held outside of calls, whoever asks knows whether a call was refused for it.
        bucket.tells = final ~= 'never' and (enforcement == 'H' or final == '1')
      elseif left < bucket.grant then
        bucket.grant = left
      end
    end
    asked[#asked + 1] = bucket
  end
  return asked, is_refused
end

local asked, is_refused = judge()
-- Before anything is refused, what the dead held is given back.
if is_refused and reap() then asked, is_refused = judge() end
if is_refused then
  local refused = {'no', now}
  for index, bucket in ipairs(asked) do
    if bucket.left then
      -- What can be cut waits for any of it.
      local wait = frees(bucket, math.max(bucket.least, 0.000001) - bucket.left)
      for _, each in ipairs({index - 1, text(bucket.used), text(bucket.reserved), wait, resets(bucket)}) do
        refused[#refused + 1] = each
      end
    end
    if bucket.tells then refuse(bucket, 1) end
  end
  return table.concat(refused, ' ')
end
local granted, lot = {'ok', now}, {}
for _, bucket in ipairs(asked) do
  local grant = text(bucket.grant)
  bucket.reserved = bucket.reserved + bucket.grant
  local reserved = text(bucket.reserved)
  redis.call('HSET', bucket.key, 'r', reserved)
  if bucket.kind == 'H' then touch(bucket.key) end
  if bucket.kind == 'H' or not bucket.last then expire(bucket) end
  lot[#lot + 1] = grant .. ' ' .. bucket.key .. '\n'
  granted[#granted + 1] = grant .. ' ' .. text(bucket.used) .. ' ' .. reserved .. ' ' .. resets(bucket)
end
redis.call('HSET', LOTS, id, table.concat(lot))
redis.call('ZADD', PODS, now, POD)
return table.concat(granted, ' ')
