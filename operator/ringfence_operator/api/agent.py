"""Agent: one isolated agent, which is one pod."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from ringfence_operator.api.agent_status import AgentStatus
from ringfence_operator.api.compute import Resources
from ringfence_operator.api.custom_resource import Column, CustomResource
from ringfence_operator.api.duration import Duration, DurationOrZero
from ringfence_operator.api.environment import EnvFrom, EnvVar, Files
from ringfence_operator.api.model import Items, Model
from ringfence_operator.api.names import DNS_LABEL, AbsolutePath, Image, Label, ObjectName, Port, SecretName
from ringfence_operator.api.pool_ref import POOL_RULES, OnMiss, PoolRef
from ringfence_operator.api.probe import Probes
from ringfence_operator.api.rule import ListMap, Rule
from ringfence_operator.api.scheduling import LabelMap, PodMetadata, Toleration
from ringfence_operator.api.sidecar import API_PORT, HEALTH_PORT, ConnectorRefs, Sidecar
from ringfence_operator.api.workspace import Workspace


class Isolation(StrEnum):
    """How far an agent is confined, from the weakest level to the strictest."""

    NONE = "None"
    BASIC = "Basic"
    CONTAINER = "Container"
    SECURE = "Secure"

    @property
    def level(self) -> int:
        """Higher is stricter."""
        return _LEVELS[self]


_LEVELS = {level: place for place, level in enumerate(Isolation)}


class Mode(StrEnum):
    """Whether an agent serves for ever or works to an end."""

    SERVICE = "Service"
    TASK = "Task"


class RestartPolicy(StrEnum):
    """When a container that ended is started again."""

    ALWAYS = "Always"
    ON_FAILURE = "OnFailure"
    NEVER = "Never"


class Protocol(StrEnum):
    """Protocols that a port of an agent may speak."""

    TCP = "TCP"
    UDP = "UDP"


class SecurityPolicyRef(Model):
    """Names a SecurityPolicy in the agent's namespace."""

    name: Label
    """Name of the SecurityPolicy."""


class QuotaRef(Model):
    """Names a Quota in the agent's namespace."""

    name: Label
    """Name of the Quota."""


class ImagePullSecret(Model):
    """Names a Secret in the agent's namespace."""

    name: SecretName
    """Name of the Secret, of type kubernetes.io/dockerconfigjson."""


class Backoff(Model):
    """How soon and how often a failed pod is replaced."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "duration(self.initialDelay) <= duration(self.maxDelay)",
            "write a maxDelay that is at least initialDelay",
            ".maxDelay",
        ),
    )

    limit: Annotated[int, Field(ge=0, le=100)] = 6
    """Retries of a Task before it has failed; a Service is replaced for ever."""

    initial_delay: Duration = 10
    """Delay before the first replacement; it doubles with each further one."""

    max_delay: Duration = 300
    """The longest delay."""


class AgentPort(Model):
    """A port that the agent listens on."""

    name: Annotated[
        Label,
        Field(max_length=15),
        Rule(
            "self.matches('[a-z]') && !self.contains('--')", "write a name with a letter and without --, such as http"
        ),
    ]
    """Name of the port."""

    port: Port
    """Number of the port, in the pod and on the agent's Service."""

    protocol: Protocol = Protocol.TCP
    """TCP or UDP."""


_AGENT_RULES = (
    Rule(
        "!has(self.restartPolicy) || self.restartPolicy != 'Always' || self.mode == 'Service'",
        "a Task comes to an end: write restartPolicy OnFailure or Never, or mode Service",
        ".restartPolicy",
    ),
    Rule(
        "!has(self.ports) || size(self.ports) == 0 || self.mode == 'Service'",
        "a Task serves no ports: leave them out, or write mode Service",
        ".ports",
    ),
    Rule(
        "!has(self.ttlAfterFinished) || self.mode == 'Task' || has(self.maxExecutionTime)",
        "a Service without maxExecutionTime never finishes: leave ttlAfterFinished out, or write maxExecutionTime",
        ".ttlAfterFinished",
    ),
    Rule(
        "!has(self.workspace) || !has(self.files) || self.files.all(f, f.path != self.workspace.mountPath)",
        "the workspace and a file have the same path: write another mountPath or another path",
        ".workspace.mountPath",
    ),
    Rule(
        "!has(self.workspace) || !has(self.files)"
        " || !self.files.exists(f, self.workspace.mountPath.startsWith(f.path + '/'))",
        "the workspace lies inside a read-only file or directory of files: write a mountPath outside it",
        ".workspace.mountPath",
    ),
    Rule(
        "!has(self.connectors) || size(self.connectors) == 0 || !has(self.ports)"
        f" || !self.ports.exists(p, p.port in [{API_PORT}, {HEALTH_PORT}])",
        f"the sidecar of an agent with connectors has ports {API_PORT} and {HEALTH_PORT}: write another port",
        ".ports",
    ),
    *POOL_RULES,
)


class AgentSpec(Model):
    """What the agent is, what it may use and how it lives."""

    rules: ClassVar[tuple[Rule, ...]] = _AGENT_RULES

    image: Image | None = None
    """Image of the agent's container; an agent from a pool has the pool's."""

    pool_ref: PoolRef | None = None
    """AgentPool whose warm pod becomes the agent's. What such a pod was made from, its template says."""

    on_miss: OnMiss | None = None
    """Without a warm pod, the agent waits for the next, starts cold, or fails; Wait where it is not given."""

    command: Annotated[Items[Annotated[str, Field(max_length=4096)]], Field(max_length=64)] = ()
    """Entry point; without it, the image's own."""

    args: Annotated[Items[Annotated[str, Field(max_length=4096)]], Field(max_length=128)] = ()
    """Arguments of the entry point."""

    working_dir: AbsolutePath | None = None
    """Directory that the command starts in; without it, the image's own."""

    env: Annotated[Items[EnvVar], Field(max_length=128), ListMap(("name",))] = ()
    """Environment variables."""

    env_from: Annotated[Items[EnvFrom], Field(max_length=16)] = ()
    """ConfigMaps and Secrets whose keys become environment variables."""

    files: Files = ()
    """Files for the agent to read; it can write them in a pod of a pool alone."""

    image_pull_secrets: Annotated[Items[ImagePullSecret], Field(max_length=8), ListMap(("name",))] = ()
    """Secrets for the image's registry."""

    resources: Resources = Resources()
    """Cores, memory and disk."""

    isolation: Isolation = Isolation.CONTAINER
    """How far the agent is confined at least; the cluster, or the pool of its pod, may ask for more, never for less."""

    security_policy_ref: SecurityPolicyRef | None = None
    """What the agent may touch; without it, nothing beyond its own pod."""

    quota_ref: QuotaRef | None = None
    """How much the agent may use; the Quotas whose selector matches its labels hold besides."""

    connectors: ConnectorRefs = ()
    """Connectors that the agent uses, through a sidecar that alone holds their credentials."""

    sidecar: Sidecar = Sidecar()
    """The container beside the agent's that holds the credentials; there is one where the agent names connectors."""

    workspace: Workspace | None = None
    """A volume that outlives the agent's pods."""

    mode: Mode = Mode.SERVICE
    """A Service is kept running; a Task runs to its end."""

    restart_policy: RestartPolicy | None = None
    """When the container is started again; Always for a Service and OnFailure for a Task where it is not given."""

    backoff: Backoff = Backoff()
    """How soon and how often a failed pod is replaced."""

    suspend: bool = False
    """Deletes the pod and keeps the workspace for as long as it is true."""

    max_execution_time: Duration | None = None
    """How long the agent may run, over all its pods; a shorter one in its SecurityPolicy wins."""

    ttl_after_finished: DurationOrZero | None = None
    """How long the Agent object is kept after its end; without it, for ever."""

    node_selector: Annotated[LabelMap, Field(max_length=32)] = Field(default_factory=dict)
    """Labels that a node must have."""

    tolerations: Annotated[Items[Toleration], Field(max_length=32)] = ()
    """Taints that the pod puts up with."""

    priority_class_name: ObjectName | None = None
    """Name of the pod's PriorityClass."""

    pod_metadata: PodMetadata = PodMetadata()
    """Labels and annotations for the pod."""

    ports: Annotated[
        Items[AgentPort],
        Field(max_length=16),
        ListMap(("name",)),
        Rule(
            "self.all(p, self.filter(q, q.port == p.port && q.protocol == p.protocol).size() == 1)",
            "two ports have the same number and protocol: write each once",
        ),
    ] = ()
    """Ports that the agent listens on; they make a Service of the agent's name."""

    probes: Probes = Probes()
    """How the agent's health is checked."""

    @property
    def effective_restart_policy(self) -> RestartPolicy:
        """The restart policy that holds: the one given, or the mode's own."""
        if self.restart_policy is not None:
            return self.restart_policy
        return RestartPolicy.ALWAYS if self.mode is Mode.SERVICE else RestartPolicy.ON_FAILURE


class Agent(CustomResource):
    """One isolated agent: a pod that can do what its spec and policy say, and nothing else."""

    kind: ClassVar[str] = "Agent"
    plural: ClassVar[str] = "agents"
    short_name: ClassVar[str] = "rfagent"
    selectable_fields: ClassVar[tuple[str, ...]] = (
        ".spec.securityPolicyRef.name",
        ".spec.quotaRef.name",
        ".spec.mode",
        ".spec.isolation",
        ".spec.poolRef.name",
    )
    columns: ClassVar[tuple[Column, ...]] = (
        Column("State", ".status.state", "One word for the agent's state."),
        Column("Reason", ".status.conditions[?(@.type=='Ready')].reason", "Why the agent is or is not ready."),
        Column("Restarts", ".status.restarts", "How often it was started again.", type="integer"),
        Column("Age", ".metadata.creationTimestamp", "Time since the Agent was created.", type="date"),
        Column("Pod", ".status.podName", "Name of its pod.", wide=True),
        Column("Node", ".status.nodeName", "Node that its pod runs on.", wide=True),
        Column("Isolation", ".spec.isolation", "How far it is confined.", wide=True),
        Column("Policy", ".spec.securityPolicyRef.name", "SecurityPolicy that it names.", wide=True),
        Column("Quota", ".spec.quotaRef.name", "Quota that it names.", wide=True),
        Column("Pool", ".spec.poolRef.name", "AgentPool that its pod comes from.", wide=True),
        Column("Mode", ".spec.mode", "Service or Task.", wide=True),
        Column("Message", ".status.conditions[?(@.type=='Ready')].message", "The reason as a sentence.", wide=True),
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"self.metadata.name.matches('{DNS_LABEL}') && size(self.metadata.name) <= 63",
            "the agent's pod carries its name: write metadata.name with at most 63 lower-case letters, digits and -",
        ),
        Rule(
            "self.metadata.name.matches('^[a-z]') || !has(self.spec.ports) || size(self.spec.ports) == 0",
            "an agent with ports has a Service of its name: write a metadata.name that starts with a letter",
        ),
    )

    spec: AgentSpec
    """What the agent is, what it may use and how it lives."""

    status: AgentStatus = AgentStatus()
    """What the operator saw."""
