"""The second egress back end: what a SecurityPolicy opens by name, as a CiliumNetworkPolicy (cilium.io/v2).

It stands beside the policy's NetworkPolicy, which opens the rest. What it says needs Cilium 1.19: from there on `**.`
stands for one or more labels in DNS rules and toFQDNs, as in serverNames; before, for one label only.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ringfence_operator import labels
from ringfence_operator.api.network import CidrDestination, NetworkMode, NetworkProtocol
from ringfence_operator.api.security_policy import SecurityPolicy
from ringfence_operator.resources.domains import allowed_domains
from ringfence_operator.resources.gateway import closed_cidrs
from ringfence_operator.resources.network_policy import policy_name
from ringfence_operator.resources.observed import Meta, Service, digest
from ringfence_operator.resources.port_set import DNS_PORT, HTTP_PORT, Domain
from ringfence_operator.resources.reserved import exceptions, is_reserved, remainder

API_VERSION = "cilium.io/v2"
NAMESPACE_LABEL = "k8s:io.kubernetes.pod.namespace"
MOST_PORTS = 40
"""As many as Cilium takes in one place."""
_MAPPED = "::ffff:0:0/96"
"""IPv4 addresses in IPv6's form: Cilium and the kernel take them for what they are, so no packet carries one."""
_LABELS = r"([-a-z0-9_]+\.)+"


@dataclass(frozen=True, slots=True, kw_only=True)
class CiliumAround:
    """What of the cluster a policy's CiliumNetworkPolicy depends on."""

    dns_namespace: str
    dns: Service
    """The Service of the cluster's DNS."""
    cluster_domain: str
    reserved: Sequence[str]
    """The cluster's own CIDRs, which no name opens."""
    services: Iterable[tuple[str, str]] = ()
    """Namespace and name of each Service that the policy names and that exists."""


@dataclass(frozen=True, slots=True)
class CiliumPolicy:
    """A CiliumNetworkPolicy as it was seen."""

    meta: Meta
    is_ours: bool
    digest: str
    refusal: str
    """What Cilium says against it, or nothing."""


def cilium_digest(raw: Mapping[str, Any]) -> str:
    """Return the digest of all that a CiliumNetworkPolicy says: `specs` would open more beside `spec`."""
    return digest([raw.get("spec"), raw.get("specs")])


def observe_cilium_policy(raw: Mapping[str, Any]) -> CiliumPolicy:
    """Read a CiliumNetworkPolicy."""
    meta = raw["metadata"]
    is_named = meta["name"].startswith(labels.NETWORK_POLICY_PREFIXES)
    is_ours = is_named and meta.get("labels", {}).get(labels.MANAGED_BY) == labels.MANAGER
    conditions = raw.get("status", {}).get("conditions", ())
    invalid = [each for each in conditions if each["type"] == "Valid" and each["status"] == "False"]
    refusal = invalid[0].get("message", "")[:1024] or "it is not valid" if is_ours and invalid else ""
    return CiliumPolicy(Meta.of(raw), is_ours, cilium_digest(raw) if is_ours else "", refusal)


def unsupported(policy: SecurityPolicy) -> str:
    """Return what of `policy` Cilium cannot say and what to write instead, or nothing."""
    network = policy.spec.network
    if not network.enabled:
        return ""
    if network.mode is NetworkMode.AUDIT:
        return (
            "mode Audit: Cilium cannot let every name through and report it: write mode: Enforce with allowedDomains, "
            "or start the operator with --egress-backend=envoy"
        )
    if network.blocked_domains:
        names = ", ".join(each.name for each in network.blocked_domains[:5])
        return (
            f"blockedDomains ({names}): Cilium cannot deny by name: leave it out and write, instead of the wildcard "
            "that covers these, each name that is needed under allowedDomains, or start the operator with "
            "--egress-backend=envoy"
        )
    return ""


def build_cilium_network_policy(
    policy: SecurityPolicy, *, namespace: str, is_cluster: bool, around: CiliumAround
) -> dict[str, Any] | None:
    """Return the CiliumNetworkPolicy that opens in `namespace` the names of `policy`, or None if it opens none.

    Raises ValueError for a policy of which something is unsupported.
    """
    problem = unsupported(policy)
    if problem:
        raise ValueError(problem)
    network = policy.spec.network
    domains = allowed_domains(policy) if network.enabled else ()
    services = sorted(around.services) if network.enabled else []
    if not domains and not services:
        return None
    label = labels.CLUSTER_POLICY if is_cluster else labels.POLICY
    selected = {labels.CONFINED: "true", label: policy.metadata.name}
    spec: dict[str, Any] = {
        "endpointSelector": {"matchLabels": {f"k8s:{key}": value for key, value in selected.items()}},
        "egress": [_dns(domains, services, around), *map(_opening, domains)],
    }
    closed = _closed(domains, network.cidrs, around.reserved)
    if closed:
        spec["egressDeny"] = closed
    return {
        "apiVersion": API_VERSION,
        "kind": "CiliumNetworkPolicy",
        "metadata": {
            "name": policy_name(policy.metadata.name, is_cluster=is_cluster),
            "namespace": namespace,
            "labels": {labels.MANAGED_BY: labels.MANAGER},
        },
        "spec": spec,
    }


def _pattern(domain: Domain) -> str:
    """Return the name as Cilium matches it: our wildcard covers every depth, which is `**.` there."""
    return f"*{domain.name}" if domain.is_wildcard else domain.name


def _selector(domain: Domain) -> dict[str, str]:
    return {"matchPattern" if domain.is_wildcard else "matchName": _pattern(domain)}


def _port(port: int | str, protocol: str = "TCP") -> dict[str, Any]:
    return {"port": str(port), "protocol": protocol}


def _dns(domains: Iterable[Domain], services: Iterable[tuple[str, str]], around: CiliumAround) -> dict[str, Any]:
    """Return the rule by which Cilium's DNS proxy answers for exactly these names; without names it would for all."""
    names = [_selector(domain) for domain in domains]
    names += [{"matchName": f"{name}.{namespace}.svc.{around.cluster_domain}"} for namespace, name in services]
    pods = {f"k8s:{key}": value for key, value in sorted(around.dns.selector.items())}
    # Behind a Service, Cilium looks at the port of the pod.
    ports = [_port(each.target, each.protocol) for each in around.dns.ports if each.port == DNS_PORT]
    return {
        "toEndpoints": [{"matchLabels": {NAMESPACE_LABEL: around.dns_namespace, **pods}}],
        "toPorts": [{"ports": ports, "rules": {"dns": names}}],
    }


def _opening(domain: Domain) -> dict[str, Any]:
    """Return the rule that opens one name: its addresses, and there nothing but itself."""
    to_ports: list[dict[str, Any]] = []
    if HTTP_PORT in domain.ports:
        to_ports.append({"ports": [_port(HTTP_PORT)], "rules": {"http": [{"host": _host(domain)}]}})
    tls = [port for port in domain.ports if port != HTTP_PORT]
    if tls:
        to_ports.append({"ports": [_port(port) for port in tls], "serverNames": [_pattern(domain)]})
    return {"toFQDNs": [_selector(domain)], "toPorts": to_ports}


def _host(domain: Domain) -> str:
    """Return the expression that the whole Host header has to match; a client may name the usual port there."""
    literal = domain.name.removeprefix("*.").replace(".", r"\.")
    return f"{_LABELS if domain.is_wildcard else ''}{literal}(:80)?"


def _closed(
    domains: Iterable[Domain], cidrs: Sequence[CidrDestination], reserved: Sequence[str]
) -> list[dict[str, Any]]:
    """Return what keeps a name from opening private or reserved addresses, on the ports that names have.

    A deny goes before every allow, so addresses that the policy opens itself are left out, port by port.
    """
    closed = [cidr for cidr in closed_cidrs(reserved) if not is_reserved(cidr, (_MAPPED,))]
    ports_by_opened: dict[tuple[int, ...], list[int]] = {}
    for port in sorted({port for domain in domains for port in domain.ports}):
        opened = tuple(place for place, each in enumerate(cidrs) if _is_open(each, port))
        ports_by_opened.setdefault(opened, []).append(port)
    rules = []
    for places, ports in ports_by_opened.items():
        parts = [part for place in places for part in _parts(cidrs[place], reserved)]
        blocks = [block for cidr in closed if (block := _block(cidr, parts))]
        for at in range(0, len(ports), MOST_PORTS):
            some = [_port(port) for port in ports[at : at + MOST_PORTS]]
            rules.append({"toCIDRSet": blocks, "toPorts": [{"ports": some}]})
    return rules


def _is_open(each: CidrDestination, port: int) -> bool:
    return not each.ports or any(
        it.protocol is NetworkProtocol.TCP and it.port <= port <= (it.end_port or it.port) for it in each.ports
    )


def _parts(each: CidrDestination, reserved: Sequence[str]) -> list[str]:
    return remainder(each.cidr, [*each.except_, *reserved])


def _block(cidr: str, opened: Sequence[str]) -> dict[str, Any] | None:
    """Return the block without what is opened, or None if nothing of it is left."""
    excepted = exceptions(cidr, opened)
    if is_reserved(cidr, [*excepted, *opened]):
        return None
    return {"cidr": cidr, **({"except": excepted} if excepted else {})}
