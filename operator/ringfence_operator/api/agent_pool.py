"""AgentPool: pods that have started and run nothing yet, for agents that claim one."""

from enum import StrEnum
from math import ceil
from typing import Annotated, ClassVar

from pydantic import Field

from ringfence_operator.api.agent import ImagePullSecret, Isolation, RestartPolicy, SecurityPolicyRef
from ringfence_operator.api.agent_status import Conditions, Count
from ringfence_operator.api.compute import Resources
from ringfence_operator.api.custom_resource import Column, CustomResource, Scale
from ringfence_operator.api.duration import Duration, DurationOrZero
from ringfence_operator.api.environment import EnvVar
from ringfence_operator.api.model import Items, Model
from ringfence_operator.api.names import DNS_LABEL, Image, Label, ObjectName
from ringfence_operator.api.rule import ListMap, Rule
from ringfence_operator.api.scheduling import LabelMap, PodMetadata, Toleration, TopologySpreadConstraint
from ringfence_operator.api.sidecar import ConnectorRefs

LOW, LEAST_LOW = 4, 2
"""With fewer than one in so many warm a pool runs low, where it does not say when, and with fewer than so many."""


class PoolTemplate(Model):
    """What a pool's pods are made from: those fields of an Agent that cannot be given to a pod that has started."""

    image: Image
    """Image of the agents' container."""

    image_pull_secrets: Annotated[Items[ImagePullSecret], Field(max_length=8), ListMap(("name",))] = ()
    """Secrets for the image's registry."""

    env: Annotated[Items[EnvVar], Field(max_length=128), ListMap(("name",))] = ()
    """Environment variables; what an agent says itself wins."""

    connectors: ConnectorRefs = ()
    """Connectors that agents may name, each some of them: the pods have a sidecar with the credentials of all. It opens
    nothing before an agent has the pod, and then what that names and each Connector's agentSelector permits."""

    resources: Resources = Resources()
    """Cores, memory and disk of each pod, warm or claimed."""

    isolation: Annotated[
        Isolation, Rule("self != 'None'", "a pool's pods are always confined: write Basic or a stricter level")
    ] = Isolation.CONTAINER
    """How far the agents are confined; the cluster may ask for more, never for less."""

    security_policy_ref: SecurityPolicyRef | None = None
    """What the pods are made for. An agent names a policy of its own: the same, one that is as strict or stricter, or
    one of spec.allowedPolicies."""

    restart_policy: RestartPolicy = RestartPolicy.ALWAYS
    """When the kubelet starts the agents' containers again: Never for Tasks, whose failed pods are replaced whole."""

    node_selector: Annotated[LabelMap, Field(max_length=32)] = Field(default_factory=dict)
    """Labels that a node must have."""

    tolerations: Annotated[Items[Toleration], Field(max_length=32)] = ()
    """Taints that the pods put up with."""

    topology_spread_constraints: Annotated[
        Items[TopologySpreadConstraint], Field(max_length=8), ListMap(("topologyKey", "whenUnsatisfiable"))
    ] = ()
    """How the warm pods spread over the cluster's nodes or zones; those that agents have claimed do not count."""

    pod_metadata: PodMetadata = PodMetadata()
    """Labels and annotations for the pods; what an agent says itself wins."""


class UpdateStrategyType(StrEnum):
    """What becomes of warm pods of another template."""

    RECREATE = "Recreate"
    ON_CLAIM = "OnClaim"


class UpdateStrategy(Model):
    """What becomes of warm pods when the template changes; claimed ones are never touched."""

    type: UpdateStrategyType = UpdateStrategyType.RECREATE
    """Recreate: they are replaced, some at a time, and not handed out any more. OnClaim: they stay until agents have
    claimed them, or maxIdleTime is over, and only what is made anew has the new template. Where isolation,
    securityPolicyRef, restartPolicy, resources, labels, or what of the SecurityPolicy makes a pod are others, they are
    replaced all the same."""


class Refill(Model):
    """How pods are made in the place of those that agents have claimed."""

    delay: Annotated[DurationOrZero, Rule("duration(self) <= duration('10m')", "write a delay of at most 10m")] = 2
    """How long after the last claim a refill begins, so that it does not slow claims down. A pool that runs low, or for
    which an agent waits, does not wait."""

    rate: Annotated[int, Field(ge=1, le=1000)] | None = None
    """The most pods that are made in a second, whatever for; without one there is no such bound."""

    priority_class_name: ObjectName | None = None
    """PriorityClass of the warm pods. A pod keeps it for life, so agents that claim one run with it, too."""


class DeletionPolicy(StrEnum):
    """What becomes of claimed agents when their pool is deleted."""

    ORPHAN = "Orphan"
    DELETE = "Delete"


class AgentPoolSpec(Model):
    """What warm pods are made from, and how many there are."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.minWarm) || !has(self.maxSize) || self.minWarm <= self.maxSize",
            "write a maxSize that is at least minWarm",
            ".maxSize",
        ),
    )

    template: PoolTemplate
    """What the pods are made from; a change replaces the warm ones step by step and leaves claimed ones alone."""

    size: Annotated[int, Field(ge=0, le=10_000)] = 1
    """How many pods wait for an agent, or are starting to; claimed ones do not count."""

    allowed_policies: Annotated[Items[Label], Field(max_length=64)] = ()
    """SecurityPolicies that agents may name although they open more, or let run for longer, than the template's."""

    min_warm: Annotated[int, Field(ge=0, le=10_000)] | None = None
    """With fewer warm (a quarter of size, 2 at least) the pool refills at once; and the least that a size counts as."""

    max_size: Annotated[int, Field(ge=0, le=10_000)] | None = None
    """The most that a size counts as, whoever scales."""

    max_idle_time: (
        Annotated[Duration, Rule("duration(self) >= duration('1m')", "write a maxIdleTime of at least 1m")] | None
    ) = None
    """How long a pod may be warm. It is replaced then, some at a time, and goes when another is warm."""

    update_strategy: UpdateStrategy = UpdateStrategy()
    """What becomes of warm pods when the template changes."""

    refill: Refill = Refill()
    """How pods are made in the place of those that agents have claimed."""

    deletion_policy: DeletionPolicy = DeletionPolicy.ORPHAN
    """Whether Agents that have a pod of the pool stay (Orphan) or go with it (Delete) when the pool is deleted."""

    @property
    def wanted_size(self) -> int:
        """The size as far as minWarm and maxSize let it."""
        most = self.size if self.max_size is None else min(self.size, self.max_size)
        return max(most, self.min_warm or 0)

    @property
    def low_mark(self) -> int:
        """With fewer warm pods than these the pool runs low."""
        size = self.wanted_size
        return max(ceil(size / LOW), min(LEAST_LOW, size)) if self.min_warm is None else self.min_warm


class AgentPoolStatus(Model):
    """What the operator saw when it last looked at the pool."""

    observed_generation: Annotated[int, Field(ge=-1)] = -1
    """Generation of the spec that this status is about; -1 before the operator has looked."""

    conditions: Conditions = ()
    """What holds and what does not, in the form that kubectl wait, Argo CD and Flux read."""

    warm: Count = 0
    """Pods that an agent can claim now."""

    starting: Count = 0
    """Pods that are on the way there."""

    claimed: Count = 0
    """Pods that agents have claimed and still have."""

    failed: Count = 0
    """Pods that have failed, or that cannot start as they are, and are not counted as starting."""

    hits: Annotated[int, Field(ge=0)] = 0
    """Agents that found a warm pod at once. What the last second before a crash of the operator had is lost."""

    misses: Annotated[int, Field(ge=0)] = 0
    """Agents that found none."""

    replicas: Count = 0
    """Pods that wait for an agent or are starting to, for the scale subresource."""

    updated_replicas: Count = 0
    """Of those, how many are of the present template. The others are of an earlier one, and are handed out first."""

    outdated_replicas: Count = 0
    """Pods of an earlier template that agents do not get any more, and that are being replaced; not in replicas."""

    update_revision: Annotated[str, Field(max_length=64)] = ""
    """Revision of the present template, with what its SecurityPolicy and the cluster say of its pods: those made from
    it have it as annotation ringfence.dev/template-hash."""

    current_revision: Annotated[str, Field(max_length=64)] = ""
    """Revision of the pod that the next agent gets, which may be an earlier one; empty while none is warm."""

    selector: Annotated[str, Field(max_length=253)] = ""
    """Selects those pods, for the scale subresource."""


class AgentPool(CustomResource):
    """Warm pods: an Agent with poolRef claims one, and runs at once."""

    kind: ClassVar[str] = "AgentPool"
    plural: ClassVar[str] = "agentpools"
    short_name: ClassVar[str] = "rfpool"
    scale: ClassVar[Scale | None] = Scale(".spec.size", ".status.replicas", ".status.selector")
    selectable_fields: ClassVar[tuple[str, ...]] = (".spec.template.securityPolicyRef.name",)
    columns: ClassVar[tuple[Column, ...]] = (
        Column("Size", ".spec.size", "Pods that are to wait.", type="integer"),
        Column("Warm", ".status.warm", "Pods that an agent can claim now.", type="integer"),
        Column("Starting", ".status.starting", "Pods that are on the way there.", type="integer"),
        Column("Claimed", ".status.claimed", "Pods that agents have.", type="integer"),
        Column("Ready", ".status.conditions[?(@.type=='Ready')].status", "Whether the next agent finds a warm pod."),
        Column("Age", ".metadata.creationTimestamp", "Time since the AgentPool was created.", type="date"),
        Column("Failed", ".status.failed", "Pods that failed, or cannot start.", type="integer", wide=True),
        Column("Hits", ".status.hits", "Agents that found a warm pod at once.", type="integer", wide=True),
        Column("Misses", ".status.misses", "Agents that found none.", type="integer", wide=True),
        Column(
            "Policy", ".spec.template.securityPolicyRef.name", "SecurityPolicy that its pods are made for.", wide=True
        ),
        Column("Reason", ".status.conditions[?(@.type=='Ready')].reason", "Why it is or is not ready.", wide=True),
        Column("Message", ".status.conditions[?(@.type=='Ready')].message", "The reason as a sentence.", wide=True),
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"self.metadata.name.matches('{DNS_LABEL}') && size(self.metadata.name) <= 57",
            "the pool's pods carry its name and six characters more: write metadata.name with at most 57 lower-case"
            " letters, digits and -",
        ),
    )

    spec: AgentPoolSpec
    """What warm pods are made from, and how many there are."""

    status: AgentPoolStatus = AgentPoolStatus()
    """What the operator saw."""
