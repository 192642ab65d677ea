"""What the operator keeps of the objects it watches: the few fields that decide something, and no more.

Thousands of these stand in memory, so each kind is a slotted dataclass, and strings that repeat are interned.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import Any

import orjson

from ringfence_operator import labels
from ringfence_operator.resources.port_set import connector_holder

_BLOCK = re.compile("p-[0-9]{5}$")


@dataclass(frozen=True, slots=True)
class Meta:
    """Identity of an observed object. `resource_version` does not take part in comparisons."""

    namespace: str
    name: str
    uid: str
    resource_version: str = field(compare=False)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> "Meta":
        """Read it from any Kubernetes object."""
        meta = raw["metadata"]
        return cls(intern(meta.get("namespace", "")), meta["name"], meta["uid"], meta["resourceVersion"])


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """A NetworkPolicy, ours or not; of foreign ones only what tells whether they loosen an agent's confinement."""

    meta: Meta
    is_ours: bool
    digest: str
    has_egress: bool
    selector: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of a Service, and the one of the pods behind it."""

    port: int
    protocol: str
    target: int | str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """A Service: an agent's, a port set's, or one that a policy names. `address` is empty for a headless one."""

    meta: Meta
    owner_uid: str
    digest: str
    policy: str
    """Namespace, a slash, and name of the SecurityPolicy whose port set it says that it is."""
    address: str
    selector: Mapping[str, str]
    ports: tuple[ServicePort, ...]
    connector: str = ""
    """Likewise, of the Connector."""

    @property
    def holder(self) -> str:
        """Whose port set it is, as `PortSet.policy` has it; nothing if it is none."""
        return connector_holder(*self.connector.split("/", 1)) if self.connector else self.policy


@dataclass(frozen=True, slots=True)
class GatewayPod:
    """A replica of the egress gateway."""

    meta: Meta
    is_ready: bool
    is_running: bool
    """Whether it may have anything open; on its way out, it still does."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An agent's workspace (PersistentVolumeClaim)."""

    meta: Meta
    owner_uid: str
    agent_uid: str
    is_deleting: bool


KUBELET_PORT = 10250
"""Where a kubelet listens unless its node says something else."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node: what is reserved on it, and whether it can run user namespaces."""

    meta: Meta
    labels: Mapping[str, str]
    addresses: tuple[str, ...]
    pod_cidrs: tuple[str, ...]
    has_user_namespaces: bool
    kubelet_port: int = KUBELET_PORT


@dataclass(frozen=True, slots=True)
class Named:
    """An object of which only its existence and a few addresses count (RuntimeClass, ServiceCIDR, EndpointSlice)."""

    meta: Meta
    values: tuple[str, ...] = ()


def digest(value: Any) -> str:
    """Return a short digest of a JSON value; the order of keys does not count."""
    return hashlib.blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=10).hexdigest()


def owner_uid(meta: Mapping[str, Any]) -> str:
    """Return the UID of the object that controls this one, or nothing."""
    for owner in meta.get("ownerReferences", ()):
        if owner.get("controller"):
            return str(owner["uid"])
    return ""


def interned(mapping: Mapping[str, str] | None) -> dict[str, str]:
    """Return a copy whose strings are shared with all others alike."""
    return {intern(key): intern(value) for key, value in (mapping or {}).items()}


def condition_of(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return the condition of this type, or an empty one."""
    for condition in status.get("conditions", ()):
        if condition["type"] == kind:
            return condition  # type: ignore[no-any-return]
    return {}


def observe_gateway_pod(raw: Mapping[str, Any]) -> GatewayPod:
    """Read a replica of the egress gateway; one that is going counts no more."""
    is_ready = condition_of(raw.get("status", {}), "Ready").get("status") == "True"
    is_running = raw.get("status", {}).get("phase") not in (None, "Pending", "Succeeded", "Failed")
    return GatewayPod(Meta.of(raw), is_ready and "deletionTimestamp" not in raw["metadata"], is_running)


def observe_network_policy(raw: Mapping[str, Any]) -> NetworkPolicy:
    """Read a NetworkPolicy."""
    spec = raw["spec"]
    meta = raw["metadata"]
    # Anybody can set the label; under another name than ours it is nobody's but theirs.
    name = meta["name"]
    is_named = name in labels.NETWORK_POLICIES or name.startswith(labels.NETWORK_POLICY_PREFIXES)
    is_ours = is_named and meta.get("labels", {}).get(labels.MANAGED_BY) == labels.MANAGER
    return NetworkPolicy(
        meta=Meta.of(raw),
        is_ours=is_ours,
        digest=digest(spec) if is_ours else "",
        has_egress=bool(spec.get("egress")) and "Egress" in spec.get("policyTypes", ()),
        selector={} if is_ours else spec.get("podSelector", {}),
    )


def service_digest(spec: Mapping[str, Any]) -> str:
    """Return the digest of what we decide about a Service: its type, its ports and the pods behind it."""
    ports = [
        [port.get("name"), port["port"], port.get("targetPort", port["port"]), port.get("protocol", "TCP")]
        for port in spec.get("ports", ())
    ]
    return digest([spec.get("type", "ClusterIP"), ports, spec.get("selector")])


def observe_service(raw: Mapping[str, Any]) -> Service:
    """Read a Service."""
    meta, spec = raw["metadata"], raw["spec"]
    marks = meta.get("labels", {})
    is_port_set = marks.get(labels.MANAGED_BY) == labels.MANAGER and bool(_BLOCK.match(meta["name"]))
    address = spec.get("clusterIP", "")
    return Service(
        meta=Meta.of(raw),
        owner_uid=owner_uid(meta),
        digest=service_digest(spec),
        policy=_named(marks, labels.POLICY_NAMESPACE, labels.POLICY) if is_port_set else "",
        address="" if address == "None" else address,
        selector=interned(spec.get("selector")),
        ports=tuple(
            ServicePort(
                port["port"],
                port.get("protocol", "TCP"),
                port.get("targetPort", port["port"]),
                intern(port.get("name", "")),
            )
            for port in spec.get("ports", ())
        ),
        connector=_named(marks, labels.CONNECTOR_NAMESPACE, labels.CONNECTOR) if is_port_set else "",
    )


def _named(marks: Mapping[str, str], namespace: str, name: str) -> str:
    return f"{marks[namespace]}/{marks.get(name, '')}" if namespace in marks else ""


def observe_claim(raw: Mapping[str, Any]) -> Claim:
    """Read a PersistentVolumeClaim."""
    meta = raw["metadata"]
    return Claim(
        meta=Meta.of(raw),
        owner_uid=owner_uid(meta),
        agent_uid=meta.get("labels", {}).get(labels.AGENT_UID, ""),
        is_deleting="deletionTimestamp" in meta,
    )


def observe_node(raw: Mapping[str, Any]) -> Node:
    """Read a node."""
    meta, spec, status = raw["metadata"], raw["spec"], raw.get("status", {})
    node_labels = meta.get("labels", {})
    handlers = status.get("runtimeHandlers") or ()
    supported = any(h.get("name", "") == "" and h.get("features", {}).get("userNamespaces") for h in handlers)
    return Node(
        meta=Meta.of(raw),
        labels=interned(node_labels),
        addresses=tuple(a["address"] for a in status.get("addresses", ()) if a["type"] in ("InternalIP", "ExternalIP")),
        pod_cidrs=tuple(spec.get("podCIDRs") or ()),
        has_user_namespaces=supported and node_labels.get(labels.USER_NAMESPACES) != "false",
        kubelet_port=status.get("daemonEndpoints", {}).get("kubeletEndpoint", {}).get("Port") or KUBELET_PORT,
    )


def observe_name(raw: Mapping[str, Any]) -> Named:
    """Read an object of which only its name counts."""
    return Named(Meta.of(raw))


def observe_service_cidr(raw: Mapping[str, Any]) -> Named:
    """Read a ServiceCIDR: its values are CIDRs."""
    return Named(Meta.of(raw), tuple(raw["spec"].get("cidrs", ())))


def observe_endpoints(raw: Mapping[str, Any]) -> Named:
    """Read an EndpointSlice: its values are addresses."""
    return Named(Meta.of(raw), tuple(a for endpoint in raw.get("endpoints") or () for a in endpoint["addresses"]))
