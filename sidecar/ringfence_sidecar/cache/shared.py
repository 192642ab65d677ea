"""What answers and agents' own values have in common: one Redis, and one view of the tags' generations."""

from ringfence_sidecar.cache.generations import TagGenerations
from ringfence_sidecar.cache.store import PATIENCE_SECONDS, Store
from ringfence_sidecar.configuration import Redis
from ringfence_sidecar.envelope import Notice

_VALUES_SECONDS = 8 * 24 * 3600
"""The counters of agents' own values outlive every value: agents choose the names, and how many there are."""

AWAY = Notice("CacheUnreachable", "Redis does not answer: what other pods know or have changed is not seen here")


class Shared:
    """The namespace's Redis, or none. Make it where an event loop runs, and close it."""

    def __init__(self, redis: Redis | None, *, patience: float = PATIENCE_SECONDS) -> None:
        self.store = Store(redis, on_back=self._settle, patience=patience) if redis is not None else None
        self.prefix = redis.prefix if redis is not None else ""
        self.generations = TagGenerations(self.store)
        """Of answers: there are no more of them than tables, and none is ever to be evicted."""
        self.of_values = TagGenerations(self.store, life_seconds=_VALUES_SECONDS)

    @property
    def is_reachable(self) -> bool | None:
        """Whether Redis answers; None if there is none."""
        return self.store.is_reachable if self.store is not None else None

    @property
    def evicts(self) -> str:
        """The policy by which Redis throws counters away when its memory is full; empty if it does not."""
        return self.store.evicts if self.store is not None else ""

    def begin_call(self) -> None:
        """Begin a call: what it asks of Redis from now on shares one patience."""
        if self.store is not None:
            self.store.begin_call()

    def warnings(self) -> tuple[Notice, ...]:
        """Return what a caller should know of the cache's state."""
        return (AWAY,) if self.is_reachable is False else ()

    async def close(self) -> None:
        """Let go of Redis."""
        if self.store is not None:
            await self.store.close()

    async def _settle(self) -> None:
        await self.generations.settle()
        await self.of_values.settle()
