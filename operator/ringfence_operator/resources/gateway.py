"""The objects through which agents reach the egress gateway: a Service for each port set, and NetworkPolicies."""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from ringfence_operator import labels
from ringfence_operator.resources.observed import Service
from ringfence_operator.resources.port_set import (
    DNS,
    DNS_PORT,
    FURTHER,
    HTTP,
    HTTP_PORT,
    MOST_FURTHER,
    PORTS,
    PROXY_PORT,
    TLS,
    TLS_PORT,
    block_name,
    first_port,
)
from ringfence_operator.resources.public import EMBEDDING, NOT_PUBLIC, PUBLIC
from ringfence_operator.resources.reserved import ALWAYS, PRIVATE, exceptions, host_cidr

NAMESPACE_NAME = "kubernetes.io/metadata.name"
SELECTOR = {labels.APP: labels.GATEWAY}
_PLACES = range(FURTHER, FURTHER + MOST_FURTHER)
_USUAL = {DNS_PORT, HTTP_PORT, TLS_PORT, PROXY_PORT}


def closed_cidrs(reserved: Iterable[str]) -> list[str]:
    """Return the CIDRs that nobody is connected to because of a name; `reserved` are the cluster's own."""
    closed = [*ALWAYS, *PRIVATE, *NOT_PUBLIC, *EMBEDDING, "ff00::/8", *reserved]
    return [*exceptions("0.0.0.0/0", closed), *exceptions("::/0", closed)]


def further_offsets(ports: Sequence[int], present: Service | None) -> dict[int, int]:
    """Return the offset of each further port in its block: the ones it has are kept, so that no listener moves.

    Ports beyond the places that there are have none.
    """
    had = _offsets(present) if present else {}
    kept = {port: had[port] for port in ports if port in had}
    free = [offset for offset in _PLACES if offset not in kept.values()]
    new = [port for port in ports if port not in kept]
    return dict(sorted((kept | dict(zip(new, free, strict=False))).items()))


def _offsets(service: Service) -> dict[int, int]:
    """Read where the Service has its further ports; somebody may have edited it, so each place counts once."""
    found: dict[int, int] = {}
    base = first_port(int(service.meta.name.removeprefix("p-")))
    for each in service.ports:
        place = each.target - base if isinstance(each.target, int) else 0
        if each.port not in _USUAL and place in _PLACES and place not in found.values():
            found[each.port] = place
    return found


def build_port_set_service(
    block: int, policy: tuple[str, str], *, namespace: str, further: Mapping[int, int], address: str = ""
) -> dict[str, Any]:
    """Return the Service of a port set; `namespace` is the gateway's, `policy` namespace and name."""
    base = first_port(block)
    ports = [
        _port("dns", DNS_PORT, base + DNS, "UDP"),
        _port("dns-tcp", DNS_PORT, base + DNS),
        _port("http", HTTP_PORT, base + HTTP),
        _port("proxy", PROXY_PORT, base + HTTP),
        _port("tls", TLS_PORT, base + TLS),
        *(_port(f"tls-{port}", port, base + offset) for port, offset in sorted(further.items())),
    ]
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
        "metadata": {"name": block_name(block), "namespace": namespace, "labels": _labels(policy)},
        "spec": spec,
    }


def _port(name: str, port: int, target: int, protocol: str = "TCP") -> dict[str, Any]:
    return {"name": name, "port": port, "targetPort": target, "protocol": protocol}


def _labels(policy: tuple[str, str]) -> dict[str, str]:
    namespace, name = policy
    return {labels.MANAGED_BY: labels.MANAGER, labels.POLICY_NAMESPACE: namespace, labels.POLICY: name}


def port_rules(block: int) -> list[dict[str, Any]]:
    """Return the ports of a block as a NetworkPolicy names them: all that it may have, so that none is added later."""
    base = first_port(block)
    return [
        {"port": base, "protocol": "UDP"},
        {"port": base, "endPort": base + PORTS - 1, "protocol": "TCP"},
    ]


def gateway_peer(namespace: str) -> dict[str, Any]:
    """Return the gateway's pods as a peer of a NetworkPolicy."""
    return {
        "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: namespace}},
        "podSelector": {"matchLabels": SELECTOR},
    }


def admission_name(block: int) -> str:
    """Return the name of the NetworkPolicy that admits agents to a block."""
    return f"{labels.GATEWAY}-{block_name(block)}"


def build_admission(block: int, policy: tuple[str, str], *, namespace: str, is_cluster: bool) -> dict[str, Any]:
    """Return the NetworkPolicy of the gateway's namespace that admits the agents under one policy to its port set.

    A tenant may write NetworkPolicies that open egress from agents; this is the other end, which tenants cannot write.
    """
    of_namespace, name = policy
    peers = [_agents({"matchLabels": {NAMESPACE_NAME: of_namespace}}, labels.POLICY, name)]
    if is_cluster:
        others = {"matchExpressions": [{"key": NAMESPACE_NAME, "operator": "NotIn", "values": [namespace]}]}
        peers.append(_agents(others, labels.CLUSTER_POLICY, name))
    return _network_policy(
        admission_name(block),
        namespace,
        {"policyTypes": ["Ingress"], "ingress": [{"from": peers, "ports": port_rules(block)}]},
        _labels(policy),
    )


def _agents(namespaces: dict[str, Any], label: str, name: str) -> dict[str, Any]:
    return {
        "namespaceSelector": namespaces,
        "podSelector": {"matchLabels": {labels.CONFINED: "true", label: name}},
    }


def build_gateway_egress(
    namespace: str, reserved: Sequence[str], resolvers: Sequence[str], proxy: str | None = None
) -> dict[str, Any]:
    """Return the NetworkPolicy of where the gateway itself may go: everywhere outside, and nowhere inside.

    Exceptions are its name servers (those that the cluster gives it are admitted in deploy/), and an upstream proxy
    that is given by its address.
    """
    closed = closed_cidrs(reserved)
    outside = [_block(cidr, closed) for cidr in PUBLIC]
    egress: list[dict[str, Any]] = [{"to": outside, "ports": [{"port": 1, "endPort": 65535, "protocol": "TCP"}]}]
    if resolvers:
        dns = [{"port": DNS_PORT, "protocol": protocol} for protocol in ("UDP", "TCP")]
        egress.append({"to": [{"ipBlock": {"cidr": host_cidr(each)}} for each in resolvers], "ports": dns})
    peer = _address_of(proxy) if proxy else None
    if peer is not None:
        host, port = peer
        egress.append({"to": [{"ipBlock": {"cidr": host_cidr(host)}}], "ports": [{"port": port, "protocol": "TCP"}]})
    return _network_policy(labels.GATEWAY, namespace, {"policyTypes": ["Egress"], "egress": egress}, {})


def _address_of(proxy: str) -> tuple[str, int] | None:
    """Return address and port of a proxy's URL; None if its host is a name, which no NetworkPolicy can open."""
    parts = urlsplit(proxy)
    try:
        return str(ip_address(parts.hostname or "")), parts.port or 0
    except ValueError:
        return None


def _block(cidr: str, closed: Sequence[str]) -> dict[str, Any]:
    return {"ipBlock": {"cidr": cidr, "except": exceptions(cidr, closed)}}


def _network_policy(name: str, namespace: str, spec: dict[str, Any], marks: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, "labels": {**marks, labels.MANAGED_BY: labels.MANAGER}},
        "spec": {"podSelector": {"matchLabels": SELECTOR}, **spec},
    }
