"""SecurityPolicy: what an agent may touch."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from ringfence_operator.api.agent_cache import AgentCache
from ringfence_operator.api.agent_status import Conditions, Count, Short
from ringfence_operator.api.custom_resource import Column, CustomResource
from ringfence_operator.api.duration import Duration
from ringfence_operator.api.model import Items, Model, Timestamp
from ringfence_operator.api.names import DNS_LABEL, MountPath, ObjectName
from ringfence_operator.api.network import Network
from ringfence_operator.api.quantity import Bytes
from ringfence_operator.api.rule import ListMap, Rule


class WritablePath(Model):
    """A directory that the agent may write to under a read-only root."""

    path: MountPath
    """Where it is in the agent's container."""

    size: Bytes = "64Mi"
    """The most that it may hold; the pod is evicted beyond it."""


class FileSystem(Model):
    """What of its own container the agent may write to."""

    read_only_root: bool | None = None
    """Makes the root file system read-only; the isolation levels Container and Secure always do."""

    writable_paths: Annotated[Items[WritablePath], Field(max_length=16), ListMap(("path",))] = ()
    """Directories that stay writable; they start empty with each pod."""


class SeccompType(StrEnum):
    """Where a seccomp profile comes from."""

    RUNTIME_DEFAULT = "RuntimeDefault"
    LOCALHOST = "Localhost"


class SeccompProfile(Model):
    """Which system calls the agent may make."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.localhostProfile) == (self.type == 'Localhost')",
            "write localhostProfile with type Localhost, and only then",
        ),
    )

    type: SeccompType
    """RuntimeDefault for the container runtime's own profile, Localhost for one that is on the node."""

    localhost_profile: (
        Annotated[
            str,
            Field(min_length=1, max_length=512),
            Rule(
                "!self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)')",
                "write a path below the kubelet's seccomp directory, such as profiles/agent.json",
            ),
        ]
        | None
    ) = None
    """Path of the profile, relative to the kubelet's seccomp directory; needed for Localhost only."""


class SecurityPolicySpec(Model):
    """What agents under this policy may touch."""

    network: Network = Network()
    """What of the network they may use."""

    file_system: FileSystem = FileSystem()
    """What of their own container they may write to."""

    max_execution_time: Duration | None = None
    """How long they may run; a shorter one in the Agent wins."""

    runtime_class_name: ObjectName | None = None
    """RuntimeClass that their pods run under."""

    seccomp_profile: SeccompProfile | None = None
    """Which system calls they may make."""

    cache: AgentCache = AgentCache()
    """What they may keep in their sidecars' cache."""


class GatewayReplica(Model):
    """What one replica of the egress gateway has in force."""

    name: Short
    """Name of its pod."""

    generation: Annotated[int, Field(ge=0)]
    """Generation of the policy that it has in force."""


class GatewayStatus(Model):
    """The policy's port set on the egress gateway."""

    service: Short
    """Name of the port set's Service, in the gateway's namespace."""

    address: Short
    """The Service's address: name server and proxy of the agents under the policy."""

    replicas: Annotated[Items[GatewayReplica], Field(max_length=32), ListMap(("name",))] = ()
    """The gateway's replicas, and which generation each has in force."""


class SeenDomain(Model):
    """A name that agents asked for."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """The name."""

    port: Annotated[int, Field(ge=0, le=65535)]
    """The port; 53 where a look-up was all that came of it."""

    count: Annotated[int, Field(ge=0)]
    """How often, since the policy was made or the list last lost it."""

    last_seen: Timestamp
    """When last."""


SeenDomains = Annotated[Items[SeenDomain], Field(max_length=50), ListMap(("name", "port"))]


class SecurityPolicyStatus(Model):
    """What the operator saw when it last looked at the policy."""

    observed_generation: Annotated[int, Field(ge=-1)] = -1
    """Generation of the spec that this status is about; -1 before the operator has looked."""

    conditions: Conditions = ()
    """What holds and what does not, in the form that kubectl wait, Argo CD and Flux read."""

    agents: Count = 0
    """How many agents name this policy."""

    gateway: GatewayStatus | None = None
    """The policy's port set on the egress gateway."""

    observed_domains: SeenDomains = ()
    """Names that agents reached, the most frequent ones; in Audit, those too that Enforce would refuse."""

    observed_others: Count = 0
    """How often agents reached what is not among these: names that are less frequent, or no valid ones."""

    denied_domains: SeenDomains = ()
    """Names that agents were refused, or in Audit would have been, the most frequent ones."""

    denied_others: Count = 0
    """How often they were refused what is not among these: names that are less frequent, no valid ones, or none."""


class SecurityPolicy(CustomResource):
    """What the agents that name this policy may touch: network, file system, time and runtime."""

    kind: ClassVar[str] = "SecurityPolicy"
    plural: ClassVar[str] = "securitypolicies"
    short_name: ClassVar[str] = "rfpolicy"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("Ready", ".status.conditions[?(@.type=='Ready')].status", "Whether the policy is in force."),
        Column("Agents", ".status.agents", "How many agents name it.", type="integer"),
        Column("Mode", ".spec.network.mode", "Whether names that are not allowed are refused or only reported."),
        Column("Network", ".spec.network.enabled", "Whether its agents may use the network at all.", type="boolean"),
        Column("Age", ".metadata.creationTimestamp", "Time since the policy was created.", type="date"),
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"self.metadata.name.matches('{DNS_LABEL}') && size(self.metadata.name) <= 63",
            "pods carry the name as a label: write metadata.name with at most 63 lower-case letters, digits and -",
        ),
    )

    spec: SecurityPolicySpec = SecurityPolicySpec()
    """What agents under this policy may touch."""

    status: SecurityPolicyStatus = SecurityPolicyStatus()
    """What the operator saw."""
