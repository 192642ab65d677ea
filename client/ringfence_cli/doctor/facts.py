"""What the checks judge: the answers to our questions, each with what kept us from asking."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from ringfence_cli.doctor.needs import Need
from ringfence_kube.objects import Raw, named

T = TypeVar("T")
OPERATOR, GATEWAY = "ringfence-operator", "ringfence-gateway"
GUARDS = {
    "ringfence-guard": "a NetworkPolicy of anybody's can open egress to agents, which tell of it only afterwards",
    "ringfence-labels": "whoever may write pods can give one another policy's label, until the operator takes it away, "
    "and put another image into a pod that waits in a pool",
}
"""What the API server refuses by each guard, in words that say what happens without."""
_PREFIX = "RINGFENCE_OPERATOR_"


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """An answer; where `hindrance` says why there is none, `value` is empty and means nothing."""

    value: T
    hindrance: str = ""

    @property
    def is_known(self) -> bool:
        """True if somebody looked."""
        return not self.hindrance


@dataclass(frozen=True, slots=True)
class Certificate:
    """The gateway's certificate towards the control process."""

    ends: datetime
    is_trusted: bool
    """True if the authorities beside it have signed it."""
    authorities_end: datetime
    """When the last of those ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A cluster, as far as we may see it. `system` is the operator's namespace; `namespace` is empty for all."""

    now: datetime
    system: str
    namespace: str
    version: Seen[Raw]
    served: Seen[list[Raw]]
    """What the API server says of our group: its APIResources."""
    crds: Seen[list[Raw]]
    """CustomResourceDefinitions of those of our kinds that are not served."""
    deployments: Seen[list[Raw]]
    pods: Seen[list[Raw]]
    """Of the operator's namespace, like Deployments, Services, EndpointSlices and NetworkPolicies."""
    services: Seen[list[Raw]]
    slices: Seen[list[Raw]]
    network_policies: Seen[list[Raw]]
    lease: Seen[Raw | None]
    certificate: Seen[Certificate | None]
    authorities: Seen[dict[str, datetime]]
    """By namespace, when the last of the authorities ends that sidecars there know the control process by."""
    cilium: Seen[bool]
    """Whether CiliumNetworkPolicies are served; True where the settings want none."""
    unguarded: Seen[tuple[str, ...]]
    """What is missing of the guards: each ValidatingAdmissionPolicy, and its binding, by kind and name."""
    roles: Seen[list[Raw]]
    """ClusterRoles of ours."""
    runtime_classes: Seen[list[Raw]]
    nodes: Seen[list[Raw]]
    lacking: Seen[tuple[Need, ...]]
    """Rights that the operator needs and does not have."""
    redis: Seen[tuple[Raw | None, list[Raw]]]
    """The Service of the Redis that sidecars share, and its EndpointSlices, where the settings name one."""
    has_redis_secret: Seen[bool]
    default_policy: Seen[Raw | None]
    agents: Seen[list[Raw]]
    pools: Seen[list[Raw]]
    connectors: Seen[list[Raw]]
    quotas: Seen[list[Raw]]
    policies: Seen[list[Raw]]

    def deployment(self, name: str) -> Raw | None:
        """Return one of our two Deployments, if it is there."""
        return named(self.deployments.value, name)

    def settings(self) -> dict[str, str] | None:
        """Return the operator's settings, as RINGFENCE_OPERATOR_ names them; None where we cannot see them."""
        found = self.deployment(OPERATOR)
        return settings_of(found) if found else None

    def setting(self, name: str, default: str = "") -> str:
        """Return a setting; an empty one counts as not set, and so does one that we cannot see."""
        return (self.settings() or {}).get(name) or default


def settings_of(deployment: Raw) -> dict[str, str]:
    """Return the settings that a Deployment of the operator gives it, without their prefix."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    operator: Raw = next((each for each in containers if each["name"] == "operator"), {})
    found = {
        each["name"].removeprefix(_PREFIX): str(each.get("value", ""))
        for each in operator.get("env") or ()
        if each["name"].startswith(_PREFIX)
    }
    for word in operator.get("args") or ():
        name, _, value = word.partition("=")
        if name == "--egress-backend":
            found["EGRESS_BACKEND"] = value
    return found


def is_served(slices: list[Raw]) -> bool:
    """Return True if some endpoint behind a Service is ready."""
    return any(
        endpoint.get("conditions", {}).get("ready", True) for each in slices for endpoint in each.get("endpoints") or ()
    )
