"""Conditions: what the status of every kind says, and the reasons it says it with."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field

from ringfence_operator.api.model import Model, Timestamp


class Documented(StrEnum):
    """A word, and the sentence that the reference page prints for it."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """Make the member that is written `value, meaning`."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


class ConditionType(Documented):
    """The condition types, in the order in which they stand in a status."""

    READY = "Ready", "The object does what its spec asks for."
    RECONCILING = "Reconciling", "The operator is on the way from one state to the next; absent otherwise."
    STALLED = "Stalled", "Nothing will change before somebody changes something; absent otherwise."
    ASSIGNED = "Assigned", "The agent has a pod."
    ENFORCED = "Enforced", "What confines the agent's pod is in force."
    CACHE_REACHABLE = (
        "CacheReachable",
        "The sidecars that have the connector reach the shared cache; absent where there is none.",
    )
    SIDECAR_OUTDATED = (
        "SidecarOutdated",
        "The pod's sidecar would be made otherwise now; absent otherwise. spec.sidecar.update says what comes of it.",
    )
    NETWORK_CLOSED = "NetworkClosed", "A Quota's networkBytes are used up, and nothing goes out; absent otherwise."
    LIMITS_OUTDATED = "LimitsOutdated", "A Quota's limit is not the running pod's yet; absent otherwise."
    SCALING_LIMITED = "ScalingLimited", "The pool's size is outside minWarm and maxSize; absent otherwise."
    SUSPENDED = "Suspended", "The agent is suspended: its pod is gone, its workspace is kept."
    COMPLETE = "Complete", "The agent has come to its end: True if it succeeded, False if it failed; absent before."


class Status(StrEnum):
    """The three values of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(Documented):
    """Every reason a condition may give, with the sentence that the reference page prints."""

    RUNNING = "Running", "The pod is running, and ready where it has a readiness probe."
    SUCCEEDED = "Succeeded", "The agent's command ended with exit code 0 and is not to be run again."
    SUSPENDED = "Suspended", "The agent is suspended: its pod is gone, its workspace is kept."
    IN_FORCE = "InForce", "Everything that the spec asks for is in force."

    STARTING = "Starting", "The pod is being made, or has not become ready yet."
    STOPPING = "Stopping", "The pod is on its way out."
    REPLACING = "Replacing", "The pod is being replaced, because the spec changed or the pod was lost."
    RESTARTING = "Restarting", "The agent failed and is started again after its back-off delay."

    POLICY_NOT_FOUND = "PolicyNotFound", "The SecurityPolicy that the agent names does not exist in its namespace."
    RUNTIME_CLASS_NOT_FOUND = "RuntimeClassNotFound", "The cluster has no RuntimeClass such as the agent needs."
    DEADLINE_REQUIRED = "DeadlineRequired", "Isolation Secure needs maxExecutionTime, in the agent or its policy."
    ISOLATION_NOT_ALLOWED = "IsolationNotAllowed", "The operator was not started with isolation None allowed."
    NETWORK_UNVERIFIED = "NetworkUnverified", "Whether the cluster enforces NetworkPolicies is still being found out."
    NETWORK_NOT_ENFORCED = "NetworkNotEnforced", "The cluster's network plug-in does not enforce NetworkPolicies."
    CANARY_REACHED = "CanaryReached", "From inside the pod the API server is reached: its network is not closed."
    WAY_OUT_CLOSED = "WayOutClosed", "From inside the pod its policy's port set on the egress gateway does not answer."
    UNVERIFIED_INSIDE = "UnverifiedInside", "The sidecar has not looked at the pod's network from inside yet."
    NAMESPACE_RESERVED = "NamespaceReserved", "Agents may not live in the operator's namespace."
    LABEL_RESERVED = "LabelReserved", "The agent carries a label or annotation under ringfence.dev/."
    CONNECTOR_NOT_FOUND = "ConnectorNotFound", "A Connector that the agent names does not exist in its namespace."
    CONNECTOR_NOT_PERMITTED = "ConnectorNotPermitted", "A Connector's agentSelector does not match the agent's labels."
    QUOTA_NOT_FOUND = "QuotaNotFound", "The Quota that the agent names does not exist in its namespace."
    PORT_RESERVED = "PortReserved", "A port of the agent is that of the sidecar that it has for a Quota's limits."
    SECRET_RESERVED = "SecretReserved", "The agent names a Secret that a Connector uses: only sidecars may have it."
    SIDECAR_UNAVAILABLE = "SidecarUnavailable", "The agent needs a sidecar, and the operator can make none yet."
    WORKSPACE_IN_USE = "WorkspaceInUse", "Another agent uses the same workspace claim."
    WORKSPACE_EXISTS = "WorkspaceExists", "A claim of the workspace's name exists and is not this agent's."
    WORKSPACE_NOT_FOUND = "WorkspaceNotFound", "The claim to adopt is not a workspace that an agent left behind."
    NAME_TAKEN = "NameTaken", "A pod or Service of the agent's name exists and is not this agent's."
    QUOTA_EXCEEDED = (
        "QuotaExceeded",
        "A Quota is used up, or it or a ResourceQuota of the namespace leaves no room for the pod.",
    )
    ADMISSION_REFUSED = "AdmissionRefused", "An admission check of the cluster refuses the pod."
    POD_INVALID = "PodInvalid", "The API server refuses the pod; the message says which field."
    INVALID_SPEC = "InvalidSpec", "The object does not fit this operator's models: install the matching CRDs."
    RESERVED_ADDRESS = "ReservedAddress", "A CIDR lies wholly in addresses that no policy may open."
    INVALID_DOMAIN = "InvalidDomain", "A domain's xn-- label stands for no name."
    TOO_MANY_PORTS = "TooManyPorts", "The policy names more ports besides 80 and 443 than a port set has."
    SERVICE_NOT_FOUND = "ServiceNotFound", "A Service among the destinations does not exist, or has no pods to reach."
    NO_PORT_SET = "NoPortSet", "Every port set of the egress gateway is in use."
    GATEWAY_PENDING = "GatewayPending", "The egress gateway does not have the policy's present form yet."
    GATEWAY_UNAVAILABLE = "GatewayUnavailable", "No replica of the egress gateway is connected; nothing leaves by name."
    GATEWAY_REFUSED = "GatewayRefused", "The egress gateway refuses the policy; the message is its own."
    NO_GATEWAY = "NoGateway", "The policy names domains, and the operator was started without an egress gateway."
    NOT_SUPPORTED_BY_BACKEND = (
        "NotSupportedByBackend",
        "The policy says what the chosen egress back end cannot carry out; the message names it.",
    )
    BACKEND_NOT_FOUND = "BackendNotFound", "The cluster has no such egress back end as the operator was started with."
    BACKEND_REFUSED = "BackendRefused", "The egress back end refuses the policy; the message is its own."

    ENDPOINTS_HEALTHY = "EndpointsHealthy", "Every sidecar that reports reaches every endpoint of the connector."
    SOME_ENDPOINTS_UNHEALTHY = "SomeEndpointsUnhealthy", "An endpoint is not reached by every sidecar, and others are."
    ENDPOINTS_UNHEALTHY = "EndpointsUnhealthy", "No sidecar reaches an endpoint of the connector."
    NO_AGENTS = (
        "NoAgents",
        "No agent uses the connector, so nobody has looked at its endpoints; the quota holds for none.",
    )
    SECRET_NOT_FOUND = "SecretNotFound", "The connector's Secret does not exist, so no sidecar that needs it can start."
    HEALTH_UNKNOWN = "HealthUnknown", "Agents use the connector, and no sidecar has reported yet."
    REDIS_REACHED = "RedisReached", "Every sidecar that reports reaches Redis."
    REDIS_EVICTS = "RedisEvicts", "Redis may throw away counters of the cache: answers are asked anew more often."
    REDIS_UNREACHABLE = "RedisUnreachable", "A sidecar does not reach Redis, and keeps answers in its own memory alone."

    ENFORCED = "Enforced", "Every limit of the quota is kept, as far as each can be."
    NO_STORE = "NoStore", "A limit that agents share needs a Redis, and the operator was started without one."
    STORE_UNAVAILABLE = "StoreUnavailable", "The shared counters cannot be read; onStoreUnavailable decides meanwhile."
    NOT_SUPPORTED = "NotSupported", "This cluster cannot keep a limit as it is written; the message says which and why."

    KUBELET_UNREACHABLE = "KubeletUnreachable", "A kubelet does not say how much memory agents use; the limit is kept."
    RESIZE_REFUSED = "ResizeRefused", "The API server does not let the running pod have what a Quota leaves it."
    RESIZE_DEFERRED = "ResizeDeferred", "The kubelet gives the running pod what a Quota leaves it later."
    RESIZE_INFEASIBLE = "ResizeInfeasible", "The kubelet cannot give the running pod what a Quota leaves it."
    NEEDS_NEW_POD = "NeedsNewPod", "A Quota limits what a running pod keeps; the next pod is made with it."

    UNSCHEDULABLE = "Unschedulable", "No node can take the pod; the message is the scheduler's."
    IMAGE_NOT_FOUND = "ImageNotFound", "The image cannot be pulled."
    CONFIG_NOT_FOUND = "ConfigNotFound", "A ConfigMap, Secret or key that the agent names does not exist."
    START_FAILED = "StartFailed", "The container cannot be started: its command may not exist."
    SIDECAR_FAILED = "SidecarFailed", "The sidecar cannot be started or does not stay up, and the agent waits for it."
    SIDECAR_OUTDATED = "SidecarOutdated", "The pod's sidecar would be made otherwise now; the message says in what."
    NOT_READY = "NotReady", "The container runs, but a probe says that it is not ready."
    CRASHED = "Crashed", "The command ended with an error and is started again."
    OUT_OF_MEMORY = "OutOfMemory", "The kernel killed the agent at its memory limit."
    EVICTED = "Evicted", "The node evicted the pod, as for passing its disk limit."
    FAILED = "Failed", "The command ended with an error and is not to be run again."
    BACKOFF_LIMIT_EXCEEDED = "BackoffLimitExceeded", "The task failed more often than backoff.limit allows."
    DEADLINE_EXCEEDED = "DeadlineExceeded", "The agent ran for as long as maxExecutionTime allows."

    POD_ASSIGNED = "PodAssigned", "The agent has a pod; status.podName names it."
    NO_POD = "NoPod", "The agent has no pod now."
    NOT_CONFINED = "NotConfined", "Isolation None: nothing closes the pod's network."
    FOREIGN_NETWORK_POLICY = "ForeignNetworkPolicy", "A NetworkPolicy that is not ours opens egress to the agent's pod."
    PENDING = "Pending", "Not yet in force."

    POOL_NOT_FOUND = "PoolNotFound", "The AgentPool that the agent names does not exist in its namespace."
    POOL_POLICY_LOOSER = (
        "PoolPolicyLooser",
        "The agent's SecurityPolicy opens more than its pool's, lets it run longer, or lets its cache keep or share "
        "more, and the pool does not allow it.",
    )
    POOL_ISOLATION_WEAKER = "PoolIsolationWeaker", "The pool's template confines less than the agent asks for."
    POOL_POD_WEAKER = "PoolPodWeaker", "The pool's pods do not keep what the agent's SecurityPolicy asks of a pod."
    POOL_RESTARTS_OTHERWISE = (
        "PoolRestartsOtherwise",
        "The pool's pods have another restartPolicy than the agent needs.",
    )
    NOT_GIVEN_WARM = "NotGivenWarm", "The agent asks for what no pod that has started can be given."
    STARTED_COLD = "StartedCold", "The agent has a pod of its own and none of its pool's; the message says why."
    FILE_NOT_WRITABLE = "FileNotWritable", "A file of an agent from a pool lies where its container cannot write."
    NO_WARM_POD = "NoWarmPod", "The agent's pool has no warm pod for it."
    STARTER_PENDING = "StarterPending", "The starter has not handed over yet what the agent is to run."
    STARTER_FAILED = "StarterFailed", "The starter cannot be started or does not stay up, and its pod waits for it."
    STARTER_REFUSED = "StarterRefused", "The starter does not hand over what the agent is to run; the message says why."
    POOL_WARM = "PoolWarm", "The pool has a warm pod for the next agent."
    POOL_EMPTY = "PoolEmpty", "The pool has no warm pod; the message says what its pods wait for."
    TOO_MANY_REPLICAS = "TooManyReplicas", "The pool's size is above its maxSize, and counts as that."
    TOO_FEW_REPLICAS = "TooFewReplicas", "The pool's size is below its minWarm, and counts as that."
    POOL_ROLLING = "PoolRolling", "Warm pods that were made from another template are being replaced."
    STARTER_UNAVAILABLE = "StarterUnavailable", "A pool's pods need a starter, and the operator can make none yet."


MESSAGE_LENGTH = 4096


class Condition(Model):
    """A `metav1.Condition`."""

    type: Annotated[str, Field(min_length=1, max_length=64)]
    """What the condition is about."""

    status: Status
    """Whether it holds: True, False or Unknown."""

    reason: Annotated[str, Field(min_length=1, max_length=128)]
    """Why, in one word that programs may rely on."""

    message: Annotated[str, Field(max_length=MESSAGE_LENGTH)] = ""
    """Why, in a sentence for people."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation of the spec that this was said about."""

    last_transition_time: Timestamp
    """When the status last changed."""


_ORDER = {kind.value: place for place, kind in enumerate(ConditionType)}


def find_condition(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """Return the condition of this type, if there is one."""
    return next((each for each in conditions if each.type == kind), None)


def set_condition(
    conditions: Iterable[Condition],
    kind: str,
    status: Status | bool,
    reason: str,
    message: str = "",
    *,
    now: datetime,
    generation: int | None = None,
) -> tuple[Condition, ...]:
    """Return `conditions` with this one set, in canonical order: Ready, Reconciling, Stalled, then the others.

    `last_transition_time` becomes `now` only where the status differs from the one that was there.
    """
    conditions = tuple(conditions)
    value = status if isinstance(status, Status) else Status(str(status))
    kept = [each for each in conditions if each.type != kind]
    before = find_condition(conditions, kind)
    since = before.last_transition_time if before is not None and before.status == value else now
    fresh = Condition(
        type=str(kind),
        status=value,
        reason=str(reason),
        message=message[:MESSAGE_LENGTH],
        observed_generation=generation,
        last_transition_time=since,
    )
    return _in_order([*kept, fresh])


def remove_condition(conditions: Iterable[Condition], kind: str) -> tuple[Condition, ...]:
    """Return `conditions` without the one of this type."""
    return _in_order(each for each in conditions if each.type != kind)


def _in_order(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    return tuple(sorted(conditions, key=lambda each: (_ORDER.get(each.type, len(_ORDER)), each.type)))
