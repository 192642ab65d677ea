"""What dead sidecars held is given back although no sidecar is left to see it: they do it to one another, too."""

from ringfence_operator.egress.quota_buckets import EPOCH, PODS, ROOT, TOUCHED

LEASE_SECONDS = 10.0
"""After so long without a word a sidecar is dead, to the others as well."""

# While an epoch begins, sidecars look at who was there: nobody may be missing then. Who holds nothing says nothing.
_SCRIPT = """
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local epoch = redis.call('HMGET', KEYS[2], 'run', 'state')
if epoch[1] ~= run or epoch[2] ~= 'ready' then return 0 end
local clock, dead = redis.call('TIME'), 0
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
for _, pod in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[2]))) do
  local held = ARGV[1] .. 'pod:' .. pod
  if redis.call('HLEN', held) > 1 then
    for _, lot in ipairs(redis.call('HVALS', held)) do
      for amount, key in string.gmatch(lot, '([^ \\n]+) ([^\\n]+)\\n') do
        if tonumber(redis.call('HINCRBYFLOAT', key, 'r', '-' .. amount)) < 0 then redis.call('HSET', key, 'r', 0) end
        if redis.call('PTTL', key) < 0 then redis.call('PEXPIRE', key, ARGV[3]) end
        if redis.call('SADD', KEYS[3], key) > 0 then redis.call('PEXPIRE', KEYS[3], ARGV[3]) end
      end
    end
    redis.call('DEL', held)
    redis.call('PEXPIRE', ARGV[1] .. 'total:' .. pod, ARGV[4])
    redis.call('ZREM', KEYS[1], pod)
    dead = dead + 1
  end
end
return dead
"""
_KEPT_SECONDS, _TOLD_SECONDS = 63 * 86_400, 7 * 86_400
"""For how long sidecars keep what they share, and what one has told that was found dead."""


def reap_command(prefix: str) -> tuple[str, ...]:
    """Return the command that gives back what the dead of a namespace held, and touches its buckets."""
    keys = [prefix + each for each in (PODS, EPOCH, TOUCHED)]
    times = [f"{seconds * 1000:.0f}" for seconds in (LEASE_SECONDS, _KEPT_SECONDS, _TOLD_SECONDS)]
    return ("EVAL", _SCRIPT, str(len(keys)), *keys, prefix + ROOT, *times)
