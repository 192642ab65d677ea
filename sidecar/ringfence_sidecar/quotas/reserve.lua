-- Grants a lot of every bucket, or nothing. What is asked of them comes as one word of MessagePack, as what was granted
-- goes back: numbers as texts would take a fifth of the time.
local answer = stop()
if answer then return answer end
if string.sub(JOINED, -1) ~= 'r' then return 'join ' .. NOW end
local id, final, wanted = argument(), argument(), cmsgpack.unpack(argument())

local function judge()
  local asked, is_refused, from = {}, false, 0
  for i = 7, #KEYS do
    local bucket = look(KEYS[i], wanted[from + 1])
    local max, enforcement = wanted[from + 2], wanted[from + 3]
    bucket.grant, bucket.least = wanted[from + 4], wanted[from + 5]
    from = from + 5
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
    asked[i - 6] = bucket
  end
  return asked, is_refused
end

local asked, is_refused = judge()
-- Before anything is refused, what the dead held is given back.
if is_refused and reap() then asked, is_refused = judge() end
if is_refused then
  local refused = {'no', NOW}
  for index, bucket in ipairs(asked) do
    if bucket.left then
      -- What can be cut waits for any of it.
      local wait = frees(bucket, math.max(bucket.least, 0.000001) - bucket.left)
      for _, each in ipairs({index - 1, text(bucket.used), text(bucket.reserved), text(wait), text(resets(bucket))}) do
        refused[#refused + 1] = each
      end
    end
    if bucket.tells then refuse(bucket, 1) end
  end
  return table.concat(refused, ' ')
end
local granted, lot, said, put = {}, {}, 0, 0
for i = 1, #asked do
  local bucket = asked[i]
  local key, grant = bucket.key, text(bucket.grant)
  bucket.reserved = bucket.reserved + bucket.grant
  local reserved = text(bucket.reserved)
  call('HSET', key, 'r', reserved)
  if bucket.kind == 'H' then
    touch(key)
    expire(bucket)
  elseif not bucket.last then
    expire(bucket)
  end
  -- Joined once: what is joined in between would be copied, and kept as a text of its own.
  lot[put + 1], lot[put + 2], lot[put + 3], lot[put + 4] = grant, ' ', key, '\n'
  put = put + 4
  granted[said + 1], granted[said + 2] = exact(bucket.grant), exact(bucket.used)
  granted[said + 3], granted[said + 4] = exact(bucket.reserved), resets(bucket)
  said = said + 4
end
call('HSET', LOTS, id, table.concat(lot))
call('ZADD', PODS, NOW, POD)
return 'ok ' .. NOW .. ' ' .. cmsgpack.pack(granted)
