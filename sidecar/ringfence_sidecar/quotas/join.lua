-- Says all that the pod holds and has ever used, in place of what the store has of it.
local id, state, ends = epoch()
local nonce = argument()
forget(LOTS)
call('ZADD', PODS, NOW, POD)
for i = 7, #KEYS do
  local bucket = look(KEYS[i], argument(), true)
  local total, slots = tonumber(argument()), {}
  for n = 1, tonumber(argument()) do slots[n] = {tonumber(argument()), tonumber(argument())} end
  local more = total - (tonumber(call('HGET', TOTALS, bucket.key)) or 0)
  if more > 0.0000005 then
    prune(bucket)
    call('HSET', TOTALS, bucket.key, text(total))
    local first = bucket.kind == 'S' and bucket.slot - SLOTS or bucket.slot
    -- The latest is what was lost; what is older than the window counts no more.
    for _, slot in ipairs(slots) do
      local put = math.min(more, slot[2])
      local number = math.min(slot[1], bucket.slot)
      if number >= first and put > 0 then
        local name = 's:' .. text(number)
        call('HSET', bucket.key, name, text((tonumber(call('HGET', bucket.key, name)) or 0) + put))
        bucket.own = bucket.own + put
      end
      more = more - put
    end
    sum(bucket, first, bucket.slot)
    call('HSET', bucket.key, OWN, text(bucket.own), 'l', text(bucket.slot), 'u', text(bucket.used),
      'o', text(bucket.oldest or bucket.slot))
    touch(bucket.key)
    expire(bucket)
  end
end
for _ = 1, tonumber(argument()) do
  local lot, held = {}, argument()
  for _ = 1, tonumber(argument()) do
    local key, amount = KEYS[7 + tonumber(argument())], tonumber(argument())
    call('HSET', key, 'r', text((tonumber(call('HGET', key, 'r')) or 0) + amount))
    call('PEXPIRE', key, KEPT)
    touch(key)
    lot[#lot + 1] = text(amount) .. ' ' .. key .. '\n'
  end
  call('HSET', LOTS, held, table.concat(lot))
end
if state == 'recovering' then
  call('SREM', WAITING, POD)
  if call('HGET', EPOCH, 'whole') == '1' and call('SCARD', WAITING) == 0 then
    state = 'ready'
    call('HSET', EPOCH, 'state', state)
  end
end
-- The last letter: whether calls may go on, r for ready.
local joined = id .. '/' .. nonce .. '/' .. (state == 'ready' and 'r' or 'w')
call('HSET', LOTS, '@', joined)
call('HSET', TOTALS, '@', AGENT)
keep_pod()
keep()
return 'ok ' .. NOW .. ' ' .. joined .. ' ' .. (state == 'ready' and '0' or text(ends - now))
