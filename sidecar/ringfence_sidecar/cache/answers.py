"""The pipeline's cache: in this process, in Redis, and one question to the backend for all who wait."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from ringfence_sidecar.cache.entry import Entry, Generations, Lives, decode, encode
from ringfence_sidecar.cache.flights import Flights
from ringfence_sidecar.cache.generations import is_certain
from ringfence_sidecar.cache.keys import digest, entry_key, lease_key, tag_key, whole_key
from ringfence_sidecar.cache.local import LocalCache
from ringfence_sidecar.cache.port import Fetched, Load
from ringfence_sidecar.cache.room import Room
from ringfence_sidecar.cache.scripts import RELEASE, RENEW
from ringfence_sidecar.cache.shared import Shared
from ringfence_sidecar.cache.statistics import ByConnector
from ringfence_sidecar.cache.store import Store, StoreAwayError
from ringfence_sidecar.configuration import CachePolicy
from ringfence_sidecar.configuration import LocalCache as LocalSettings
from ringfence_sidecar.envelope import CacheInfo, Notice
from ringfence_sidecar.errors import CallError

_LEASE_SECONDS = 1.0
"""How long the death of whoever asks the backend holds up the others."""
_POLLS = (0.005, 0.01, 0.02, 0.04)
_NOT_KEPT_SECONDS = 2.0
_SCOPE = "answers"


@dataclass(frozen=True, slots=True)
class _Question:
    name: str
    connector: str
    tags: tuple[str, ...]
    """Keys of the counters."""
    lives: Lives
    most_bytes: int
    load: Load


class Answers:
    """Keeps encoded answers of one namespace's connectors; an `AnswerCache`. Make it where an event loop runs."""

    def __init__(self, namespace: str, shared: Shared, *, local: LocalSettings, room: Room | None = None) -> None:
        self._namespace = namespace
        self._shared = shared
        self._store, self._prefix, self._generations = shared.store, shared.prefix, shared.generations
        self._local: LocalCache[Entry] = LocalCache(eviction=local.eviction, max_bytes=local.max_bytes)
        self._most_bytes = local.max_bytes
        self._room = room or Room()
        self._flights: Flights[Entry] = Flights()
        self._whole = whole_key(shared.prefix, _SCOPE)
        self.statistics = ByConnector()

    @property
    def is_reachable(self) -> bool | None:
        """Whether Redis answers; None if there is none."""
        return self._shared.is_reachable

    @property
    def local_bytes(self) -> int:
        """What the in-process layer holds."""
        return self._local.bytes

    async def close(self) -> None:
        """Cancel what is under way."""
        await self._flights.close()

    def retire(self) -> None:
        """Keep nothing here from now on: what is under way is answered, and takes up no room."""
        self._room, self._most_bytes = Room(), 0
        self._local.clear()

    async def landed(self) -> None:
        """Return once nothing is under way."""
        await self._flights.landed()

    async def fetch(
        self,
        connector: str,
        material: tuple[str, ...],
        tags: frozenset[str],
        policy: CachePolicy,
        load: Load,
        *,
        refresh: bool = False,
    ) -> Fetched:
        """Return the answer under `material`, or ask `load`, once for all who wait for it."""
        lives = Lives(policy.ttl_seconds, policy.stale_while_revalidate_seconds, policy.stale_if_error_seconds)
        if lives.ttl <= 0:
            return Fetched((await load())[0], CacheInfo())
        self._shared.begin_call()
        keys = (*self._counters(tags), self._whole)
        name = digest(self._namespace, connector, *material)
        question = _Question(name, connector, keys, lives, policy.max_entry_bytes, load)
        if refresh:
            return Fetched((await self._ask(question)).body, CacheInfo(), self._shared.warnings())
        return await self._fetch(question)

    async def invalidate(self, connector: str, tags: frozenset[str], *, doubt: float = 0.0) -> tuple[Notice, ...]:
        """Let no pod serve what was made from one of `tags` before now, nor `doubt` seconds from now on."""
        if not tags:
            return ()
        self._shared.begin_call()
        self.statistics[connector].invalidations += 1
        with suppress(StoreAwayError):
            await self._generations.raise_all(self._counters(tags), whole=self._whole, doubt=doubt)
        return self._shared.warnings()

    def _counters(self, tags: frozenset[str]) -> tuple[str, ...]:
        # Not by connector: two of them may lead to one table, and a counter too many raised costs a question at most.
        return tuple(tag_key(self._prefix, _SCOPE, tag) for tag in sorted(tags))

    async def _fetch(self, question: _Question) -> Fetched:
        entry, layer = await self._find(question)
        age = entry.age() if entry is not None else 0.0
        if entry is not None and age < question.lives.ttl + question.lives.revalidating:
            is_stale = age >= question.lives.ttl
            if is_stale:
                self._flights.begin(question.name, lambda: self._lead(question))
            return self._hit(question, entry, layer, is_stale=is_stale)
        try:
            loaded, joined = await self._flights.join(question.name, lambda: self._lead(question))
        except CallError as error:
            if entry is None or age >= question.lives.ttl + question.lives.on_error or not error.is_retryable:
                raise
            said = Notice("StaleAnswer", f"the backend could not be asked ({error.reason}); this is {age:.0f} s old")
            return self._hit(question, entry, layer, is_stale=True, said=(said,))
        statistics = self.statistics[question.connector]
        statistics.joined += joined
        statistics.misses += not joined
        return Fetched(loaded.body, CacheInfo(), self._shared.warnings())

    def _hit(
        self, question: _Question, entry: Entry, layer: str, *, is_stale: bool, said: tuple[Notice, ...] = ()
    ) -> Fetched:
        statistics, age = self.statistics[question.connector], entry.age()
        statistics.hits[layer] += 1
        statistics.stale += is_stale
        statistics.age_seconds += age
        return Fetched(entry.body, CacheInfo(True, round(age, 3), layer, is_stale), said + self._shared.warnings())

    async def _find(self, question: _Question) -> tuple[Entry | None, str]:
        """Return what is kept and was made of what is there now, and where it was found."""
        kept = self._local.get(question.name)
        if kept is not None and self._generations.trusted(question.tags) == kept.generations:
            return kept, "local"
        if self._store is None:
            return None, ""
        try:
            if kept is not None and await self._generations.current(question.tags) == kept.generations:
                return kept, "local"
            return await self._find_in_redis(self._store, question), "redis"
        except StoreAwayError:
            is_good = kept is not None and kept.generations == self._generations.local(question.tags)
            return (kept, "local") if is_good else (None, "")

    async def _find_in_redis(self, store: Store, question: _Question) -> Entry | None:
        asked = time.monotonic()
        body, *said = await store.read([entry_key(self._prefix, question.name), *question.tags])
        generations = await self._generations.learn(question.tags, said, asked)
        entry = decode(body) if body is not None else None
        if entry is None or not entry.body or entry.generations != generations:
            return None
        self._keep_here(question, entry)
        return entry

    def _keep_here(self, question: _Question, entry: Entry) -> None:
        left = question.lives.whole - entry.age()
        self._local.resize(self._room.for_answers(self._most_bytes))
        self._local.put(question.name, entry, size=len(entry.body), seconds=left)
        self._room.keeps_answers(self._local.bytes)

    def give_way(self) -> None:
        """Keep no more than the agent's own values leave room for."""
        self._local.resize(self._room.for_answers(self._most_bytes))
        self._room.keeps_answers(self._local.bytes)

    async def _lead(self, question: _Question) -> Entry:
        """Ask the backend, unless another pod does: then wait for what it gets."""
        store, token = self._store, secrets.token_hex(16)
        if store is None:
            return await self._ask(question)
        lease = lease_key(self._prefix, question.name)
        try:
            while not await store.begin(lease, token.encode(), seconds=_LEASE_SECONDS):
                found, is_alone = await self._await_other(store, question, lease)
                if found is not None:
                    self.statistics[question.connector].joined += 1
                    return found
                if is_alone:
                    return await self._ask(question)
        except StoreAwayError:
            return await self._ask(question)
        async with _held(store, lease, token):
            # Who held the lease a moment ago may have kept an answer since this call looked.
            return await self._kept_since(store, question) or await self._ask(question)

    async def _kept_since(self, store: Store, question: _Question) -> Entry | None:
        with suppress(StoreAwayError):
            found = await self._find_in_redis(store, question)
            if found is not None and found.age() < question.lives.ttl:
                return found
        return None

    async def _await_other(self, store: Store, question: _Question, lease: str) -> tuple[Entry | None, bool]:
        """Return what another pod found out, or None once it has let go; and whether it is better not to wait."""
        attempt = 0
        while True:
            await asyncio.sleep(_POLLS[min(attempt, len(_POLLS) - 1)])
            attempt += 1
            store.begin_call()
            asked = time.monotonic()
            body, holder, *said = await store.read([entry_key(self._prefix, question.name), lease, *question.tags])
            entry = decode(body) if body is not None else None
            if entry is not None and not entry.body:
                return None, True
            if entry is not None and entry.age() < question.lives.ttl:
                generations = await self._generations.learn(question.tags, said, asked)
                if entry.generations == generations:
                    self._keep_here(question, entry)
                    return entry, False
            if holder is None:
                return None, False

    async def _ask(self, question: _Question) -> Entry:
        """Ask the backend, and keep the answer under the generations of before: a write meanwhile spoils it."""
        statistics = self.statistics[question.connector]
        statistics.loads += 1
        generations = await self._before(question)
        created = time.time()
        body, may_keep = await question.load()
        entry = Entry(body, created, generations)
        if not may_keep or len(body) > question.most_bytes or not is_certain(generations):
            # Others who wait must not ask one after the other for what none of them can hand on.
            await self._keep_in_redis(question, Entry(b"", created, ()), _NOT_KEPT_SECONDS)
            return entry
        statistics.kept_bytes += len(body)
        self._keep_here(question, entry)
        await self._keep_in_redis(question, entry, question.lives.whole)
        return entry

    async def _before(self, question: _Question) -> Generations:
        try:
            return await self._generations.current(question.tags)
        except StoreAwayError:
            return self._generations.local(question.tags)

    async def _keep_in_redis(self, question: _Question, entry: Entry, seconds: float) -> None:
        if self._store is not None:
            with suppress(StoreAwayError):
                await self._store.keep(entry_key(self._prefix, question.name), encode(entry), seconds=seconds)


@asynccontextmanager
async def _held(store: Store, lease: str, token: str) -> AsyncIterator[None]:
    """Hold the lease until the block ends, however it ends."""
    renewing = asyncio.create_task(_renew(store, lease, token))
    try:
        yield
    finally:
        renewing.cancel()
        releasing = asyncio.create_task(_release(store, lease, token))
        with suppress(asyncio.CancelledError):
            await asyncio.shield(releasing)


async def _renew(store: Store, lease: str, token: str) -> None:
    while True:
        await asyncio.sleep(_LEASE_SECONDS / 3)
        with suppress(StoreAwayError):
            await store.run(RENEW, [lease], token, int(_LEASE_SECONDS * 1000))


async def _release(store: Store, lease: str, token: str) -> None:
    with suppress(StoreAwayError):
        await store.run(RELEASE, [lease], token)
