"""The caches that the configuration in force asks for: answers for the pipeline, values for the agent."""

from collections.abc import Iterable

from ringfence_sidecar.cache.answers import Answers
from ringfence_sidecar.cache.port import Fetched, Load
from ringfence_sidecar.cache.room import Room
from ringfence_sidecar.cache.shared import Shared
from ringfence_sidecar.cache.values import Values
from ringfence_sidecar.configuration import CachePolicy, Configuration
from ringfence_sidecar.envelope import Notice
from ringfence_sidecar.errors import NotConfiguredError


class Kept:
    """An `AnswerCache`, made anew when what it is made from changes; a changed connector alone keeps it."""

    def __init__(self, room: Room | None = None) -> None:
        self._room = room or Room()
        self._made_from: object = None
        self._values_from: object = None
        self._shared: Shared | None = None
        self._answers: Answers | None = None
        self._values: Values | None = None

    @property
    def is_reachable(self) -> bool | None:
        """Whether Redis answers; None if there is none."""
        return self._shared.is_reachable if self._shared else None

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
        """Keep things as a configuration says, from now on."""
        agent = configuration.agent
        self._room.apply(configuration.limits)
        wanted = (agent.namespace, agent.uid, configuration.redis, configuration.local_cache, configuration.values)
        if wanted == self._made_from:
            if self._answers is not None:
                self._answers.give_way()
            return
        values_from = (agent.namespace, agent.uid, configuration.redis, configuration.values)
        if values_from != self._values_from:
            self._room.clear()
            self._values_from = values_from
        before = self._answers, self._shared
        self._shared = Shared(configuration.redis)
        self._answers = answers = Answers(
            agent.namespace, self._shared, local=configuration.local_cache, room=self._room
        )
        self._room.keeps_answers(0)
        self._values = Values(agent, self._shared, configuration.values, room=self._room, give_way=answers.give_way)
        self._made_from = wanted
        await _close(before)

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

    async def invalidate(self, connector: str, tags: frozenset[str]) -> tuple[Notice, ...]:
        """Let no pod serve what was made from one of `tags` before now."""
        return await self._answers.invalidate(connector, tags) if self._answers else ()

    async def close(self) -> None:
        """Let go of Redis."""
        await self._room.close()
        await _close((self._answers, self._shared))


async def _close(made: Iterable[Answers | Shared | None]) -> None:
    for each in made:
        if each is not None:
            await each.close()


def _not_configured() -> NotConfiguredError:
    return NotConfiguredError("the sidecar has never had its configuration from the operator", retry_after=1.0)
