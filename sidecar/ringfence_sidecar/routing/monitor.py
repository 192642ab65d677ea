"""Looks at an endpoint again and again.

Its first look opens the first session: the pool is warm before a call comes.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog

from ringfence_sidecar.call import Deadline
from ringfence_sidecar.configuration import HealthCheck
from ringfence_sidecar.connectors.base import Connector
from ringfence_sidecar.errors import BackendLostError, CallError, DeadlineError, LimitedError
from ringfence_sidecar.routing.breaker import Verdict
from ringfence_sidecar.routing.route import Finding, Route
from ringfence_sidecar.routing.session import connect, disconnect

LONGEST_IDLE_SECONDS = 300.0
ILL_SHARE = 0.2
"""How much of the interval passes between looks at an endpoint that is ill."""
SURELY_DEAD = 2
"""Looks in a row after which calls at work there are made elsewhere: once, it may have been the check."""
WORK = "health check"

log = structlog.get_logger()


class Monitor:
    """The health of one endpoint."""

    def __init__(self, connector: Connector[Any], route: Route, policy: HealthCheck, draw: Callable[[], float]) -> None:
        self._connector = connector
        self._route = route
        self._policy = policy
        self._draw = draw
        self._served = 0
        self._deaths = 0

    async def run(self) -> None:
        """Look until cancelled, at intervals with some jitter; more often while the endpoint is ill."""
        while True:
            await self.look()
            seconds = self._policy.interval_seconds * (0.9 + 0.2 * self._draw())
            await asyncio.sleep(seconds if self._route.finding.healthy else seconds * ILL_SHARE)

    async def look(self) -> None:
        """Look once: the finding goes to the route, and to its breaker."""
        before = self._route.finding
        started = time.monotonic()
        self._route.sessions.sweep(LONGEST_IDLE_SECONDS)
        try:
            async with asyncio.timeout(self._policy.timeout_seconds):
                if not await self._check():
                    return
        except TimeoutError:
            self._missed("TimedOut", f"no answer within {self._policy.timeout_seconds:g} s", dead=True)
        except LimitedError:
            return  # nothing was learnt: quotas leave no connection to look with
        except CallError as error:
            self._missed(error.reason, error.message, dead=isinstance(error, BackendLostError | DeadlineError))
        except Exception as error:  # noqa: BLE001 - a third party's check must not end the watch
            self._missed("CheckFailed", f"the health check failed ({type(error).__name__})", dead=False)
        else:
            self._deaths = 0
            self._route.finding = Finding(latency=time.monotonic() - started, reason="Healthy")
        if before.healthy is not self._route.finding.healthy:
            log.info(
                "endpoint health changed",
                connector=self._connector.configuration.name,
                endpoint=self._route.endpoint.name,
                healthy=self._route.finding.healthy,
                reason=self._route.finding.reason,
            )

    async def _check(self) -> bool:
        """Return False if every session is at work, so that nothing could be learnt."""
        try:
            seconds = await self._ask()
        except BackendLostError:
            # A session may have died of old age: that says nothing of the endpoint until a new one fails, too.
            self._route.sessions.doubt()
            seconds = await self._ask()
        if seconds is None:
            return False
        breaker = self._route.breaker
        breaker.revive()
        permit = breaker.begin()
        if permit is not None:
            breaker.record(permit, Verdict.SERVED, WORK, seconds)
        return True

    async def _ask(self) -> float | None:
        sessions = self._route.sessions
        deadline = Deadline.after(self._policy.timeout_seconds)
        served, self._served = self._served, self._route.tally.served
        held = await sessions.acquire_for_check(deadline)
        if held is None:
            # All are at work: that is health enough while calls come back, and else they may all hang.
            return None if self._served > served else await self._ask_apart(deadline)
        started = time.monotonic()
        broken = True
        try:
            await self._connector.health_check(held.session)
            broken = False
        finally:
            sessions.release(held, broken=broken)
        return time.monotonic() - started

    async def _ask_apart(self, deadline: Deadline) -> float:
        session = await connect(self._connector, self._route.endpoint, deadline)
        started = time.monotonic()
        try:
            await self._connector.health_check(session)
        finally:
            await disconnect(self._connector, session)
        return time.monotonic() - started

    def _missed(self, reason: str, message: str, *, dead: bool) -> None:
        self._route.finding = Finding(healthy=False, reason=reason, message=message)
        if dead:
            self._deaths += 1
            self._route.breaker.trip()
            if self._deaths >= SURELY_DEAD:
                self._route.leave()
