"""What metrics say of endpoints."""

from collections.abc import Iterable

import structlog

from ringfence_sidecar.metrics import EndpointFigures
from ringfence_sidecar.routing.bound import Bound
from ringfence_sidecar.routing.route import Route

log = structlog.get_logger()


def of_endpoints(connectors: Iterable[Bound]) -> tuple[EndpointFigures, ...]:
    """Return each endpoint's figures."""
    return tuple(_figures(bound.configuration.name, route) for bound in connectors for route in bound.routes)


def of_kinds(connectors: Iterable[Bound]) -> tuple[tuple[str, str, float], ...]:
    """Return the kinds' own gauges: connector, name, value."""
    return tuple((bound.configuration.name, name, value) for bound in connectors for name, value in _own(bound).items())


def _own(bound: Bound) -> dict[str, float]:
    try:
        return dict(bound.connector.metrics())
    except Exception as error:  # noqa: BLE001 - a third party's gauges must not cost all the others
        log.warning("no gauges", connector=bound.configuration.name, error=type(error).__name__)
        return {}


def _figures(connector: str, route: Route) -> EndpointFigures:
    in_use, idle = route.sessions.count()
    return EndpointFigures(
        connector=connector,
        endpoint=route.endpoint.name,
        healthy=route.finding.healthy,
        check_seconds=route.finding.latency,
        breaker=route.breaker.state,
        served=route.tally.served,
        lost=route.tally.lost,
        backend_seconds=route.tally.seconds,
        sessions_in_use=in_use,
        sessions_idle=idle,
    )
