"""One endpoint of a bound connector: its sessions, its breaker, how it was found."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ringfence_sidecar.configuration import Endpoint, EndpointHealth
from ringfence_sidecar.connectors.base import Connector
from ringfence_sidecar.routing.breaker import Breaker
from ringfence_sidecar.routing.pool import Pool
from ringfence_sidecar.routing.session import Sessions
from ringfence_sidecar.routing.shared import Shared


@dataclass(slots=True)
class Tally:
    """What has become of the attempts at an endpoint since its connector was bound."""

    served: int = 0
    lost: int = 0
    seconds: float = 0.0
    """In the backend, of the attempts that it served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the last look at an endpoint found. Until there has been one, it counts as well."""

    healthy: bool = True
    latency: float = 0.0
    """Seconds."""
    reason: str = "NotChecked"
    message: str = ""


class Attempt(Protocol):
    """An attempt at an endpoint."""

    def give_up(self) -> None:
        """End it as one whose endpoint was lost."""


class Route:
    """The way to one endpoint."""

    def __init__(
        self,
        connector: Connector[Any],
        endpoint: Endpoint,
        *,
        draw: Callable[[], float],
        concurrency: int,
        is_only: bool,
    ) -> None:
        self.endpoint = endpoint
        self.breaker = Breaker(time.monotonic, draw, on_dead=self._leave_queue)
        self.sessions: Sessions[Any] = (
            Shared(connector, endpoint)
            if connector.shared
            else Pool(connector, endpoint, size=max(1, min(connector.sessions, concurrency)))
        )
        self.finding = Finding()
        self.tally = Tally()
        self.at_work: set[Attempt] = set()
        """Attempts that may be made elsewhere, too."""
        self._is_only = is_only
        self._connector = connector

    def leave(self) -> None:
        """Have attempts at work here made elsewhere: they would only wait for their deadline."""
        if not self._is_only:
            for attempt in list(self.at_work):
                attempt.give_up()

    def _leave_queue(self) -> None:
        self.sessions.disperse()

    def health(self) -> EndpointHealth:
        """Return what the operator is told."""
        configuration = self._connector.configuration
        return EndpointHealth(
            connector=configuration.name,
            generation=configuration.generation,
            endpoint=self.endpoint.name,
            healthy=self.finding.healthy,
            latency_ms=round(self.finding.latency * 1000, 1),
            reason=self.finding.reason,
            message=self.finding.message,
        )
