"""Caches as several pods have them, and a backend that counts."""

import asyncio
from collections.abc import Awaitable, Callable

from ringfence_sidecar.cache.answers import Answers
from ringfence_sidecar.cache.port import Fetched
from ringfence_sidecar.cache.shared import Shared
from ringfence_sidecar.cache.values import Values
from ringfence_sidecar.configuration import Agent, CachePolicy, LocalCache, Redis
from ringfence_sidecar.configuration import Values as ValueSettings
from ringfence_sidecar.errors import CallError

MINUTE = CachePolicy(ttl_seconds=60)


class Backend:
    """Answers with the present content, after `seconds`; counts how often it was asked."""

    def __init__(self, content: str = "first", *, seconds: float = 0.0, may_keep: bool = True) -> None:
        self.content = content
        self.seconds = seconds
        self.may_keep = may_keep
        self.asked = 0
        self.error: CallError | None = None
        self.cancelled = 0
        self.before: Callable[[], Awaitable[None]] | None = None

    async def load(self) -> tuple[bytes, bool]:
        """Be asked."""
        self.asked += 1
        said = self.content
        if self.before is not None:
            await self.before()
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return said.encode(), self.may_keep


class Pod:
    """One sidecar's cache."""

    def __init__(self, shared: Shared, *, namespace: str, agent: str, local: LocalCache, shared_as: str) -> None:
        self.shared = shared
        self.answers = Answers(namespace, shared, local=local)
        who = Agent(namespace=namespace, name=agent, uid=f"uid-of-{agent}")
        self.values = Values(who, self.shared, ValueSettings(shared_as=shared_as, max_bytes=1000))

    async def ask(
        self,
        backend: Backend,
        *,
        material: str = "select 1",
        tags: frozenset[str] = frozenset({"DB.S.T"}),
        policy: CachePolicy = MINUTE,
        connector: str = "sales",
        refresh: bool = False,
    ) -> Fetched:
        """Ask as the pipeline does."""
        return await self.answers.fetch(connector, (material,), tags, policy, backend.load, refresh=refresh)


class Pods:
    """Makes them."""

    def __init__(self) -> None:
        self._made: list[Pod] = []

    def pod(
        self,
        redis: Redis | None = None,
        *,
        namespace: str = "team-a",
        agent: str = "bot",
        eviction: str = "LRU",
        max_bytes: int = 1_000_000,
        shared_as: str = "",
        patience: float = 5.0,
    ) -> Pod:
        """Return another pod's cache; patient, where the test is not about a slow Redis: machines are busy."""
        local = LocalCache(eviction=eviction, max_bytes=max_bytes)
        made = Pod(Shared(redis, patience=patience), namespace=namespace, agent=agent, local=local, shared_as=shared_as)
        self._made.append(made)
        return made

    async def close(self) -> None:
        """Close all."""
        for pod in self._made:
            await pod.answers.close()
            await pod.shared.close()
