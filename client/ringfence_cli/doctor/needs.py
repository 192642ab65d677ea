"""The rights without which the operator cannot work: what deploy/operator.yaml and the chart give it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from ringfence_kube.objects import Raw

_OURS, _CORE, _NETWORK = "ringfence.dev", "", "networking.k8s.io"
_GCUD = ("get", "create", "update", "delete")


class Where(Enum):
    """In which namespaces a right is needed."""

    EVERYWHERE = auto()
    SYSTEM = auto()
    """In the operator's own."""
    DEFAULT = auto()
    """In `default`, where the API server's own addresses are."""
    AGENTS = auto()
    """Where agents live; everywhere, unless the chart's rbac.namespaces names them."""


@dataclass(frozen=True, slots=True)
class Need:
    """One verb on one resource, in one namespace (empty: in all of them, or a cluster-wide one)."""

    verb: str
    group: str
    resource: str
    name: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        """Name it as people do."""
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        name = f"/{self.name}" if self.name else ""
        return f"{self.verb} {what}{name}" + (f" in {self.namespace}" if self.namespace else "")

    def review(self, system: str) -> Raw:
        """Return the question whether the operator whose namespace is `system` may do it."""
        resource, _, part = self.resource.partition("/")
        wanted = {"verb": self.verb, "group": self.group, "resource": resource, "subresource": part}
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{system}", "system:authenticated"]
        spec = {
            "user": f"system:serviceaccount:{system}:ringfence-operator",
            "groups": groups,
            "resourceAttributes": {**wanted, "name": self.name, "namespace": self.namespace},
        }
        return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


# Where, verbs, group, resources, name.
_RIGHTS: tuple[tuple[Where, tuple[str, ...], str, tuple[str, ...], str], ...] = (
    (
        Where.EVERYWHERE,
        ("list", "watch"),
        _OURS,
        ("agents", "agentpools", "connectors", "quotas", "securitypolicies"),
        "",
    ),
    (
        Where.EVERYWHERE,
        ("update",),
        _OURS,
        ("agents/status", "agentpools/status", "connectors/status", "quotas/status", "securitypolicies/status"),
        "",
    ),
    (Where.EVERYWHERE, ("list", "watch"), _CORE, ("pods", "services", "persistentvolumeclaims", "nodes"), ""),
    (Where.EVERYWHERE, ("list", "watch"), _NETWORK, ("networkpolicies", "servicecidrs"), ""),
    (Where.EVERYWHERE, ("list", "watch"), "node.k8s.io", ("runtimeclasses",), ""),
    (Where.EVERYWHERE, ("list", "watch"), _CORE, ("configmaps",), "ringfence-authority"),
    (Where.EVERYWHERE, ("get",), _CORE, ("nodes/stats",), ""),
    (Where.EVERYWHERE, ("list", "create"), _CORE, ("events",), ""),
    (Where.EVERYWHERE, ("create",), "authentication.k8s.io", ("tokenreviews",), ""),
    (Where.AGENTS, ("delete",), _OURS, ("agents",), ""),
    (Where.AGENTS, ("patch",), _OURS, ("agentpools",), ""),
    (Where.AGENTS, ("update",), _OURS, ("agents/finalizers", "agentpools/finalizers"), ""),
    (Where.AGENTS, ("get", "create", "patch", "delete"), _CORE, ("pods",), ""),
    (Where.AGENTS, ("patch",), _CORE, ("pods/resize",), ""),
    (Where.AGENTS, _GCUD, _CORE, ("services",), ""),
    (Where.AGENTS, _GCUD, _NETWORK, ("networkpolicies",), ""),
    (Where.AGENTS, ("get", "create", "patch"), _CORE, ("persistentvolumeclaims",), ""),
    (Where.AGENTS, ("get", "create"), _CORE, ("configmaps",), ""),
    (Where.AGENTS, ("get", "update"), _CORE, ("configmaps",), "ringfence-authority"),
    (Where.SYSTEM, ("create",), "coordination.k8s.io", ("leases",), ""),
    (Where.SYSTEM, ("get", "patch"), "coordination.k8s.io", ("leases",), "ringfence-operator"),
    (Where.SYSTEM, ("create",), _CORE, ("secrets",), ""),
    (Where.SYSTEM, ("get", "update"), _CORE, ("secrets",), "ringfence-authority"),
    (Where.SYSTEM, ("get", "update"), _CORE, ("secrets",), "ringfence-gateway-tls"),
    (Where.SYSTEM, ("get", "create", "delete"), _CORE, ("pods",), ""),
    (Where.SYSTEM, _GCUD, _CORE, ("services",), ""),
    (Where.SYSTEM, _GCUD, _NETWORK, ("networkpolicies",), ""),
    (Where.DEFAULT, ("list", "watch"), "discovery.k8s.io", ("endpointslices",), ""),
)
_OF_CILIUM: tuple[tuple[Where, tuple[str, ...], str, tuple[str, ...], str], ...] = (
    (Where.EVERYWHERE, ("list", "watch"), "cilium.io", ("ciliumnetworkpolicies",), ""),
    (Where.AGENTS, _GCUD, "cilium.io", ("ciliumnetworkpolicies",), ""),
)


def needs(system: str, agents: tuple[str, ...], *, writes_cilium: bool = False) -> Iterator[Need]:
    """Yield every right that the operator in `system` needs, with agents in these namespaces."""
    places = {Where.EVERYWHERE: ("",), Where.SYSTEM: (system,), Where.DEFAULT: ("default",), Where.AGENTS: agents}
    for where, verbs, group, resources, name in (*_RIGHTS, *(_OF_CILIUM if writes_cilium else ())):
        for namespace in places[where]:
            for resource in resources:
                for verb in verbs:
                    yield Need(verb, group, resource, name, namespace)
