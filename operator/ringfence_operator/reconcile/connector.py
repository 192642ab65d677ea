"""One pass over a Connector: its way out, its NetworkPolicy, then its status."""

from dataclasses import dataclass, field
from datetime import datetime

import orjson

from ringfence_operator.api.conditions import ConditionType, Reason, find_condition
from ringfence_operator.api.connector import Connector, ConnectorStatus
from ringfence_operator.errors import NotFoundError
from ringfence_operator.reconcile.binding import count_users, has_outside, named_services, services_of
from ringfence_operator.reconcile.connector_index import BY_CONNECTOR
from ringfence_operator.reconcile.connector_status import STALLED, Found, connector_status, is_out_of_reach, words
from ringfence_operator.reconcile.gateway import SETTLE_SECONDS, Force
from ringfence_operator.reconcile.issuer import Issuer, identity_of, workload_identity
from ringfence_operator.reconcile.network import Networks
from ringfence_operator.reconcile.port_set import PortSetsFullError
from ringfence_operator.reconcile.ports import Kube
from ringfence_operator.reconcile.report import report
from ringfence_operator.reconcile.sidecars import ConnectorHealth, Sidecars, Ways
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.connector_network import connector_policy_name
from ringfence_operator.resources.record import AgentRecord
from ringfence_operator.resources.sidecar_configuration import Way

FIGURES_SECONDS = 30.0
"""How long figures may wait to be told that change nothing of what holds: agents come and go, latencies vary."""
FULL_SECONDS = 30.0
"""How soon it is looked again whether there is a port set by now; that costs no write."""
UNKNOWN_SECONDS = 30.0
"""How soon it is looked again why no sidecar reports; that costs no write."""

_SETTLING: dict[str, float] = {
    Reason.HEALTH_UNKNOWN: UNKNOWN_SECONDS,
    Reason.GATEWAY_PENDING: SETTLE_SECONDS,
    Reason.GATEWAY_UNAVAILABLE: SETTLE_SECONDS,
}
"""For how long what a moment may well change is not told: a sidecar reports when it polls, which it does when it has
started, and then twice a minute."""


@dataclass(frozen=True, slots=True)
class ConnectorTools:
    """What a pass over a connector works with."""

    view: View
    kube: Kube
    networks: Networks
    issuer: Issuer
    sidecars: Sidecars | None = None
    told: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """When a connector's figures were last written, or first seen."""
    waiting: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """Since when a status waits that a moment may change."""
    ill: dict[tuple[str, str], tuple[int, datetime]] = field(default_factory=dict)
    """By connector, which generation of it no sidecar reaches, and since when."""

    @property
    def ways(self) -> Ways | None:
        """The connectors' ways out; None without an egress gateway."""
        return self.networks.sidecars.ways


async def reconcile_connector(connector: Connector, tools: ConnectorTools, *, now: datetime) -> float | None:
    """Have in force what `connector` opens, then report. Safe to run at any time, any number of times."""
    if connector.metadata.deletion_timestamp is not None:
        return None
    way, refusal = await _keep_way(connector, tools)
    await tools.networks.sidecars.open(connector)
    identity = workload_identity(connector, await tools.issuer.current(now)) if identity_of(connector) else None
    view = tools.view
    there = services_of(connector, view)
    has_standing = way is not None and tools.ways is not None
    health = _health(connector, tools)
    found = Found(
        agents=count_users(connector, view),
        health=health,
        ill_since=_ill_since(connector, health, tools, now),
        lacks_secret=_lacks_secret(connector, view),
        missing_services=tuple("/".join(key) for key in named_services(connector) if key not in there),
        refusal=refusal,
        way=way,
        standing=tools.ways.standing(connector.key, view.gateway_replicas()) if has_standing and tools.ways else None,
        identity=identity,
    )
    status = connector_status(connector, found, now=now)
    again = await _report(connector, status, tools, now=now)
    ready = find_condition(status.conditions, ConditionType.READY)
    if ready and ready.reason == Reason.HEALTH_UNKNOWN:
        again = min(again or UNKNOWN_SECONDS, UNKNOWN_SECONDS)
    if found.standing and found.standing.force is not Force.IN_FORCE:
        again = min(again or SETTLE_SECONDS, SETTLE_SECONDS)
    if refusal and refusal[0] is Reason.NO_PORT_SET:
        again = min(again or FULL_SECONDS, FULL_SECONDS)
    if found.ill_since and now - found.ill_since < STALLED:
        left = (STALLED - (now - found.ill_since)).total_seconds()
        again = min(again or left, left)
    return again


def _ill_since(connector: Connector, health: ConnectorHealth, tools: ConnectorTools, now: datetime) -> datetime | None:
    if not is_out_of_reach(health):
        tools.ill.pop(connector.key, None)
        return None
    generation, since = tools.ill.get(connector.key, (0, now))
    if generation != connector.metadata.generation:
        since = now
    tools.ill[connector.key] = connector.metadata.generation, since
    return since


def _lacks_secret(connector: Connector, view: View) -> bool:
    """Return True if an agent waits for the connector's Secret, by what the kubelet says of its pod.

    The operator reads no Secrets, and may not.
    """
    if not connector.secret:
        return False
    return any(
        record is not None and _waits_for(record, connector.secret)
        for record in (view.agents.get(*key) for key in view.agents.keys_by(BY_CONNECTOR, connector.key))
    )


def _waits_for(record: AgentRecord, secret: str) -> bool:
    if Reason.CONFIG_NOT_FOUND.encode() not in record.body:
        return False
    conditions = orjson.loads(record.body)["status"].get("conditions", ())
    return any(
        each["type"] == ConditionType.READY
        and each["reason"] == Reason.CONFIG_NOT_FOUND
        and f'secret "{secret}" not found' in each["message"]
        for each in conditions
    )


async def remove_connector(namespace: str, name: str, tools: ConnectorTools) -> float | None:
    """Close what a deleted connector had opened. Returns the seconds after which to look again."""
    tools.told.pop((namespace, name), None)
    tools.waiting.pop((namespace, name), None)
    tools.ill.pop((namespace, name), None)
    await tools.networks.remove(namespace, connector_policy_name(name))
    return await tools.ways.release((namespace, name)) if tools.ways else None


async def _keep_way(connector: Connector, tools: ConnectorTools) -> tuple[Way | None, tuple[Reason, str] | None]:
    """Have the connector's port set; return why its endpoints outside have none, if they cannot."""
    if tools.ways is not None:
        try:
            return await tools.ways.keep(connector), None
        except PortSetsFullError as error:
            return None, (Reason.NO_PORT_SET, str(error))
    if not has_outside(connector):
        return None, None
    if tools.view.has_cilium:
        message = "a host outside the cluster is reached through the egress gateway, which Cilium takes the place of"
        return None, (Reason.NOT_SUPPORTED_BY_BACKEND, f"{message}: write a service instead of a host")
    message = "a host outside the cluster needs the egress gateway"
    return None, (Reason.NO_GATEWAY, f"{message}: start the operator with RINGFENCE_OPERATOR_EGRESS_BACKEND=envoy")


def _health(connector: Connector, tools: ConnectorTools) -> ConnectorHealth:
    if tools.sidecars is None:
        return ConnectorHealth()
    return tools.sidecars.health(connector.key, connector.metadata.generation)


async def _report(
    connector: Connector, status: ConnectorStatus, tools: ConnectorTools, *, now: datetime
) -> float | None:
    if status == connector.status:
        tools.waiting.pop(connector.key, None)
        return None
    wait = _seconds_to_wait(connector, status, tools, now)
    if wait > 0:
        return wait
    try:
        answer = await report(connector, status, kube=tools.kube, now=now)
    except NotFoundError:
        return None
    tools.view.connectors.store(answer, wakes=False)
    tools.waiting.pop(connector.key, None)
    tools.told[connector.key] = now
    return None


def _seconds_to_wait(connector: Connector, status: ConnectorStatus, tools: ConnectorTools, now: datetime) -> float:
    """Return how long a status can wait that a moment may change, or that tells of figures alone."""
    key, before = connector.key, connector.status
    ready = find_condition(status.conditions, ConditionType.READY)
    if ready and ready.reason in _SETTLING:
        return _SETTLING[ready.reason] - (now - tools.waiting.setdefault(key, now)).total_seconds()
    tools.waiting.pop(key, None)
    is_news = (
        words(before.conditions) != words(status.conditions)
        or (before.observed_generation, before.gateway) != (status.observed_generation, status.gateway)
        or before.workload_identity != status.workload_identity
    )
    # A new leader has heard of few sidecars yet: what its predecessor told stands meanwhile.
    told = tools.told.setdefault(key, now)
    return 0.0 if is_news else FIGURES_SECONDS - (now - told).total_seconds()
