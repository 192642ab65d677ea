"""Which connectors an agent is bound to, which Secrets are theirs, and where they can be reached."""

from collections.abc import Iterable
from dataclasses import dataclass

from ringfence_operator import labels
from ringfence_operator.api.agent import Agent
from ringfence_operator.api.agent_pool import PoolTemplate
from ringfence_operator.api.connector import Connector
from ringfence_operator.api.connector_auth import Auth
from ringfence_operator.reconcile.connector_index import BY_CONNECTOR, BY_SECRET, index_by_backend
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.connector_network import Redis, Sink
from ringfence_operator.resources.observed import Service
from ringfence_operator.resources.selector import selects
from ringfence_operator.resources.sidecar import Sidecar

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Bindings:
    """The connectors that an agent names."""

    bound: tuple[Connector, ...] = ()
    """Those that are there and permit the agent, by name."""
    missing: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    """Those whose selector does not match."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the connectors that it may use."""
        return tuple(each.metadata.name for each in self.bound)


def bindings(agent: Agent, view: View) -> Bindings:
    """Return what becomes of the connectors that `agent` names."""
    bound, missing, refused = [], [], []
    for name in sorted(ref.name for ref in agent.spec.connectors):
        found = view.connectors.get(agent.metadata.namespace, name)
        if found is None or found.metadata.deletion_timestamp is not None:
            missing.append(name)
        elif permits(found, agent.metadata.labels):
            bound.append(found)
        else:
            refused.append(name)
    return Bindings(tuple(bound), tuple(missing), tuple(refused))


def pool_bindings(template: PoolTemplate, namespace: str, view: View) -> Bindings:
    """Return the connectors that the pods of a pool have a sidecar for; whom each permits, an agent's bindings say."""
    bound, missing = [], []
    for name in sorted(ref.name for ref in template.connectors):
        found = view.connectors.get(namespace, name)
        if found is None or found.metadata.deletion_timestamp is not None:
            missing.append(name)
        else:
            bound.append(found)
    return Bindings(tuple(bound), tuple(missing))


def permits(connector: Connector, labels_of_agent: dict[str, str]) -> bool:
    """Return True if an Agent with these labels may use the connector."""
    return selects(connector.spec.agent_selector.to_body(), labels_of_agent)


def count_users(connector: Connector, view: View) -> int:
    """Return how many agents name the connector and may use it."""
    selector = connector.spec.agent_selector.to_body()
    records = (view.agents.get(*key) for key in view.agents.keys_by(BY_CONNECTOR, connector.key))
    return sum(1 for record in records if record and selects(selector, record.labels))


def reserved_secret(namespace: str, secrets: Iterable[str], view: View) -> tuple[str, str] | None:
    """Return the first of `secrets` that a Connector of `namespace` uses, and the name of that Connector."""
    for secret in secrets:
        for key in sorted(view.connectors.keys_by(BY_SECRET, (namespace, secret))):
            return secret, key[1]
    return None


def services_of(connector: Connector, view: View) -> dict[Key, Service]:
    """Return the Services that the connector's endpoints name and that can be reached; never the operator's own."""
    found = {}
    for key in named_services(connector):
        service = view.services.get(*key)
        if service and service.address and service.selector and key[0] != view.settings.namespace:
            found[key] = service
    return found


def named_services(connector: Connector) -> list[Key]:
    """Return the Services that the connector's endpoints name."""
    return list(index_by_backend(connector))


def has_outside(connector: Connector) -> bool:
    """Return True if an endpoint lies outside the cluster, or the server that its tokens come from."""
    auth = connector.auth
    has_client = isinstance(auth, Auth) and auth.oauth_client_credentials is not None
    return has_client or any(each.host for each in connector.endpoints)


def redis_of(view: View) -> Redis:
    """Return where the shared cache is, as the settings say."""
    settings = view.settings
    named = settings.redis_service
    service = view.services.get(*named.split("/", 1)) if named else None
    return Redis(service if service and service.selector else None, settings.redis_cidrs, settings.redis_ports)


def collector_of(view: View) -> Sink | None:
    """Return where sidecars send traces and audit lines, as the settings say."""
    return _sink(view, view.settings.collector_service, view.settings.collector_port)


def stream_of(view: View) -> Sink | None:
    """Return the broker whose stream sidecars send audit lines to, as the settings say."""
    return _sink(view, view.settings.audit_stream_service, view.settings.audit_stream_port)


def sinks_of(view: View) -> tuple[Sink, ...]:
    """Return both, as far as they are there."""
    return tuple(each for each in (collector_of(view), stream_of(view)) if each is not None)


def _sink(view: View, named: str | None, port: int) -> Sink | None:
    service = view.services.get(*named.split("/", 1)) if named else None
    if service is None or not service.address or not service.selector:
        return None
    return Sink(service, port)


def control_address(view: View) -> str:
    """Return the address of the control server's Service, or nothing."""
    service = view.services.get(view.settings.namespace, labels.CONTROL)
    return service.address if service else ""


def sidecar_of(found: Bindings, view: View, *, has_call_limits: bool = False) -> Sidecar | None:
    """Return what the agent's sidecar is made from; None while something of it is missing.

    So it is without connectors, unless `has_call_limits`: a quota holds that sidecars keep.
    """
    image, control = view.settings.sidecar_image, control_address(view)
    if not (found.bound or has_call_limits) or found.missing or found.refused or not image or not control:
        return None
    collector = collector_of(view)
    return Sidecar(
        image,
        control,
        found.bound,
        _url_of(collector) if collector else "",
        # Whether its Service is there or not: rather no call than one whose line is nowhere.
        has_stream=view.settings.audit_stream_service is not None,
    )


def _url_of(collector: Sink) -> str:
    address = collector.service.address
    return f"http://{f'[{address}]' if ':' in address else address}:{collector.port}"
