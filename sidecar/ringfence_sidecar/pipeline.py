"""The one way of every call: identify, policy, quota, cache, breaker, backend, normalise, settle, audit."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace

import structlog

from ringfence_sidecar.answer import Answer, encoded
from ringfence_sidecar.audit.record import Who
from ringfence_sidecar.audit.trail import Trail
from ringfence_sidecar.cache.port import AnswerCache
from ringfence_sidecar.cached import cacheable, read
from ringfence_sidecar.call import Call, Context, Deadline
from ringfence_sidecar.closing import Closing
from ringfence_sidecar.configuration import Agent, Configuration, EndpointHealth
from ringfence_sidecar.connectors.base import Operation, Prepared
from ringfence_sidecar.envelope import Envelope
from ringfence_sidecar.errors import CallError, DeadlineError, HurriedError, InvalidArgumentsError
from ringfence_sidecar.holding import Holding
from ringfence_sidecar.metering import Metering
from ringfence_sidecar.metrics import Figures, Metrics
from ringfence_sidecar.passage import Passage, places
from ringfence_sidecar.pieces import Pieces
from ringfence_sidecar.policy import context_of, identified, judged
from ringfence_sidecar.preparation import Preparation
from ringfence_sidecar.quota import Quota
from ringfence_sidecar.routing import figures
from ringfence_sidecar.routing.bound import Bound
from ringfence_sidecar.routing.registry import Registry
from ringfence_sidecar.settlement import Settlement
from ringfence_sidecar.tracing import Tracer

LONGEST_STREAM_SECONDS = 3600.0
GRACE_SECONDS = 5.0
OWN_SECONDS = 60.0
"""How long a call that needs no connector may wait for a quota."""

log = structlog.get_logger()


class Pipeline:
    """Serves calls, whatever the protocol. Every call leaves one audit line, whatever becomes of it."""

    def __init__(
        self,
        *,
        audit: Trail,
        cache: AnswerCache | None = None,
        pod: str = "",
        quota: Quota | None = None,
        metrics: Metrics | None = None,
        tracer: Tracer | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._cache = cache
        self._audit = audit
        self._tracer = tracer or Tracer()
        self._who = Who(pod=pod)
        self._agent: Agent | None = None
        self._preparation = Preparation()
        self.metrics = metrics or Metrics()
        self._metering = Metering(quota, self.metrics.quotas)
        self._settlement = Settlement(cache, self._metering)
        self._closing = Closing(self._settlement, self.metrics, self._tracer)
        self._holding = Holding(quota, self.metrics.quotas)
        self._registry = Registry(draw=draw, tracer=self._tracer, holding=self._holding)
        self.metrics.read = self._figures

    async def apply(self, configuration: Configuration) -> None:
        """Put a configuration in force. Calls that have begun end as they began."""
        before = set(self._registry.names)
        agent = configuration.agent
        self._metering.apply(configuration.limits)
        self._who = Who(agent.namespace, agent.name, agent.uid, self._who.pod)
        await self._registry.apply(configuration)
        self._agent = agent
        self._closing.finish()
        self.metrics.forget(before - set(self._registry.names))

    def bound(self) -> Mapping[str, tuple[Operation, ...]]:
        """Return the permitted operations of each connector; none, for one that cannot be used."""
        bound = self._registry.bound
        return {name: tuple(bound[name].operations.values()) if name in bound else () for name in self._registry.names}

    def health(self) -> tuple[EndpointHealth, ...]:
        """Return how each endpoint was found, for the operator."""
        return self._registry.health()

    async def close(self, *, grace: float = GRACE_SECONDS) -> None:
        """End: calls that run have `grace` seconds. The audit trail stays, for its owner to close after this."""
        await self._registry.close(grace=grace)
        self._preparation.close()
        await self._settlement.close()
        await self._holding.close()
        self._closing.finish()

    async def run(self, call: Call) -> Envelope:
        """Return the call's envelope; what goes wrong is in it. Only cancellation is raised."""
        passage = Passage(call, self._who)
        try:
            place = await self._audit.reserve()
        except CallError as error:
            return self._unaudited(passage, error)
        try:
            return await self._run(passage)
        except CallError as error:
            return await self._failed(passage, error)
        except asyncio.CancelledError:
            self._settlement.leave(passage)
            raise
        except Exception as error:  # noqa: BLE001 - the one place where what nobody expected becomes an answer
            return await self._broken(passage, error)
        finally:
            self._closing.end(passage, place)

    async def stream(self, call: Call) -> AsyncGenerator[Envelope, None]:
        """Yield an envelope for each piece; an error is the last one. Close the generator to cancel."""
        passage = Passage(call, self._who)
        try:
            place = await self._audit.reserve()
        except CallError as error:
            yield self._unaudited(passage, error)
            return
        try:
            async with aclosing(self._stream(passage)) as pieces:
                async for piece in pieces:
                    yield piece
        except CallError as error:
            yield await self._failed(passage, error)
        except (asyncio.CancelledError, GeneratorExit):
            self._settlement.leave(passage)
            raise
        except Exception as error:  # noqa: BLE001 - as in run
            yield await self._broken(passage, error)
        finally:
            self._closing.end(passage, place)

    async def account(self, call: Call, serve: Callable[[], Awaitable[Envelope]]) -> Envelope:
        """Return the envelope of a call that needs no connector, such as of an agent's own values: it is audited, too.

        `serve` is not called if there is no room for its line, or if no call is left of a quota.
        """
        passage = Passage(call, self._who)
        try:
            place = await self._audit.reserve()
        except CallError as error:
            return self._unaudited(passage, error)
        try:
            await self._metering.begin(passage, Deadline.after(min(call.timeout_seconds or OWN_SECONDS, OWN_SECONDS)))
            envelope = await serve()
            passage.judged(envelope)
            await self._settlement.clear(passage)
            envelope = passage.warn(envelope)
        except CallError as error:
            return await self._failed(passage, error)
        except asyncio.CancelledError:
            self._settlement.leave(passage)
            raise
        except Exception as error:  # noqa: BLE001 - as in run
            return await self._broken(passage, error)
        finally:
            self._closing.end(passage, place)
        return envelope

    async def _run(self, passage: Passage) -> Envelope:
        agent, bound = identified(passage, self._registry, self._agent)
        with bound.in_use():
            context = context_of(passage.call, agent, bound.longest_seconds)
            prepared = await judged(passage, self._registry, bound, context, self._preparation)
            if self._cache is not None and cacheable(bound, prepared):
                await self._metering.begin(passage, context.deadline)
                answer = await read(self._cache, self._load, passage, bound, prepared, context)
                self.metrics.observe_cache(passage.connector, passage.cache.layer if passage.cache else "none")
            else:
                grants = await self._metering.begin(passage, context.deadline, prepared)
                answer, _ = await self._ask(passage, bound, prepared, context.within(grants))
        await self._settlement.clear(passage)
        passage.warnings += self._holding.warnings()
        return passage.served(answer)

    async def _stream(self, passage: Passage) -> AsyncGenerator[Envelope, None]:
        agent, bound = identified(passage, self._registry, self._agent)
        with bound.in_use():
            context = context_of(passage.call, agent, LONGEST_STREAM_SECONDS)
            prepared = await judged(passage, self._registry, bound, context, self._preparation)
            if not prepared.operation.streams:
                raise InvalidArgumentsError(f"{prepared.operation.name} has one answer: call it without streaming")
            pieces = Pieces(self._metering, self._settlement, passage, prepared, context)
            await pieces.begin()
            try:
                async with aclosing(bound.stream(prepared, pieces.context, passage.track)) as outcomes:
                    async for piece in outcomes:
                        await pieces.came(piece)
                        passage.warnings += self._holding.warnings()
                        yield passage.served(encoded(piece))
                        await pieces.went(piece)
            except (DeadlineError, HurriedError) as error:
                raise self._metering.late(error, pieces.context.grants) from None
            passage.ended()
            await self._settlement.clear(passage)

    async def _load(self, passage: Passage, bound: Bound, prepared: Prepared, context: Context) -> tuple[Answer, bool]:
        """Ask the backend because no cache has the answer."""
        if passage.is_answered:
            return await self._revalidate(passage, bound, prepared, context)
        # The cache may go on with it for others when the caller has gone.
        with passage.asks():
            grants = await self._metering.work(passage, prepared, context.deadline)
            return await self._ask(passage, bound, prepared, context.within(grants))

    async def _ask(self, passage: Passage, bound: Bound, prepared: Prepared, context: Context) -> tuple[Answer, bool]:
        try:
            outcome = await bound.serve(prepared, context, passage.track)
        except (DeadlineError, HurriedError) as error:
            raise self._metering.late(error, context.grants) from None
        passage.used = outcome.used
        return encoded(outcome), outcome.cacheable

    async def _revalidate(
        self, answered: Passage, bound: Bound, prepared: Prepared, context: Context
    ) -> tuple[Answer, bool]:
        """Ask for the cache, which has answered the call with something stale: with quota and audit line of its own."""
        passage = answered.again()
        place = await self._audit.reserve()
        mine = replace(context, deadline=Deadline.after(bound.longest_seconds))
        try:
            grants = await self._metering.work(passage, prepared, mine.deadline)
            answer, keep = await self._ask(passage, bound, prepared, mine.within(grants))
            await self._settlement.clear(passage)
            passage.served(answer)
        except CallError as error:
            await self._failed(passage, error)
            raise
        except BaseException:
            self._settlement.leave(passage)
            raise
        finally:
            self._closing.end(passage, place)
        return answer, keep

    async def _failed(self, passage: Passage, error: CallError) -> Envelope:
        self._metering.explain(error)
        # First of all for the audit line: the caller may go away while the call is settled.
        passage.failed(error)
        await self._settlement.clear(passage)
        return passage.failed(error)

    async def _broken(self, passage: Passage, error: Exception) -> Envelope:
        """Answer with the request's id only; the log has where it came from, and never its text."""
        call = passage.call
        log.error(
            "call broken",
            request=call.request_id,
            connector=passage.connector,
            operation=passage.operation,
            error=type(error).__name__,
            places=places(error),
        )
        message = f"something went wrong inside the sidecar; its log has it under request {call.request_id}"
        return await self._failed(passage, CallError(message, outcome_unknown=passage.may_have_written))

    def _unaudited(self, passage: Passage, error: CallError) -> Envelope:
        envelope = passage.failed(error)
        self.metrics.observe("", "", error.status, seconds=passage.seconds, backend=0.0)
        return envelope

    def _figures(self) -> Figures:
        bound = self._registry.bound.values()
        return Figures(figures.of_endpoints(bound), figures.of_kinds(bound), self._audit.queued, self._audit.refused)
