"""The caches that the configuration in force asks for: answers for the pipeline, values for the agent."""

import asyncio

import msgspec

from ringfence_sidecar.cache.answers import Answers
from ringfence_sidecar.cache.port import Fetched, Load
from ringfence_sidecar.cache.room import Room
from ringfence_sidecar.cache.shared import Shared
from ringfence_sidecar.cache.values import Values
from ringfence_sidecar.configuration import CachePolicy, Configuration
from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.errors import NotConfiguredError


class Kept:
    """An `AnswerCache`, and the agent's values. Each is made anew when what it is made from changes, and only then."""

    def __init__(self, room: Room | None = None) -> None:
        self._room = room or Room()
        self._made_from: dict[str, object] = {}
        self._shared: Shared | None = None
        self._answers: Answers | None = None
        self._values: Values | None = None
        self._loading: asyncio.Task[None] | None = None
        self._retiring: dict[asyncio.Task[None], Answers] = {}

    @property
    def is_reachable(self) -> bool | None:
        """Whether Redis answers; None if there is none."""
        return self._shared.is_reachable if self._shared else None

    @property
    def evicts(self) -> str:
        """The policy by which Redis throws counters away when its memory is full; empty if it does not."""
        return self._shared.evicts if self._shared else ""

    @property
    def answers(self) -> Answers | None:
        """What keeps answers now."""
        return self._answers

    @property
    def values(self) -> Values:
        """Where the agent keeps values of its own. Raises NotConfiguredError."""
        if self._values is None:
            raise _not_configured()
        return self._values

    async def apply(self, configuration: Configuration) -> None:
        """Keep things as a configuration says, from now on; whoever waits for an answer still gets it."""
        agent, place = configuration.agent, (configuration.agent.namespace, configuration.redis)
        self._room.apply(configuration.limits)
        shared, answers = self._shared, self._answers
        if self._changes("shared", place) or shared is None:
            shared = Shared(configuration.redis)
        if self._changes("answers", (place, configuration.local_cache)) or answers is None:
            answers = Answers(agent.namespace, shared, local=configuration.local_cache, room=self._room)
        if self._changes("values", (place, agent.uid, configuration.values)):
            if self._values is not None:
                await self._values.close()
            if self._changes("room", _counted_in(configuration)) or configuration.redis is None:
                self._room.clear()
            self._values = Values(agent, shared, configuration.values, room=self._room, give_way=self._give_way)
            if self._loading is not None:
                self._loading.cancel()
            self._loading = asyncio.create_task(self._values.load())
        if self._answers is not None and self._answers is not answers:
            self._retire(self._answers, self._shared if self._shared is not shared else None)
        answers.statistics.keep(each.name for each in configuration.connectors)
        self._shared, self._answers = shared, answers
        self._give_way()

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
        """Return the answer under `material`, or ask `load`."""
        if self._answers is None:
            raise _not_configured()
        return await self._answers.fetch(connector, material, tags, policy, load, refresh=refresh)

    async def invalidate(self, connector: str, tags: frozenset[str], *, doubt: float = 0.0) -> tuple[Notice, ...]:
        """Let no pod serve what was made from one of `tags` before now, nor `doubt` seconds from now on."""
        return await self._answers.invalidate(connector, tags, doubt=doubt) if self._answers else ()

    async def close(self) -> None:
        """Let go of Redis; whoever still waits for an answer gets none."""
        await self._room.close()
        if self._loading is not None:
            self._loading.cancel()
        for answers in (*self._retiring.values(), *filter(None, (self._answers,))):
            await answers.close()
        await asyncio.gather(*self._retiring)
        if self._values is not None:
            await self._values.close()
        if self._shared is not None:
            await self._shared.close()

    def _changes(self, part: str, made_from: object) -> bool:
        before, self._made_from[part] = self._made_from.get(part), made_from
        return before != made_from

    def _give_way(self) -> None:
        """Have answers take up no more than values leave them."""
        if self._answers is not None:
            self._answers.give_way()

    def _retire(self, answers: Answers, shared: Shared | None) -> None:
        answers.retire()
        task = asyncio.create_task(_end(answers, shared))
        self._retiring[task] = answers
        task.add_done_callback(self._retiring.pop)


def _counted_in(configuration: Configuration) -> object:
    """Return what says which values there are: the server, with whatever credentials, and whose they are."""
    agent, redis = configuration.agent, configuration.redis
    server = redis and msgspec.structs.replace(redis, username="", password="")
    return server, agent.namespace, agent.uid, configuration.values.shared_as


async def _end(answers: Answers, shared: Shared | None) -> None:
    await answers.landed()
    if shared is not None:
        await shared.close()


def _not_configured() -> NotConfiguredError:
    return NotConfiguredError("the sidecar has never had its configuration from the operator", retry_after=1.0)
