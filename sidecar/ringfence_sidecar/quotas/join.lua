-- Says all that the pod holds and has ever used, in place of what the store has of it.
local id, state, ends = epoch()
local nonce = argument()
forget(LOTS)
local joined = id .. '/' .. nonce
redis.call('HSET', LOTS, '@', joined)
redis.call('ZADD', PODS, now, POD)
for i = 7, #KEYS do
  local bucket = look(KEYS[i], argument())
  local total, slots = tonumber(argument()), {}
  for n = 1, tonumber(argument()) do slots[n] = {tonumber(argument()), tonumber(argument())} end
  local more = total - (tonumber(redis.call('HGET', TOTALS, bucket.key)) or 0)
  if more > 0.0000005 then
    prune(bucket)
    local own = 'a:' .. AGENT
    redis.call('HSET', bucket.key, own, text((tonumber(redis.call('HGET', bucket.key, own)) or 0) + more))
    redis.call('HSET', TOTALS, bucket.key, text(total))
    local first = bucket.kind == 'S' and bucket.slot - SLOTS or bucket.slot
    -- The latest is what was lost; what is older than the window counts no more.
    for _, slot in ipairs(slots) do
      local put = math.min(more, slot[2])
      local number = math.min(slot[1], bucket.slot)
      if number >= first and put > 0 then
        local name = 's:' .. string.format('%.0f', number)
        redis.call('HSET', bucket.key, name, text((tonumber(redis.call('HGET', bucket.key, name)) or 0) + put))
      end
      more = more - put
    end
    sum(bucket, first, bucket.slot)
    redis.call('HSET', bucket.key, 'l', string.format('%.0f', bucket.slot), 'u', text(bucket.used),
      'o', string.format('%.0f', bucket.oldest or bucket.slot))
    redis.call('SADD', TOUCHED, bucket.key)
    expire(bucket)
  end
end
for _ = 1, tonumber(argument()) do
  local lot, held = {}, argument()
  for _ = 1, tonumber(argument()) do
    local key, amount = KEYS[7 + tonumber(argument())], tonumber(argument())
    redis.call('HSET', key, 'r', text((tonumber(redis.call('HGET', key, 'r')) or 0) + amount))
    redis.call('PERSIST', key)
    redis.call('SADD', TOUCHED, key)
    lot[#lot + 1] = text(amount) .. ' ' .. key .. '\n'
  end
  redis.call('HSET', LOTS, held, table.concat(lot))
end
redis.call('PEXPIRE', TOTALS, 7 * DAY)
if state == 'recovering' then
  redis.call('SREM', WAITING, POD)
  if redis.call('HGET', EPOCH, 'whole') == '1' and redis.call('SCARD', WAITING) == 0 then
    state = 'ready'
    redis.call('HSET', EPOCH, 'state', state)
  end
end
return {'ok', now, joined, state == 'ready' and 0 or ends - now}
