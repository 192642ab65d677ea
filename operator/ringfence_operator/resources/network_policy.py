"""NetworkPolicies: one closes every agent pod of a namespace, and one for each SecurityPolicy opens what that names.

None is per agent, so a new agent costs no NetworkPolicy write.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ringfence_operator import labels
from ringfence_operator.api.network import CidrDestination, Destination, Ingress, IngressSource, NetworkPort
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.resources.gateway import NAMESPACE_NAME, gateway_peer, port_rules
from ringfence_operator.resources.observed import Service
from ringfence_operator.resources.reserved import exceptions, is_reserved


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What of the cluster a policy's NetworkPolicy depends on."""

    closed_namespace: str
    """The operator's and the gateway's, which no selector covers."""
    reserved: Sequence[str]
    """CIDRs that no ipBlock covers."""
    block: int | None = None
    """The policy's port set."""
    services: Mapping[tuple[str, str], Service] = field(default_factory=dict)
    """The Services that the policy names and that exist."""


def policy_name(policy: str, *, is_cluster: bool) -> str:
    """Return the name of the NetworkPolicy that carries out a SecurityPolicy."""
    return f"ringfence-{'cluster' if is_cluster else 'policy'}-{policy}"


def _network_policy(namespace: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, "labels": {labels.MANAGED_BY: labels.MANAGER}},
        "spec": {**spec, "policyTypes": ["Ingress", "Egress"]},
    }


def build_default_deny(namespace: str) -> dict[str, Any]:
    """Return the NetworkPolicy that closes every confined pod of `namespace` in both directions."""
    selector = {"matchLabels": {labels.CONFINED: "true"}}
    return _network_policy(namespace, labels.DEFAULT_DENY, {"podSelector": selector})


def build_network_policy(policy: SecurityPolicy, *, namespace: str, is_cluster: bool, around: Around) -> dict[str, Any]:
    """Return the NetworkPolicy that opens in `namespace` what `policy` names, and nothing else."""
    label = labels.CLUSTER_POLICY if is_cluster else labels.POLICY
    spec: dict[str, Any] = {"podSelector": {"matchLabels": {labels.CONFINED: "true", label: policy.metadata.name}}}
    network = policy.spec.network
    if network.enabled:
        egress = [rule for each in network.destinations if (rule := _destination(each, policy, namespace, around))]
        egress += [rule for each in network.cidrs if (rule := _cidr(each, around.reserved))]
        if around.block is not None:
            egress.append({"to": [gateway_peer(around.closed_namespace)], "ports": port_rules(around.block)})
        ingress = [
            rule
            for each in network.ingress
            if (rule := _ingress(each, namespace, around.closed_namespace, around.reserved))
        ]
        spec |= {name: rules for name, rules in (("egress", egress), ("ingress", ingress)) if rules}
    return _network_policy(namespace, policy_name(policy.metadata.name, is_cluster=is_cluster), spec)


def _ports(ports: Sequence[NetworkPort]) -> dict[str, Any]:
    if not ports:
        return {}
    found = []
    for each in ports:
        port: dict[str, Any] = {"port": each.port, "protocol": each.protocol}
        if each.end_port is not None:
            port["endPort"] = each.end_port
        found.append(port)
    return {"ports": found}


def _selectors(peer: Destination | IngressSource, home: str, closed_namespace: str) -> dict[str, Any]:
    """A namespace selector never covers the operator's own namespace, whatever it says."""
    result: dict[str, Any] = {}
    if peer.pod_selector is not None:
        result["podSelector"] = peer.pod_selector.to_body()
    if peer.namespace_selector is not None:
        selector = peer.namespace_selector.to_body()
        closed = {"key": NAMESPACE_NAME, "operator": "NotIn", "values": [closed_namespace]}
        selector["matchExpressions"] = [*selector.get("matchExpressions", []), closed]
        result["namespaceSelector"] = selector
    elif home == closed_namespace:
        result["namespaceSelector"] = {"matchExpressions": [{"key": NAMESPACE_NAME, "operator": "DoesNotExist"}]}
    return result


def _destination(each: Destination, policy: SecurityPolicy, home: str, around: Around) -> dict[str, Any] | None:
    if each.service is None:
        return {"to": [_selectors(each, home, around.closed_namespace)], **_ports(each.ports)}
    key = (each.service.namespace or policy.metadata.namespace, each.service.name)
    service = around.services.get(key)
    return _behind(service, key[0]) if service else None


def _behind(service: Service, namespace: str) -> dict[str, Any]:
    """The pods that a Service sends to, on the ports that it sends to."""
    peer = {
        "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: namespace}},
        "podSelector": {"matchLabels": dict(service.selector)},
    }
    return {"to": [peer], "ports": [{"port": each.target, "protocol": each.protocol} for each in service.ports]}


def _ip_block(cidr: str, given: Sequence[str], reserved: Sequence[str]) -> dict[str, Any] | None:
    """Return the block without what stays closed, or None if nothing of it is left."""
    excepted = exceptions(cidr, [*given, *reserved])
    if is_reserved(cidr, [*excepted, *reserved]):
        return None
    return {"ipBlock": {"cidr": cidr, **({"except": excepted} if excepted else {})}}


def _cidr(each: CidrDestination, reserved: Sequence[str]) -> dict[str, Any] | None:
    block = _ip_block(each.cidr, each.except_, reserved)
    return {"to": [block], **_ports(each.ports)} if block else None


def _ingress(rule: Ingress, home: str, closed_namespace: str, reserved: Sequence[str]) -> dict[str, Any] | None:
    sources = []
    for peer in rule.from_:
        if peer.cidr is None:
            sources.append(_selectors(peer, home, closed_namespace))
        elif block := _ip_block(peer.cidr, peer.except_, reserved):
            sources.append(block)
    # A rule without sources would mean everybody.
    return {"from": sources, **_ports(rule.ports)} if sources else None
