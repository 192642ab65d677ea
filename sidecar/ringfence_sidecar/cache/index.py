"""Which values of an owner are in Redis: a process that begins counts them by it, and finds those to delete."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ringfence_sidecar.cache.keys import entry_key, index_keys
from ringfence_sidecar.cache.store import Store

_RECORD: Final = """
local gone = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[3], 'LIMIT', 0, 100)
if #gone > 0 then
  redis.call('HDEL', KEYS[1], unpack(gone))
  redis.call('ZREM', KEYS[2], unpack(gone))
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < ARGV[4] - ARGV[3] then redis.call('PEXPIRE', key, ARGV[4] - ARGV[3]) end
end
return #gone
"""
"""Adds a value, and forgets some of those that have expired: there are never many of them."""

_FORGET: Final = """
redis.call('DEL', ARGV[1] .. ARGV[2])
redis.call('HDEL', KEYS[1], ARGV[2])
return redis.call('ZREM', KEYS[2], ARGV[2])
"""
"""Deletes a value."""

_SWEEP: Final = """
local now = {}
for i = 3, #KEYS do now[i] = redis.call('GET', KEYS[i]) end
local function is_dead(said)
  for i = 3, #KEYS do
    local _, till = string.find(said, ' ' .. ARGV[i + 1] .. ':', 1, true)
    if till and string.match(said, '^%d+', till + 1) ~= now[i] then return true end
  end
  return false
end
local found = redis.call('HSCAN', KEYS[1], ARGV[3], 'COUNT', 100)
local answer = {found[1]}
for i = 1, #found[2], 2 do
  local name, said = found[2][i], found[2][i + 1]
  if is_dead(said) then
    redis.call('DEL', ARGV[1] .. name)
    redis.call('HDEL', KEYS[1], name)
    redis.call('ZREM', KEYS[2], name)
    if string.find(said, ' ' .. ARGV[2] .. ' ', 1, true) then answer[#answer + 1] = name end
  end
end
return answer
"""
"""Deletes, of a hundred values or so, those that have one of some tags in another generation than the present one.

ARGV: the place of values, the agent, where to go on, and of each tag what stands for it in the index. Returns where to
go on, 0 at the end, and which of the agent's own were deleted.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """A value that is there."""

    name: str
    size: int
    expires: float
    tags: tuple[str, ...]
    """Keys of their counters."""
    generations: tuple[int, ...] = ()
    """Of each tag, when it was set."""


class Index:
    """Of the values of one owner, with who has set each. All of it raises StoreAwayError."""

    def __init__(self, store: Store, scope: str, agent: str) -> None:
        self._store = store
        self._agent = agent
        self._keys = index_keys(store.prefix, scope)
        self._place = entry_key(store.prefix, "v:")

    async def record(self, value: Indexed) -> None:
        """Say that the value is there. Do it before it is: what is counted is never less than what is kept."""
        tags = " ".join(f"{_short(tag)}:{told}" for tag, told in zip(value.tags, value.generations, strict=True))
        said = f"{value.size} {value.expires:.3f} {self._agent} {tags}"
        times = (round(time.time() * 1000), round(value.expires * 1000))
        await self._store.run(_RECORD, self._keys, value.name, said, *times)

    async def forget(self, name: str) -> None:
        """Delete the value, whoever has set it."""
        await self._store.run(_FORGET, self._keys, self._place, name)

    async def sweep(self, tags: Sequence[str], at: bytes = b"0") -> tuple[bytes, list[str]]:
        """Delete some of the values that a tag was made worthless with, whoever has set them.

        Returns where to go on, which is `0` at the end, and which of the agent's own are gone.
        """
        short = [_short(tag) for tag in tags]
        after, *gone = await self._store.ask(_SWEEP, (*self._keys, *tags), self._place, self._agent, at, *short)
        return after, [name.decode() for name in gone]

    async def mine(self) -> list[Indexed]:
        """Return the values that the agent has set and that have not expired."""
        found: list[Indexed] = []
        for name, said in (await self._store.fields(self._keys[0])).items():
            size, expires, agent, *tags = said.decode().split()
            if agent == self._agent and float(expires) > time.time():
                whole = tuple(f"{self._store.prefix}g:{tag.partition(':')[0]}" for tag in tags)
                found.append(Indexed(name=name.decode(), size=int(size), expires=float(expires), tags=whole))
        return found


def _short(tag: str) -> str:
    """Return what tells a tag's key from others of the namespace: no agent's UID or number is as long."""
    return tag.rpartition(":")[2]
