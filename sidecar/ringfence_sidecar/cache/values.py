"""What agents keep in the cache for themselves: JSON under a name, for a time, with tags to drop it by."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from ringfence_sidecar.cache.entry import Generations
from ringfence_sidecar.cache.index import Index, Indexed
from ringfence_sidecar.cache.keys import digest, entry_key, tag_key, whole_key
from ringfence_sidecar.cache.local import LocalCache
from ringfence_sidecar.cache.room import Room
from ringfence_sidecar.cache.shared import Shared
from ringfence_sidecar.cache.statistics import Statistics
from ringfence_sidecar.cache.store import Store, StoreAwayError, StoreFullError
from ringfence_sidecar.configuration import Agent
from ringfence_sidecar.configuration import Values as Settings
from ringfence_sidecar.envelope import CacheInfo, Notice
from ringfence_sidecar.errors import InvalidArgumentsError, RefusedError, UnavailableError, UnknownError

MOST_KEY_CHARACTERS = 512
MOST_TAGS = 32
MOST_TAG_CHARACTERS = 128
DEFAULT_TTL_SECONDS = 3600.0
_SWEPT_AT_ONCE = 32
"""Tags."""
_END = b"0"
_PAUSE_SECONDS = 1.0
"""Before Redis is asked again that was away."""
_ROOM_SECONDS = 2.0
"""How long a value that has no room waits for what was forgotten to make some."""


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    body: bytes
    created: float
    expires: float
    """Wall-clock seconds."""
    tags: tuple[str, ...]
    """Keys of the counters, the value's own first: each `set` raises that, so that no pod serves what was before.

    The last one is that of all values of its owner.
    """
    generations: Generations


@dataclass(frozen=True, slots=True)
class Value:
    """A value, as JSON, and where it was found."""

    body: bytes
    info: CacheInfo
    warnings: tuple[Notice, ...]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Kept)


class Values:
    """One agent's values, or those that agents of one namespace share under a name.

    Redis away: what is set stays in this pod until then, and is forgotten once Redis is back.
    """

    def __init__(
        self,
        agent: Agent,
        shared: Shared,
        settings: Settings,
        *,
        room: Room | None = None,
        give_way: Callable[[], None] = lambda: None,
    ) -> None:
        self._shared = shared
        self._settings = settings
        self._owner = f"shared/{settings.shared_as}" if settings.shared_as else f"agent/{agent.uid}"
        self._scope = digest(agent.namespace, self._owner)
        self._whole = whole_key(shared.prefix, self._scope)
        self.statistics = Statistics()
        self._room = room or Room()
        self._give_way = give_way
        """Has answers take up no more than values leave them."""
        # Without Redis, what is forgotten here is forgotten.
        self._index = Index(shared.store, self._scope, agent.uid) if shared.store is not None else None
        self._is_loaded = False
        self._dead: set[str] = set()
        """Tags whose values are worthless, and still in Redis."""
        self._sweeping: asyncio.Task[None] | None = None
        gone = self._room.drop if shared.store is None else lambda _: None
        self._local: LocalCache[_Kept] = LocalCache(eviction="LRU", max_bytes=4 * settings.max_bytes, on_gone=gone)

    @property
    def local_bytes(self) -> int:
        """What the in-process layer holds."""
        return self._local.bytes

    async def get(self, key: str) -> Value:
        """Return the value. Raises UnknownError if there is none (any more)."""
        name = self._name(key)
        self._shared.begin_call()
        kept, layer = await self._find(name)
        if kept is None or kept.expires <= time.time():
            self.statistics.misses += 1
            raise UnknownError(f"there is no value {key!r}, or it has expired: set it", code="ValueNotFound")
        age = round(max(0.0, time.time() - kept.created), 3)
        self.statistics.hits[layer] += 1
        self.statistics.age_seconds += age
        return Value(kept.body, CacheInfo(True, age, layer), self._shared.warnings())

    async def set(
        self, key: str, body: bytes, *, ttl_seconds: float | None = None, tags: tuple[str, ...] = ()
    ) -> tuple[Notice, ...]:
        """Keep `body`, which is JSON.

        Raises InvalidArgumentsError if it or a tag is too long, LimitedError if a quota has no room for it,
        UnavailableError if Redis has none.
        """
        name = self._name(key)
        seconds = self._seconds(ttl_seconds)
        if len(body) > self._settings.max_bytes:
            raise InvalidArgumentsError(
                f"the value has {len(body)} bytes: keep at most {self._settings.max_bytes}", field="value"
            )
        own, mine = self._own(name), self._counters(tags)
        counters = (own, *mine, self._whole)
        await self.load()
        if self._sweeping is not None and not self._room.fits(name, len(body)):
            await asyncio.wait({self._sweeping}, timeout=_ROOM_SECONDS)
        self._shared.begin_call()
        now, generations = time.time(), self._shared.of_values
        warnings = self._room.put(name, len(body), expires=now + seconds, tags=mine)
        self._give_way()
        try:
            await generations.raise_all((own,), whole=self._whole)
            told = await generations.current(counters)
            kept = _Kept(body, now, now + seconds, counters, told)
            if self._shared.store is not None and self._index is not None:
                indexed = Indexed(
                    name=name, size=len(body), expires=now + seconds, tags=mine, generations=told[1 : 1 + len(mine)]
                )
                await self._index.record(indexed)
                await self._shared.store.keep(self._place(name), _ENCODER.encode(kept), seconds=seconds)
        except StoreFullError:
            self._forget(name)
            with suppress(StoreAwayError):
                await self._drop(name)
            raise UnavailableError(
                "the cache has no memory left, so the value is not kept: set it again later", code="CacheFull"
            ) from None
        except StoreAwayError:
            kept = _Kept(body, now, now + seconds, counters, generations.local(counters))
        self._local.put(name, kept, size=len(body), seconds=seconds)
        self.statistics.kept_bytes += len(body)
        return warnings + self._shared.warnings()

    async def delete(self, key: str) -> tuple[Notice, ...]:
        """Forget the value, if it is there."""
        name = self._name(key)
        self._shared.begin_call()
        self._forget(name)
        with suppress(StoreAwayError):  # then its own counter is owed, and it is worthless once Redis is back
            await self._shared.of_values.raise_all((self._own(name),), whole=self._whole)
            if self._shared.store is not None:
                await self._drop(name)
        return self._shared.warnings()

    async def invalidate_tag(self, tag: str) -> tuple[Notice, ...]:
        """Forget all values that were set with `tag`."""
        counters = self._counters((tag,))
        self.statistics.invalidations += 1
        self._shared.begin_call()
        with suppress(StoreAwayError):  # then it is owed
            await self._shared.of_values.raise_all(counters, whole=self._whole)
        if self._index is None:
            self._room.drop_tagged(counters[0])
        elif self._room.is_limited:
            self._dead.update(counters)
            if self._sweeping is None or self._sweeping.done():
                self._sweeping = asyncio.create_task(self._sweep(self._index))
        return self._shared.warnings()

    async def close(self) -> None:
        """End what nobody waits for."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait({self._sweeping})

    async def load(self) -> None:
        """Count what earlier processes of the agent have left in Redis, once it answers."""
        if self._index is None or self._is_loaded:
            return
        with suppress(StoreAwayError):
            found = await self._index.mine()
            self._is_loaded = True
            for each in found:
                self._room.restore(each.name, each.size, expires=each.expires, tags=each.tags)

    async def _sweep(self, index: Index) -> None:
        """Have worthless values leave Redis, a few at a time: they are worth nothing as it is, but they are counted."""
        while self._dead:
            tags = tuple(self._dead)[:_SWEPT_AT_ONCE]
            self._dead.difference_update(tags)
            at = b""
            while at != _END:
                self._shared.begin_call()
                try:
                    at, gone = await index.sweep(tags, at or _END)
                except StoreAwayError:
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
                for name in gone:
                    self._room.drop(name)

    async def _drop(self, name: str) -> None:
        if self._index is not None:
            await self._index.forget(name)

    def _forget(self, name: str) -> None:
        self._local.drop(name)
        self._room.drop(name)

    async def _find(self, name: str) -> tuple[_Kept | None, str]:
        generations, store = self._shared.of_values, self._shared.store
        kept = self._local.get(name)
        if kept is not None and generations.trusted(kept.tags) == kept.generations:
            return kept, "local"
        try:
            if store is not None:
                return await self._find_in_redis(store, name), "redis"
        except StoreAwayError:
            if kept is not None and generations.local(kept.tags) == kept.generations:
                return kept, "local"
        return None, ""

    async def _find_in_redis(self, store: Store, name: str) -> _Kept | None:
        (body,) = await store.read([self._place(name)])
        if body is None:
            return None
        try:
            kept = _DECODER.decode(body)
        except msgspec.MsgspecError:
            return None
        return kept if await self._shared.of_values.current(kept.tags) == kept.generations else None

    def _name(self, key: str) -> str:
        if not self._settings.enabled:
            raise RefusedError("this agent may keep no values of its own", code="ValuesDisabled", rule="values.enabled")
        if not 0 < len(key) <= MOST_KEY_CHARACTERS:
            raise InvalidArgumentsError(f"write a key of 1 to {MOST_KEY_CHARACTERS} characters", field="key")
        return digest(self._scope, key)

    def _place(self, name: str) -> str:
        return entry_key(self._shared.prefix, f"v:{name}")

    def _own(self, name: str) -> str:
        return tag_key(self._shared.prefix, self._scope, f"key/{name}")

    def _counters(self, tags: tuple[str, ...]) -> tuple[str, ...]:
        if len(tags) > MOST_TAGS or any(not 0 < len(tag) <= MOST_TAG_CHARACTERS for tag in tags):
            raise InvalidArgumentsError(
                f"write at most {MOST_TAGS} tags of 1 to {MOST_TAG_CHARACTERS} characters", field="tags"
            )
        return tuple(tag_key(self._shared.prefix, self._scope, f"tag/{tag}") for tag in sorted(set(tags)))

    def _seconds(self, asked: float | None) -> float:
        longest = self._settings.max_ttl_seconds
        seconds = min(DEFAULT_TTL_SECONDS, longest) if asked is None else asked
        if not 0 < seconds <= longest:
            raise InvalidArgumentsError(f"write a ttlSeconds above 0, and at most {longest:g}", field="ttlSeconds")
        return seconds
