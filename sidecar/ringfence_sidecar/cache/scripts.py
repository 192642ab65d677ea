"""What Redis runs for the cache, each in one round trip."""

DOUBT = b"~"
"""How a counter begins that nobody may count on, until the server's time that follows, in milliseconds."""

_COUNTERS = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function doubted(value)
  local till = value and string.sub(value, 1, 1) == '~' and tonumber(string.sub(value, 2)) or 0
  return till > now and till or 0
end
"""

BUMP = (
    _COUNTERS
    + """
for i, key in ipairs(KEYS) do
  local there = redis.call('GET', key)
  local doubt = tonumber(ARGV[2 * i + 1])
  local till = math.max(doubted(there), doubt > 0 and now + doubt or 0)
  local command = {'INCR', key}
  if till > 0 then
    command = {'SET', key, string.format('~%.0f', till)}
  elseif not there or string.sub(there, 1, 1) == '~' then
    command = {'SET', key, ARGV[2 * i]}
  end
  local done = redis.pcall(unpack(command))
  if type(done) == 'table' and done.err then
    redis.call('DEL', key)
  elseif ARGV[1] ~= '0' then
    redis.call('EXPIRE', key, ARGV[1])
  end
end
return #KEYS
"""
)
"""Raises each tag's generation; one that is missing begins at random, so that a lost one never revives an entry.

ARGV: seconds that a counter lives (0: for ever), then for each key a random number, and for how many milliseconds it is
in doubt. A Redis without memory writes nothing, and deletes: then the counter goes, which is as good, for nothing can
be kept there either.
"""

BEGIN = (
    _COUNTERS
    + """
for i, key in ipairs(KEYS) do
  local there = redis.call('GET', key)
  if not there or (string.sub(there, 1, 1) == '~' and doubted(there) == 0) then
    redis.call('SET', key, ARGV[i + 1])
    if ARGV[1] ~= '0' then redis.call('EXPIRE', key, ARGV[1]) end
  end
end
return #KEYS
"""
)
"""Begins counters at random where there are none, or where a doubt is over. ARGV: as BUMP's, without doubts."""

RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
