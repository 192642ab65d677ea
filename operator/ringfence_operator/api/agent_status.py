"""What the operator says about an Agent."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from ringfence_operator.api.conditions import Condition
from ringfence_operator.api.model import Items, Model, Timestamp
from ringfence_operator.api.rule import ListMap
from ringfence_operator.api.run_time import RunTime

Short = Annotated[str, Field(max_length=253)]
Conditions = Annotated[Items[Condition], Field(max_length=16), ListMap(("type",))]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]


class AgentState(StrEnum):
    """One word for people; programs read the conditions."""

    PENDING = "Pending"
    STARTING = "Starting"
    RUNNING = "Running"
    RESTARTING = "Restarting"
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    TERMINATING = "Terminating"


class Source(StrEnum):
    """Who set a value that is in force."""

    AGENT = "Agent"
    SECURITY_POLICY = "SecurityPolicy"
    DEFAULT = "Default"
    CEILING = "Ceiling"
    ISOLATION = "Isolation"
    CLUSTER = "Cluster"
    QUOTA = "Quota"


class EffectiveValue(Model):
    """A limit that is in force, and where it came from."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    """What is limited."""

    value: Annotated[str, Field(max_length=1024)]
    """The value in force."""

    source: Source
    """Who set it: the strictest of those who had a say."""

    object: Short | None = None
    """Name of the Quota, where one set it."""


class LastFailure(Model):
    """The last pod that failed."""

    pod_uid: Short = Field(alias="podUID")
    """UID of the pod; a failure is counted once for each."""

    time: Timestamp
    """When it was seen to have failed."""


class LastExit(Model):
    """How the agent's container last ended."""

    code: Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
    """Exit code."""

    signal: Annotated[int, Field(ge=0, le=255)] | None = None
    """Signal that ended it, if one did."""

    reason: Annotated[str, Field(max_length=128)] = ""
    """The container runtime's word for it, such as Completed, Error or OOMKilled."""

    oom_killed: bool = False
    """Whether it was killed for using more memory than its limit."""

    time: Timestamp | None = None
    """When it ended."""

    message: Annotated[str, Field(max_length=4096)] | None = None
    """What the container left in its termination message."""

    memory_limit: EffectiveValue | None = None
    """The memory limit that it passed, and who set it, where it was killed for that."""


class AgentStatus(Model):
    """What the operator saw when it last looked at the agent."""

    observed_generation: Annotated[int, Field(ge=-1)] = -1
    """Generation of the spec that this status is about; -1 before the operator has looked."""

    conditions: Conditions = ()
    """What holds and what does not, in the form that kubectl wait, Argo CD and Flux read."""

    state: AgentState | None = None
    """One word for people; programs read the conditions."""

    pod_name: Short | None = None
    """Name of the agent's pod."""

    pod_uid: Short | None = Field(None, alias="podUID")
    """UID of the agent's pod."""

    node_name: Short | None = None
    """Node that the pod runs on."""

    started_at: Timestamp | None = None
    """When the agent first ran; maxExecutionTime counts from here."""

    finished_at: Timestamp | None = None
    """When the agent came to its end; ttlAfterFinished counts from here."""

    restarts: Count = 0
    """Restarts of the present pod's container, and the pods that failed before it."""

    failures: Count = 0
    """Pods that failed in a row; the back-off depends on it."""

    last_failure: LastFailure | None = None
    """The last pod that failed."""

    last_exit: LastExit | None = None
    """How the container last ended."""

    workspace_claim: Short | None = None
    """PersistentVolumeClaim that holds the workspace."""

    effective: Annotated[Items[EffectiveValue], Field(max_length=64), ListMap(("name",))] = ()
    """The limits in force, and where each came from; of limits on calls, which Quota decides where several limit the
    same, such as queries/Hour/PerAgent."""

    run_time: RunTime | None = None
    """How long the agent's pods ran, where a Quota limits that for each agent."""

    spec_hash: Annotated[str, Field(max_length=128)] | None = None
    """Hash of those fields of the spec that the running pod was made from."""
