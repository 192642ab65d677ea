"""The objects of a connector's port set on the egress gateway: its Service, and who is admitted to it."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

from ringfence_operator import labels
from ringfence_operator.api.connector import Connector
from ringfence_operator.api.rabbitmq import RabbitMQ
from ringfence_operator.api.snowflake import Snowflake
from ringfence_operator.resources.gateway import NAMESPACE_NAME, SELECTOR, admission_name, port_rules
from ringfence_operator.resources.observed import Service
from ringfence_operator.resources.port_set import (
    FURTHER,
    HTTP,
    MOST_FURTHER,
    PORTS,
    PROXY_PORT,
    TLS_PORT,
    Domain,
    block_name,
    first_port,
)
from ringfence_operator.resources.sidecar_configuration import default_port

Place = tuple[str, int]
"""Host and port of an endpoint outside the cluster."""


def tunnels_of(connector: Connector) -> tuple[Domain, ...]:
    """Return the names that the connector's sidecars may CONNECT to, each with its port; none for RabbitMQ."""
    backend = connector.backend
    if isinstance(backend, RabbitMQ):
        return ()
    names = {(each.host, default_port(each)) for each in backend.endpoints if each.host}
    if names and isinstance(backend, Snowflake):
        names |= {(host, TLS_PORT) for host in backend.storage_hosts}
    client = backend.auth.oauth_client_credentials if backend.auth else None
    if client:
        names.add((client.token_host, TLS_PORT))
    return tuple(Domain(host, (port,)) for host, port in sorted(names))


def further_of(tunnels: Iterable[Domain]) -> dict[int, int]:
    """Return the offset of each port besides 443 that there are tunnels to; ports beyond the places have none."""
    ports = sorted({port for each in tunnels for port in each.ports} - {TLS_PORT})
    return dict(zip(ports, range(FURTHER, FURTHER + MOST_FURTHER), strict=False))


def listeners_of(connector: Connector) -> dict[str, Place]:
    """Return the endpoints that get a TCP listener, by name, and where each leads to."""
    backend = connector.backend
    if not isinstance(backend, RabbitMQ):
        return {}
    return {each.name: (each.host, default_port(each)) for each in backend.endpoints if each.host}


def offsets_of(places: Iterable[Place], present: Service | None) -> dict[Place, int]:
    """Return the offset of each place in its block: the ones it has are kept, so that none leads elsewhere later."""
    had = {each.name: each.port - _base(present) for each in present.ports} if present else {}
    wanted = sorted(set(places))
    kept = {place: had[port_name(place)] for place in wanted if had.get(port_name(place)) in range(PORTS)}
    free = [offset for offset in range(PORTS) if offset not in kept.values()]
    new = [place for place in wanted if place not in kept]
    return kept | dict(zip(new, free, strict=False))


def port_name(place: Place) -> str:
    """Return the name of the Service's port that leads to a place."""
    return f"t-{blake2b(f'{place[0]}:{place[1]}'.encode(), digest_size=6).hexdigest()}"


def _base(service: Service) -> int:
    return first_port(int(service.meta.name.removeprefix("p-")))


def build_connector_service(
    block: int,
    connector: tuple[str, str],
    *,
    namespace: str,
    offsets: Mapping[Place, int],
    has_proxy: bool,
    address: str = "",
) -> dict[str, Any]:
    """Return the Service of a connector's port set; `namespace` is the gateway's, `connector` namespace and name."""
    base = first_port(block)
    ports = [_port("proxy", PROXY_PORT, base + HTTP)] if has_proxy else []
    ports += [_port(port_name(place), base + at, base + at) for place, at in sorted(offsets.items(), key=_by_offset)]
    spec: dict[str, Any] = {
        "type": "ClusterIP",
        "ipFamilyPolicy": "SingleStack",
        "selector": SELECTOR,
        "ports": ports,
    }
    if address:
        spec["clusterIP"] = address
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": block_name(block), "namespace": namespace, "labels": _labels(connector)},
        "spec": spec,
    }


def build_connector_admission(block: int, connector: tuple[str, str], *, namespace: str) -> dict[str, Any]:
    """Return the NetworkPolicy of the gateway's namespace that admits the pods whose sidecar has the connector."""
    of_namespace, name = connector
    peer = {
        "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: of_namespace}},
        "podSelector": {"matchLabels": {labels.CONFINED: "true", f"{labels.CONNECTORS}{name}": "true"}},
    }
    spec = {"policyTypes": ["Ingress"], "ingress": [{"from": [peer], "ports": port_rules(block)}]}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": admission_name(block), "namespace": namespace, "labels": _labels(connector)},
        "spec": {"podSelector": {"matchLabels": SELECTOR}, **spec},
    }


def _port(name: str, port: int, target: int) -> dict[str, Any]:
    return {"name": name, "port": port, "targetPort": target, "protocol": "TCP"}


def _by_offset(item: tuple[Place, int]) -> int:
    return item[1]


def _labels(connector: tuple[str, str]) -> dict[str, str]:
    namespace, name = connector
    return {labels.MANAGED_BY: labels.MANAGER, labels.CONNECTOR_NAMESPACE: namespace, labels.CONNECTOR: name}
