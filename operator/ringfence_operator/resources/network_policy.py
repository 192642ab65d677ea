"""NetworkPolicies: one closes every agent pod of a namespace, and one for each SecurityPolicy opens what that names.

None is per agent, so a new agent costs no NetworkPolicy write.
"""

from collections.abc import Sequence
from typing import Any

from ringfence_operator import labels
from ringfence_operator.api.network import CidrDestination, Destination, Ingress, IngressSource, NetworkPort
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.resources.reserved import exceptions, is_reserved

NAMESPACE_NAME = "kubernetes.io/metadata.name"


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


def build_network_policy(
    policy: SecurityPolicy, *, namespace: str, is_cluster: bool, closed_namespace: str, reserved: Sequence[str]
) -> dict[str, Any]:
    """Return the NetworkPolicy that opens in `namespace` what `policy` names, and nothing else.

    `closed_namespace` is the operator's, which no selector covers; `reserved` are CIDRs that no ipBlock covers.
    """
    label = labels.CLUSTER_POLICY if is_cluster else labels.POLICY
    spec: dict[str, Any] = {"podSelector": {"matchLabels": {labels.CONFINED: "true", label: policy.metadata.name}}}
    network = policy.spec.network
    if network.enabled:
        egress = [_destination(each, namespace, closed_namespace) for each in network.destinations]
        egress += [rule for each in network.cidrs if (rule := _cidr(each, reserved))]
        ingress = [rule for each in network.ingress if (rule := _ingress(each, namespace, closed_namespace, reserved))]
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


def _destination(each: Destination, home: str, closed_namespace: str) -> dict[str, Any]:
    return {"to": [_selectors(each, home, closed_namespace)], **_ports(each.ports)}


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
