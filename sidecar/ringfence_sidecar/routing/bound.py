"""A connector as bound to the agent: its operations, and the ways to its endpoints."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from ringfence_sidecar.call import Context
from ringfence_sidecar.configuration import Connector as Configuration
from ringfence_sidecar.configuration import EndpointHealth
from ringfence_sidecar.connectors.base import Connector, Effect, Operation, Outcome, Prepared
from ringfence_sidecar.errors import BackendLostError, DeadlineError
from ringfence_sidecar.routing.attempt import Attempt
from ringfence_sidecar.routing.credentials import fingerprint
from ringfence_sidecar.routing.monitor import Monitor
from ringfence_sidecar.routing.plan import Plan, Track
from ringfence_sidecar.routing.retry import Budget
from ringfence_sidecar.routing.route import Route
from ringfence_sidecar.routing.session import LONGEST_RETIREMENT_SECONDS, RETIREMENT_TICK_SECONDS
from ringfence_sidecar.tracing import Tracer, child

CONCURRENCY = 64
"""Calls at once, where `limits.concurrency` says nothing."""
TIMEOUT_SECONDS = 60.0
"""The longest call, where `limits.timeoutSeconds` says nothing."""
CREDENTIALS_SECONDS = 1.0
"""How often the Secret's files are looked at."""
DRAIN_SECONDS = 60.0


class Bound:
    """Serves prepared calls. Start it once; retire it once."""

    def __init__(self, connector: Connector[Any], *, draw: Callable[[], float], tracer: Tracer) -> None:
        limits = connector.configuration.limits
        concurrency = int(limits.get("concurrency") or CONCURRENCY)
        self.connector = connector
        self.operations: dict[str, Operation] = {each.name: each for each in connector.operations()}
        self.longest_seconds = float(limits.get("timeoutSeconds") or TIMEOUT_SECONDS)
        is_only = len(connector.configuration.endpoints) == 1
        self.routes = tuple(
            Route(connector, endpoint, draw=draw, concurrency=concurrency, is_only=is_only)
            for endpoint in connector.configuration.endpoints
        )
        self._draw = draw
        self._tracer = tracer
        self._budget = Budget()
        self._calls = asyncio.Semaphore(concurrency)
        self._streams = asyncio.Semaphore(concurrency)
        self._tasks: list[asyncio.Task[None]] = []
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.lingers = False
        """Whether, once it retires, a session stays open for a while as long as something lives on it."""

    @property
    def configuration(self) -> Configuration:
        """What the operator said."""
        return self.connector.configuration

    def start(self) -> None:
        """Look after the endpoints from now on."""
        policy = self.configuration.health_check
        monitors = [Monitor(self.connector, route, policy, self._draw) for route in self.routes]
        self._tasks = [asyncio.create_task(monitor.run()) for monitor in monitors]
        if fingerprint(self.configuration.auth):
            self._tasks.append(asyncio.create_task(self._watch_credentials()))

    def health(self) -> tuple[EndpointHealth, ...]:
        """Return how each endpoint was found."""
        return tuple(route.health() for route in self.routes)

    async def serve(self, prepared: Prepared, context: Context, track: Track) -> Outcome:
        """Return the backend's answer: of the first endpoint that has one, within the deadline.

        Raises CallError; `outcome_unknown` is set where a write may have been done.
        """
        with self.in_use():
            try:
                async with asyncio.timeout(context.deadline.remaining), self._calls:
                    return await self._serve(prepared, context, track)
            except TimeoutError:
                raise late(prepared, track) from None

    async def stream(self, prepared: Prepared, context: Context, track: Track) -> AsyncGenerator[Outcome, None]:
        """Yield the answer's pieces, within the deadline. Another endpoint is tried only before the first.

        Raises CallError, also if as many others stream as may until the deadline, or for as long as a call may take.
        """
        plan = self._plan(prepared, context)
        begun = False
        with self.in_use():
            async with self._streaming(context):
                while True:
                    route, permit = await plan.next()
                    try:
                        async with aclosing(self._pieces(route, permit, prepared, context, track)) as pieces:
                            async for piece in pieces:
                                begun = True
                                yield piece
                    except BackendLostError as error:
                        if begun:
                            raise
                        plan.lose(error)
                    else:
                        return

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Have `retire` wait for the block: what has been judged by this connector is served by it."""
        self._running += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    def hurry(self) -> None:
        """Have `retire` wait for no call any longer."""
        self._idle.set()

    async def retire(self) -> None:
        """End: no new call comes; those that run are waited for, within a bound. Then every session is closed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(DRAIN_SECONDS, self.longest_seconds)):
                await self._idle.wait()
        latest = asyncio.get_running_loop().time() + LONGEST_RETIREMENT_SECONDS
        # No kind says when the last thing has ended that lives on a session.
        while self._has_reason_to_linger() and asyncio.get_running_loop().time() < latest:  # noqa: ASYNC110 - as above
            await asyncio.sleep(RETIREMENT_TICK_SECONDS)
        await asyncio.gather(*(route.sessions.close() for route in self.routes))

    def _has_reason_to_linger(self) -> bool:
        return self.lingers and any(route.sessions.is_busy for route in self.routes)

    async def _serve(self, prepared: Prepared, context: Context, track: Track) -> Outcome:
        plan = self._plan(prepared, context)
        while True:
            route, permit = await plan.next()
            mine = replace(context, trace=child(context.trace))
            try:
                async with self._attempt(route, permit, prepared, mine, track) as attempt:
                    attempt.may_be_given_up()
                    return await self.connector.execute(attempt.session, prepared, mine)
            except BackendLostError as error:
                plan.lose(error)

    async def _pieces(
        self, route: Route, permit: int, prepared: Prepared, context: Context, track: Track
    ) -> AsyncGenerator[Outcome, None]:
        mine = replace(context, trace=child(context.trace))
        async with self._attempt(route, permit, prepared, mine, track) as attempt:
            pieces = self.connector.stream(attempt.session, prepared, mine)
            try:
                while True:
                    try:
                        # Around each piece, not around all: a timeout must not strike while the caller has the turn.
                        async with asyncio.timeout(context.deadline.remaining):
                            piece = await anext(pieces)
                    except StopAsyncIteration:
                        return
                    except TimeoutError:
                        raise late(prepared, track) from None
                    yield piece
            finally:
                if isinstance(pieces, AsyncGenerator):
                    await pieces.aclose()

    def _plan(self, prepared: Prepared, context: Context) -> Plan:
        self._budget.deposit()
        return Plan(self.routes, prepared, context.deadline, budget=self._budget, draw=self._draw)

    def _attempt(self, route: Route, permit: int, prepared: Prepared, context: Context, track: Track) -> Attempt:
        return Attempt(route, permit, prepared=prepared, context=context, track=track, tracer=self._tracer)

    @contextlib.asynccontextmanager
    async def _streaming(self, context: Context) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(min(context.deadline.remaining, self.longest_seconds)):
                await self._streams.acquire()
        except TimeoutError:
            raise DeadlineError("as many streams as may be are open: end one, or ask without streaming") from None
        try:
            yield
        finally:
            self._streams.release()

    async def _watch_credentials(self) -> None:
        seen = fingerprint(self.configuration.auth)
        while True:
            await asyncio.sleep(CREDENTIALS_SECONDS)
            now = fingerprint(self.configuration.auth)
            if now != seen:
                seen = now
                for route in self.routes:
                    route.sessions.renew()


def late(prepared: Prepared, track: Track) -> DeadlineError:
    """Return the error of a call whose deadline passed, wherever it was."""
    if track.sent and prepared.effect is Effect.WRITE:
        return DeadlineError(
            "the call's deadline passed, and the backend may have done it all the same: look before asking again",
            outcome_unknown=True,
            retryable=False,
        )
    return DeadlineError("the call's deadline passed: give a longer timeoutSeconds, or ask for less")
