"""What a Connector's status says: a pure function of what was found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ringfence_operator.api.conditions import (
    Condition,
    ConditionType,
    Reason,
    Status,
    find_condition,
    remove_condition,
    set_condition,
)
from ringfence_operator.api.connector import Connector, ConnectorStatus, EndpointStatus, WorkloadIdentityStatus
from ringfence_operator.api.security_policy import GatewayStatus
from ringfence_operator.reconcile.gateway import Force, Standing, explain
from ringfence_operator.reconcile.sidecars import ConnectorHealth, EndpointHealth
from ringfence_operator.resources.sidecar_configuration import Way, secret_keys

_FACTOR, _MILLISECONDS = 2, 5
"""A latency is told anew when it is so many times what was told, and so much more or less."""
_TEXT = 1024
STALLED = timedelta(minutes=10)
"""After so long without a sidecar that reaches it, a connector is not waited for any longer: as long as Kubernetes
waits for a Deployment (`progressDeadlineSeconds`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a pass over a connector found."""

    agents: int = 0
    health: ConnectorHealth = field(default_factory=ConnectorHealth)
    missing_services: tuple[str, ...] = ()
    lacks_secret: bool = False
    """Whether an agent waits for the connector's Secret."""
    refusal: tuple[Reason, str] | None = None
    """Why its endpoints outside cannot be reached, where only somebody's change helps."""
    way: Way | None = None
    standing: Standing | None = None
    """Where its port set stands; None without one."""
    identity: WorkloadIdentityStatus | None = None
    ill_since: datetime | None = None
    """Since when no sidecar has reached an endpoint, as far as this replica has seen it; None if one does."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    ready: Status
    reason: Reason
    message: str
    is_stalled: bool = False


def connector_status(connector: Connector, found: Found, *, now: datetime) -> ConnectorStatus:
    """Return the status of a connector."""
    before = {each.name: each for each in connector.status.endpoints}
    names = [each.name for each in connector.endpoints]
    endpoints = tuple(_endpoint(name, found.health.endpoints, before.get(name)) for name in names)
    verdict = _verdict(connector, found, endpoints)
    if verdict.reason is Reason.ENDPOINTS_UNHEALTHY:
        verdict = replace(verdict, is_stalled=_has_waited_enough(connector, found, now))
    return ConnectorStatus(
        observed_generation=connector.metadata.generation,
        conditions=_conditions(connector, verdict, found.health, now),
        kind=connector.backend_kind,
        agents=found.agents,
        endpoints=endpoints,
        healthy_endpoints=f"{sum(map(_is_healthy, endpoints))}/{len(endpoints)}",
        gateway=GatewayStatus(service=found.way.service, address=found.way.address) if found.way else None,
        workload_identity=found.identity,
    )


def is_out_of_reach(health: ConnectorHealth) -> bool:
    """Return True if sidecars report, and none of them reaches any endpoint."""
    seen = health.endpoints.values()
    return any(each.unhealthy for each in seen) and not any(each.healthy for each in seen)


def _has_waited_enough(connector: Connector, found: Found, now: datetime) -> bool:
    """What was told of this spec stands: a replica that begins to lead has seen nothing of how long it was so."""
    stalled = find_condition(connector.status.conditions, ConditionType.STALLED)
    is_told = stalled is not None and stalled.reason == Reason.ENDPOINTS_UNHEALTHY
    if is_told and connector.status.observed_generation == connector.metadata.generation:
        return True
    return found.ill_since is not None and now - found.ill_since >= STALLED


def _endpoint(name: str, health: Mapping[str, EndpointHealth], before: EndpointStatus | None) -> EndpointStatus:
    seen = health.get(name, EndpointHealth())
    reason = seen.reason if seen.unhealthy else ""
    is_told = before is not None and before.reason == reason
    return EndpointStatus(
        name=name,
        healthy=seen.healthy,
        unhealthy=seen.unhealthy,
        latency_ms=_latency(seen, before),
        reason=reason[:253],
        # Backends word the same a little differently each time.
        message=before.message if before and is_told else seen.message[:_TEXT] if reason else "",
    )


def _latency(seen: EndpointHealth, before: EndpointStatus | None) -> int:
    """Return the latency to tell: the one that was told, unless it is quite another now."""
    if not seen.healthy:
        return 0
    fresh = max(1, round(seen.latency_ms))
    told = before.latency_ms if before else 0
    is_near = told and told / _FACTOR <= fresh <= told * _FACTOR
    return told if told and (is_near or abs(fresh - told) <= _MILLISECONDS) else fresh


def _is_healthy(endpoint: EndpointStatus) -> bool:
    return endpoint.healthy > 0 and not endpoint.unhealthy


def _verdict(connector: Connector, found: Found, endpoints: tuple[EndpointStatus, ...]) -> _Verdict:
    if found.refusal:
        return _Verdict(Status.FALSE, *found.refusal, is_stalled=True)
    if found.missing_services:
        names = ", ".join(found.missing_services)
        message = f"Service {names} does not exist or has no address or selector: create it, or correct endpoints"
        return _Verdict(Status.FALSE, Reason.SERVICE_NOT_FOUND, message)
    if found.standing and found.standing.force is not Force.IN_FORCE:
        return _Verdict(Status.FALSE, *explain(found.standing), is_stalled=found.standing.force is Force.REFUSED)
    if not found.agents:
        return _Verdict(Status.TRUE, Reason.NO_AGENTS, "no agent uses it, so nobody has looked at its endpoints")
    has_report = any(each.healthy or each.unhealthy for each in endpoints)
    if found.lacks_secret and not has_report:
        keys = " and ".join(secret_keys(connector))
        message = (
            f"Secret {connector.secret} does not exist in the namespace, and agents wait for it: create it with {keys}"
        )
        return _Verdict(Status.FALSE, Reason.SECRET_NOT_FOUND, message)
    return _by_health(endpoints, has_report=has_report)


def _by_health(endpoints: tuple[EndpointStatus, ...], *, has_report: bool) -> _Verdict:
    if not has_report:
        message = "no sidecar has reported yet; see the agents' pods, whose sidecars may be starting"
        return _Verdict(Status.UNKNOWN, Reason.HEALTH_UNKNOWN, message)
    ill = [each for each in endpoints if not _is_healthy(each)]
    if not ill:
        return _Verdict(Status.TRUE, Reason.ENDPOINTS_HEALTHY, "every sidecar reaches every endpoint")
    message = "; ".join(_explain(each) for each in ill)
    if any(each.healthy for each in endpoints):
        return _Verdict(Status.TRUE, Reason.SOME_ENDPOINTS_UNHEALTHY, message)
    return _Verdict(Status.FALSE, Reason.ENDPOINTS_UNHEALTHY, message)


def _explain(endpoint: EndpointStatus) -> str:
    if not endpoint.unhealthy:
        return f"{endpoint.name}: no sidecar has reported of it"
    # Without the number of sidecars: it changes with every agent that comes or goes.
    return f"{endpoint.name}: {endpoint.reason}: {endpoint.message}"


def _conditions(
    connector: Connector, verdict: _Verdict, health: ConnectorHealth, now: datetime
) -> tuple[Condition, ...]:
    conditions: tuple[Condition, ...] = connector.status.conditions
    is_moving = verdict.ready is not Status.TRUE and not verdict.is_stalled
    said = (verdict.reason, verdict.message)
    for kind, status, reason, message in (
        (ConditionType.READY, verdict.ready, *said),
        (ConditionType.RECONCILING, is_moving or None, *said),
        (ConditionType.STALLED, verdict.is_stalled or None, *said),
        (ConditionType.CACHE_REACHABLE, health.cache_reachable, *_cache(health)),
    ):
        if status is None:
            conditions = remove_condition(conditions, kind)
        else:
            generation = connector.metadata.generation
            conditions = set_condition(conditions, kind, status, reason, message, now=now, generation=generation)
    return conditions


def _cache(health: ConnectorHealth) -> tuple[Reason, str]:
    if health.cache_reachable and health.cache_evicts:
        message = (
            f"Redis may throw away the counters that answers are judged by: its maxmemory-policy is "
            f"{health.cache_evicts}; set volatile-lru, or noeviction where Quotas count there"
        )
        return Reason.REDIS_EVICTS, message
    if health.cache_reachable:
        return Reason.REDIS_REACHED, "every sidecar reaches the shared cache"
    message = "a sidecar does not reach Redis: it keeps answers in its own memory alone until Redis is back"
    return Reason.REDIS_UNREACHABLE, message


def words(conditions: Iterable[Condition]) -> list[tuple[str, str, str]]:
    """Return what conditions say, without how they word it."""
    return [(each.type, each.status, each.reason) for each in conditions]
