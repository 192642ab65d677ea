-- What every script begins with: its arguments, the time, a look at a bucket, and who may go on.
local EPOCH, PODS, LOTS, TOTALS, TOUCHED, WAITING = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local ROOT, RUN, KEEPS, JOINED, POD, AGENT = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local LEASE = tonumber(ARGV[7])
local SLOTS, DAY, OWN = 20, 86400000, 'a:' .. AGENT
-- For how long what a namespace's pods share is kept, from the last time that any of them said something.
local KEPT = 63 * DAY
local at = 8
-- A local name is found at once, a field of a global one is looked up each time.
local call, floor, format = redis.call, math.floor, string.format

local function argument()
  at = at + 1
  return ARGV[at - 1]
end

-- Whole numbers whole, fractions to a millionth: sums do not drift. Lua itself writes 14 digits, and takes four times as
-- long as `%d`, which holds what 32 bits do. So numbers are given to commands as texts.
local function text(number)
  if number ~= floor(number) then return format('%.6f', number) end
  if number < 2147483648 and number > -2147483648 then return format('%d', number) end
  return format('%.0f', number)
end

-- The number that `text` writes: sums of fractions have more digits than count.
local function exact(number)
  if number == floor(number) then return number end
  return tonumber(text(number))
end

local clock = call('TIME')
local now = tonumber(clock[1]) * 1000 + floor(tonumber(clock[2]) / 1000)
local NOW = text(now)

-- What is left over of a subtraction, without what fractions leave behind.
local function even(number)
  if math.abs(number) > 1000000000 then return number end
  return floor(number * 1000000 + 0.5) / 1000000
end

local function month()
  local day, year = floor(now / DAY), 1970
  local function days(of)
    return ((of % 4 == 0 and of % 100 ~= 0) or of % 400 == 0) and 366 or 365
  end
  local first = 0
  while day - first >= days(year) do
    first = first + days(year)
    year = year + 1
  end
  for _, length in ipairs({31, days(year) - 337, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}) do
    if day < first + length then return first * DAY, (first + length) * DAY end
    first = first + length
  end
end

-- Kind, slot of now, the slot's length or the window's end, and for how long the bucket is kept.
local function find_place(shape)
  local kind, length = string.sub(shape, 1, 1), tonumber(string.sub(shape, 2))
  if kind == 'S' then return kind, floor(now / length), length, length * SLOTS * 2 + DAY end
  if kind == 'M' then
    local from, to = month()
    return kind, from / 1000, to, KEPT
  end
  if kind == 'C' then
    local from = floor(now / length) * length
    return kind, from / 1000, from + length, length + DAY
  end
  return kind, 0, 0, DAY
end

-- Limits of one call often have the same window.
local places = {}
local function place(shape)
  local found = places[shape]
  if not found then
    local kind, slot, length, keep = find_place(shape)
    found = {kind = kind, slot = slot, length = length, keep = keep, name = 's:' .. text(slot)}
    places[shape] = found
  end
  return found
end

local function amounts(key, from, to)
  local names = {}
  for slot = from, to do names[#names + 1] = 's:' .. text(slot) end
  return call('HMGET', key, unpack(names)), names
end

-- Adds up what the slots hold, and finds the oldest that holds anything.
local function sum(bucket, from, to)
  bucket.used, bucket.oldest = 0, nil
  local found = amounts(bucket.key, from, to)
  for i = 1, #found do
    local amount = tonumber(found[i]) or 0
    if amount > 0 then
      bucket.oldest = bucket.oldest or from + i - 1
      bucket.used = bucket.used + amount
    end
  end
end

-- `l`, `u` and `o` are the last slot written, what counted then, and the oldest slot with anything in it. Only who may
-- count something needs to know what there is of the slot of now, and of the agent's own: each field costs a search.
local function look(key, shape, may_count)
  local now_at, found = place(shape), nil
  local kind, slot = now_at.kind, now_at.slot
  if kind == 'H' then
    found = {call('HGET', key, 'r')}
  elseif may_count then
    found = call('HMGET', key, 'r', 'l', 'u', 'o', now_at.name, OWN)
  else
    found = call('HMGET', key, 'r', 'l', 'u', 'o')
  end
  local last = tonumber(found[2])
  -- All at once: a table that grows is copied again and again.
  local bucket = {
    key = key, kind = kind, slot = slot, length = now_at.length, keep = now_at.keep, last = last, used = 0,
    oldest = nil, reserved = tonumber(found[1]) or 0, here = tonumber(found[5]) or 0, own = tonumber(found[6]) or 0,
    before = nil, grant = nil, least = nil
  }
  if not last then return bucket end
  -- Time that goes back counts as standing still.
  if last > slot and may_count then bucket.here = tonumber(call('HGET', key, 's:' .. text(last))) or 0 end
  if last >= slot then
    bucket.slot, bucket.used, bucket.oldest = last, tonumber(found[3]) or 0, tonumber(found[4])
  elseif kind == 'S' and slot - last <= SLOTS then
    sum(bucket, slot - SLOTS, last)
  end
  return bucket
end

-- Forgets the slots that do not count any more.
local function prune(bucket)
  local last = bucket.last
  if not last or last >= bucket.slot then return end
  if bucket.kind == 'S' then
    local to = math.min(last, bucket.slot - SLOTS - 1)
    local from = last - SLOTS
    if to >= from then
      local names = {}
      for slot = from, to do names[#names + 1] = 's:' .. text(slot) end
      call('HDEL', bucket.key, unpack(names))
    end
  else
    call('HDEL', bucket.key, 's:' .. text(last))
  end
  bucket.last = bucket.slot
end

-- Has the operator look at buckets.
local function touch(...)
  if call('SADD', TOUCHED, ...) > 0 then call('PEXPIRE', TOUCHED, KEPT) end
end

local function keep()
  call('PEXPIRE', EPOCH, KEPT)
  call('PEXPIRE', PODS, KEPT)
  call('PEXPIRE', WAITING, KEPT)
end

local function expire(bucket)
  call('PEXPIRE', bucket.key, bucket.kind == 'H' and bucket.reserved > 0 and KEPT or bucket.keep)
end

-- Counts `amount` as used now, and writes what is reserved besides.
local function count(bucket, amount)
  local is_new = bucket.last ~= bucket.slot
  prune(bucket)
  bucket.used, bucket.oldest = bucket.used + amount, bucket.oldest or bucket.slot
  local slot = text(bucket.slot)
  call('HSET', bucket.key, 's:' .. slot, text(bucket.here + amount), OWN, text(bucket.own + amount),
    'l', slot, 'u', text(bucket.used), 'o', text(bucket.oldest), 'r', text(bucket.reserved))
  if is_new then expire(bucket) end
end

-- Calls that a limit refused.
local function refuse(bucket, times)
  call('HINCRBY', bucket.key, 'n', times)
  call('HSET', bucket.key, 'nt', text(floor(now / 1000)), 'na', AGENT)
  touch(bucket.key)
  expire(bucket)
end

-- A percentage of `max` that use has come to.
local function warn(bucket, percent)
  call('HSET', bucket.key, 'w:' .. percent, text(floor(now / 1000)) .. ' ' .. AGENT)
  touch(bucket.key)
  expire(bucket)
end

-- Milliseconds until something is free; -1 where nothing is added up.
local function resets(bucket)
  if bucket.kind == 'H' then return -1 end
  if bucket.used <= 0 then return 0 end
  if bucket.kind == 'S' then return (bucket.oldest + SLOTS + 1) * bucket.length - now end
  return bucket.length - now
end

-- Milliseconds until `need` more is free; -1 if that hangs on what others hold.
local function frees(bucket, need)
  if bucket.kind == 'H' or need > bucket.used then return -1 end
  if bucket.kind ~= 'S' then return bucket.length - now end
  local from = bucket.slot - SLOTS
  local found = amounts(bucket.key, from, bucket.slot)
  for i = 1, #found do
    need = need - (tonumber(found[i]) or 0)
    if need <= 0.0000005 then return (from + i - 1 + SLOTS + 1) * bucket.length - now end
  end
  return -1
end

-- A lot is what one call, or one thing that is held, has been granted: amount and bucket, a line each.
local function lines(lot)
  return string.gmatch(lot, '([^ ]+) ([^\n]+)\n')
end

local function give_back(lot)
  for amount, key in lines(lot) do
    -- Of a bucket that nobody asked about the key is all there is: no other kind has no window.
    local is_held = string.find(key, ':None:', 1, true)
    local left = math.max(0, (tonumber(call('HGET', key, 'r')) or 0) - tonumber(amount))
    call('HSET', key, 'r', text(left))
    touch(key)
    if is_held and left == 0 then
      call('PEXPIRE', key, DAY)
    elseif call('PTTL', key) < 0 then
      call('PEXPIRE', key, KEPT)
    end
  end
end

-- Together: what the pod has told is of use only as long as it need not say all of it again, and what it holds can be
-- given back only as long as it is known. What the dead have told is kept for less, once that has been done.
local function keep_pod()
  if call('PTTL', LOTS) > KEPT - DAY and call('PTTL', TOTALS) ~= -1 then return end
  call('PEXPIRE', LOTS, KEPT)
  call('PEXPIRE', TOTALS, KEPT)
  local found = call('HGETALL', LOTS)
  for i = 2, #found, 2 do
    for _, key in lines(found[i]) do call('PEXPIRE', key, KEPT) end
  end
end

local function forget(pod_lots)
  local found = call('HGETALL', pod_lots)
  for i = 1, #found, 2 do
    if found[i] ~= '@' then give_back(found[i + 1]) end
  end
  call('DEL', pod_lots)
end

-- Gives back what pods held whose lease has run out; returns whether there were any.
local function reap()
  local found = false
  for _, pod in ipairs(call('ZRANGEBYSCORE', PODS, '-inf', text(now - LEASE), 'LIMIT', 0, 4)) do
    if pod ~= POD then
      forget(ROOT .. 'pod:' .. pod)
      call('PEXPIRE', ROOT .. 'total:' .. pod, 7 * DAY)
      call('ZREM', PODS, pod)
      found = true
    end
  end
  return found
end

-- Another server than the one that the counters were on, or one that has lost them: those who were there say what they
-- have used before anybody goes on. One that keeps nothing on disk may have come back as it was long ago.
local function begin_epoch(was_there)
  local id, state = RUN .. ':' .. NOW, 'recovering'
  call('DEL', WAITING)
  local newest = call('ZREVRANGE', PODS, 0, 0, 'WITHSCORES')
  local is_whole = was_there and KEEPS == '1'
  if is_whole and newest[2] then
    for _, pod in ipairs(call('ZRANGEBYSCORE', PODS, text(tonumber(newest[2]) - LEASE), '+inf')) do
      call('SADD', WAITING, pod)
    end
  end
  if is_whole and not newest[2] then state = 'ready' end
  call('HSET', EPOCH, 'run', RUN, 'id', id, 'state', state, 'until', text(now + LEASE),
    'whole', is_whole and '1' or '0')
  return id, state, now + LEASE
end

local function epoch()
  local found = call('HMGET', EPOCH, 'run', 'id', 'state', 'until')
  if found[1] ~= RUN then return begin_epoch(found[1]) end
  local id, state, ends = found[2], found[3], tonumber(found[4])
  if state == 'recovering' and now >= ends then
    state = 'ready'
    call('HSET', EPOCH, 'state', state)
    call('DEL', WAITING)
  end
  return id, state, ends
end

-- Returns an answer if the pod has to say first what it holds and has used. What it was told as it joined names the
-- server's start and whether others had been heard; a store that has lost its keys has lost that, too.
local function stop()
  if call('HGET', LOTS, '@') == JOINED and string.sub(JOINED, 1, #RUN) == RUN then return nil end
  return 'join ' .. NOW
end
