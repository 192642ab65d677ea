"""NetworkPolicies of pods with sidecars: one for each Connector, and one in each namespace for what all need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ringfence_operator import labels
from ringfence_operator.api.connector import Connector
from ringfence_operator.api.sidecar import HEALTH_PORT
from ringfence_operator.resources.gateway import NAMESPACE_NAME, gateway_peer, port_rules
from ringfence_operator.resources.observed import Service
from ringfence_operator.resources.sidecar import CONTROL_PORT

SCRAPES_METRICS = "ringfence.dev/scrapes-metrics"
"""On namespaces, `true` where Prometheus may come from."""


@dataclass(frozen=True, slots=True)
class Redis:
    """Where the shared cache is: a Service with its namespace, or addresses with ports."""

    service: Service | None
    cidrs: Sequence[str]
    ports: Sequence[int]


def connector_policy_name(connector: str) -> str:
    """Return the name of the NetworkPolicy that carries out a Connector."""
    return f"{labels.CONNECTOR_POLICY_PREFIX}{connector}"


def build_connector_policy(
    connector: Connector,
    *,
    services: Mapping[tuple[str, str], Service],
    block: int | None,
    gateway_namespace: str,
) -> dict[str, Any]:
    """Return the NetworkPolicy that opens the connector's destinations to the pods that carry its label.

    `services` are those that its endpoints name and that can be reached, `block` is its port set on the gateway.
    """
    meta = connector.metadata
    egress = []
    for endpoint in connector.endpoints:
        if endpoint.service:
            key = (endpoint.service.namespace or meta.namespace, endpoint.service.name)
            found = services.get(key)
            egress += _behind(found, endpoint.service.port) if found else []
    if block is not None:
        egress.append({"to": [gateway_peer(gateway_namespace)], "ports": port_rules(block)})
    selector = {labels.CONFINED: "true", f"{labels.CONNECTORS}{meta.name}": "true"}
    rules: dict[str, Any] = {"egress": egress} if egress else {}
    return _policy(meta.namespace, connector_policy_name(meta.name), selector, {**rules, "policyTypes": ["Egress"]})


@dataclass(frozen=True, slots=True)
class Sink:
    """Where traces and audit lines go: a Service, and its port."""

    service: Service
    port: int


def build_sidecars_policy(
    namespace: str, *, operator_namespace: str, redis: Redis, sinks: Sequence[Sink] = ()
) -> dict[str, Any]:
    """Return the NetworkPolicy of what every sidecar in `namespace` may reach, and who may ask it for metrics."""
    egress = [_to_control(operator_namespace)]
    if redis.service:
        egress += _behind(redis.service, None)
    if redis.cidrs:
        blocks = [{"ipBlock": {"cidr": each}} for each in redis.cidrs]
        egress.append({"to": blocks, "ports": [{"port": each, "protocol": "TCP"} for each in redis.ports]})
    for sink in sinks:
        egress += _behind(sink.service, sink.port)
    scrapers = {"namespaceSelector": {"matchLabels": {SCRAPES_METRICS: "true"}}}
    ingress = [{"from": [scrapers], "ports": [{"port": HEALTH_PORT, "protocol": "TCP"}]}]
    selector = {labels.CONFINED: "true", labels.SIDECAR: "true"}
    rules = {"egress": egress, "ingress": ingress, "policyTypes": ["Ingress", "Egress"]}
    return _policy(namespace, labels.SIDECARS, selector, rules)


def build_starters_policy(namespace: str, *, operator_namespace: str) -> dict[str, Any]:
    """Return the NetworkPolicy of what every starter in `namespace` may reach; nobody reaches it."""
    selector = {labels.CONFINED: "true", labels.STARTER: "true"}
    rules = {"egress": [_to_control(operator_namespace)], "policyTypes": ["Egress"]}
    return _policy(namespace, labels.STARTERS, selector, rules)


def _to_control(operator_namespace: str) -> dict[str, Any]:
    control = {
        "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: operator_namespace}},
        "podSelector": {"matchLabels": {labels.APP: labels.OPERATOR}},
    }
    return {"to": [control], "ports": [{"port": CONTROL_PORT, "protocol": "TCP"}]}


def _behind(service: Service, port: int | None) -> list[dict[str, Any]]:
    """The pods that a Service sends to, on the ports that it sends the named one to; without one, on all of its."""
    ports = [
        {"port": each.target, "protocol": each.protocol}
        for each in service.ports
        if port is None or (each.port == port and each.protocol == "TCP")
    ]
    peer = {
        "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: service.meta.namespace}},
        "podSelector": {"matchLabels": dict(service.selector)},
    }
    return [{"to": [peer], "ports": ports}] if ports else []


def _policy(namespace: str, name: str, selector: Mapping[str, str], rules: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, "labels": {labels.MANAGED_BY: labels.MANAGER}},
        "spec": {"podSelector": {"matchLabels": dict(selector)}, **rules},
    }
