"""The endpoints that one call tries, one after the other."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ringfence_sidecar.call import Deadline
from ringfence_sidecar.connectors.base import Effect, Prepared
from ringfence_sidecar.errors import BackendLostError, UnavailableError, UnknownError
from ringfence_sidecar.routing.retry import Budget, backoff
from ringfence_sidecar.routing.route import Route
from ringfence_sidecar.routing.selection import in_order
from ringfence_sidecar.routing.session import EndpointLeftError

ROUNDS = 3
"""How often a call goes round all endpoints; it waits between rounds, and not between endpoints."""

PROBE_SECONDS = 1.5
"""How long a call waits for a probe of the only endpoints that there are: as long as a breaker is first open,"""
PROBE_TICK_SECONDS = 0.01
"""and how often it looks."""


@dataclass(slots=True)
class Track:
    """What a call has done to backends so far, for quota, cache and audit; also if it is cancelled."""

    endpoint: str = ""
    attempts: int = 0
    sent: bool = False
    """True once a backend may have seen the call."""
    seconds: float = 0.0
    """Spent in backends."""


def may_be_tried_elsewhere(effect: Effect, error: BackendLostError) -> bool:
    """Return True unless trying again could do twice what must be done once."""
    return effect is not Effect.WRITE or not error.outcome_unknown


class Plan:
    """Retries of one call: within its deadline, its effect and its connector's budget."""

    def __init__(
        self,
        routes: Sequence[Route],
        prepared: Prepared,
        deadline: Deadline,
        *,
        budget: Budget,
        draw: Callable[[], float],
    ) -> None:
        self._routes = {route.endpoint.name: route for route in routes}
        self._prepared = prepared
        self._deadline = deadline
        self._budget = budget
        self._draw = draw
        self._lost: BackendLostError | None = None
        self._round = 0
        self._is_free = False
        self._waited = 0.0
        self._queue: list[Route] = []
        self._last_resort = False
        if prepared.endpoint is not None and prepared.endpoint not in self._routes:
            raise UnknownError(f"endpoint {prepared.endpoint} is no longer part of the connector: its handles are gone")

    async def next(self) -> tuple[Route, int]:
        """Return where to try next, and its breaker's permit. Raises the last error when there is no more."""
        while True:
            while self._queue:
                route = self._queue.pop(0)
                permit = route.breaker.begin(last_resort=self._last_resort)
                if permit is None:
                    continue
                if self._lost is not None and not self._is_free and not self._budget.withdraw():
                    route.breaker.abandon(permit)
                    raise self._lost
                return route, permit
            await self._next_round()
            self._queue = self._candidates()

    def lose(self, error: BackendLostError) -> None:
        """Say that an attempt was lost. Raises the error if the call must not be tried again."""
        if not may_be_tried_elsewhere(self._prepared.effect, error):
            error.is_retryable = False
            raise error
        self._lost = error
        # Who has only waited has cost the endpoint nothing: it is no retry.
        self._is_free = isinstance(error, EndpointLeftError)

    def _candidates(self) -> list[Route]:
        pinned = self._prepared.endpoint
        if pinned is not None:
            return [self._routes[pinned]]
        if len(self._routes) == 1:
            self._last_resort = True
            return list(self._routes.values())
        ordered = [
            self._routes[each.name] for each in in_order((r.endpoint for r in self._routes.values()), self._draw)
        ]
        open_ones = [route for route in ordered if route.breaker.is_permitting()]
        if not open_ones:
            # Slow is better than nothing.
            self._last_resort = True
            return ordered
        # What the monitor found ill may have come back since: it is tried when nothing else is left.
        return sorted(open_ones, key=lambda route: not route.finding.healthy)

    async def _next_round(self) -> None:
        """Wait for what may make another round worth it; raise the last error if nothing will."""
        seconds = 0.0
        if self._lost is not None:
            seconds = backoff(self._round, self._draw)
        elif self._round:
            # Nothing was tried: but a probe that is under way, or soon due, may close a breaker any moment.
            if self._waited + self._next_probe() > PROBE_SECONDS:
                raise self._closed()
            self._round -= 1
            self._waited += PROBE_TICK_SECONDS
            seconds = PROBE_TICK_SECONDS
        if self._round >= ROUNDS or seconds >= self._deadline.remaining:
            raise self._lost or self._closed()
        self._round += 1
        if seconds:
            await asyncio.sleep(seconds)

    def _next_probe(self) -> float:
        """Return the seconds until an endpoint may be probed; 0 while one is."""
        return min((route.breaker.opens_in for route in self._routes.values()), default=PROBE_SECONDS)

    def _closed(self) -> UnavailableError:
        return UnavailableError(
            "no endpoint of the connector is available: each has failed lately; ask again later",
            retry_after=round(max(0.1, self._next_probe()), 2),
        )
