-- Says what has become of lots, and what has been used in all: the same, said twice, counts once.
local answer = stop()
if answer then return answer end
if string.sub(JOINED, -1) == 'r' then reap() end
local buckets, by_key, touched = {}, {}, {}
for i = 7, #KEYS do
  local bucket = look(KEYS[i], argument(), true)
  bucket.before = bucket.reserved
  buckets[#buckets + 1] = bucket
  by_key[bucket.key] = bucket
end
for _ = 1, tonumber(argument()) do
  local id, left, lot = argument(), {}, {}
  for _ = 1, tonumber(argument()) do
    local key = KEYS[7 + tonumber(argument())]
    left[key] = tonumber(argument())
  end
  for amount, key in lines(call('HGET', LOTS, id) or '') do
    local had = tonumber(amount)
    local stays = math.min(had, left[key] or 0)
    if by_key[key] then
      by_key[key].reserved = math.max(0, by_key[key].reserved - had + stays)
    else
      give_back(amount .. ' ' .. key .. '\n')
    end
    if stays > 0 then lot[#lot + 1] = text(stays) .. ' ' .. key .. '\n' end
  end
  if #lot > 0 then call('HSET', LOTS, id, table.concat(lot)) else call('HDEL', LOTS, id) end
end
local totals = tonumber(argument())
if totals > 0 then
  local first, keys = at, {}
  for i = 1, totals do keys[i] = KEYS[7 + tonumber(ARGV[first + 2 * (i - 1)])] end
  local told, news = call('HMGET', TOTALS, unpack(keys)), {}
  for i, key in ipairs(keys) do
    local total = tonumber(ARGV[first + 2 * i - 1])
    local more = total - (tonumber(told[i]) or 0)
    if more > 0.0000005 then
      count(by_key[key], more)
      touched[#touched + 1] = key
      by_key[key].before = by_key[key].reserved
      news[#news + 1] = key
      news[#news + 1] = text(total)
    end
  end
  if #news > 0 then call('HSET', TOTALS, unpack(news)) end
  at = first + 2 * totals
end
for _ = 1, tonumber(argument()) do
  local bucket = buckets[1 + tonumber(argument())]
  refuse(bucket, argument())
end
for _ = 1, tonumber(argument()) do
  local bucket = buckets[1 + tonumber(argument())]
  warn(bucket, argument())
end
local said = {}
for i, bucket in ipairs(buckets) do
  if bucket.reserved ~= bucket.before then
    call('HSET', bucket.key, 'r', text(bucket.reserved))
    touched[#touched + 1] = bucket.key
    if bucket.kind == 'H' or not bucket.last then expire(bucket) end
  end
  said[3 * i - 2], said[3 * i - 1], said[3 * i] = exact(bucket.used), exact(bucket.reserved), resets(bucket)
end
if #touched > 0 then touch(unpack(touched)) end
call('ZADD', PODS, NOW, POD)
keep_pod()
if call('PTTL', EPOCH) < KEPT - DAY then keep() end
return 'ok ' .. NOW .. ' ' .. cmsgpack.pack(said)
