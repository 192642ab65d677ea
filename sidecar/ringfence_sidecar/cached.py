"""The pipeline's cache step: what may be kept is asked for once, for all who want it."""

import asyncio
from collections.abc import Awaitable, Callable

from ringfence_sidecar.answer import FORMAT, Answer, pack, unpack
from ringfence_sidecar.cache.port import AnswerCache, Fetched
from ringfence_sidecar.call import Context
from ringfence_sidecar.connectors.base import Cacheable, Effect, Prepared
from ringfence_sidecar.passage import Passage
from ringfence_sidecar.routing.bound import Bound, late

Ask = Callable[[Passage, Bound, Prepared, Context], Awaitable[tuple[Answer, bool]]]
"""Asks the backend: returns the answer, and whether it may be kept."""

_SLACK_SECONDS = 0.05
"""How much later the cache's wait ends than the backend's: the one that knows more speaks first."""


def cacheable(bound: Bound, prepared: Prepared) -> Cacheable | None:
    """Return what makes the answer, if it may be kept."""
    if not bound.connector.caches or bound.configuration.cache.ttl_seconds <= 0:
        return None
    return prepared.cache if prepared.effect is Effect.READ else None


def tags_of(bound: Bound, tags: frozenset[str]) -> frozenset[str]:
    """Return the tags as the cache has them: those of one kind never mean another's."""
    return frozenset(f"{bound.configuration.kind}/{tag}" for tag in tags)


async def read(  # noqa: PLR0917 - the pipeline's state, in the order in which it came to be
    cache: AnswerCache, ask: Ask, passage: Passage, bound: Bound, prepared: Prepared, context: Context
) -> Answer:
    """Return the answer that is kept, or the backend's. Raises what `ask` raises."""
    mine: list[Answer] = []

    async def load() -> tuple[bytes, bool]:
        answer, keep = await ask(passage, bound, prepared, context)
        mine[:] = [answer]
        return pack(answer), keep

    try:
        fetched = await _fetched(cache, load, passage, bound, prepared, context)
    finally:
        passage.is_answered = True
    passage.cache = fetched.info
    passage.warnings += fetched.warnings
    if mine and not fetched.info.hit:
        return mine[0]
    return unpack(fetched.body)


async def _fetched(  # noqa: PLR0917 - as read
    cache: AnswerCache,
    load: Callable[[], Awaitable[tuple[bytes, bool]]],
    passage: Passage,
    bound: Bound,
    prepared: Prepared,
    context: Context,
) -> Fetched:
    kept = prepared.cache
    assert kept is not None  # noqa: S101 - cacheable
    configuration = bound.configuration
    whose = (FORMAT, context.agent.namespace, configuration.uid, str(configuration.generation), configuration.kind)
    try:
        async with asyncio.timeout(context.deadline.remaining + _SLACK_SECONDS):
            return await cache.fetch(
                configuration.name,
                (*whose, prepared.operation.name, *kept.material),
                tags_of(bound, kept.tags),
                configuration.cache,
                load,
                refresh=passage.call.no_cache,
            )
    except TimeoutError:
        raise late(prepared, passage.track) from None
