"""Where an agent's pod may run, and what it carries there."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from ringfence_operator.api.model import Model, StringMap
from ringfence_operator.api.rule import Rule

LabelValue = Annotated[str, Field(max_length=63)]
LabelKey = Annotated[
    str,
    Field(min_length=1, max_length=317),
    Rule("!format.qualifiedName().validate(self).hasValue()", "write a key such as app or example.com/team"),
]

LABEL_KEYS = Rule(
    "self.all(key, !format.qualifiedName().validate(key).hasValue())", "write keys such as app or example.com/team"
)
LABEL_VALUES = Rule(
    "self.all(key, !format.labelValue().validate(self[key]).hasValue())",
    "write values of letters, digits, -, _ and ., with a letter or digit at both ends",
)
NOT_OURS = Rule(
    "!self.exists(key, key.startsWith('ringfence.dev/') || key.contains('.ringfence.dev/'))",
    "keys under ringfence.dev/ belong to the operator: choose a prefix of your own",
)

_RUNTIME = "^(io[.]katacontainers|dev[.]gvisor|io[.]kubernetes[.]cri|io[.]containerd|cri-o|io[.]cilium)"
_DOMAINS = "|".join(
    (
        "security[.](alpha|beta)[.]kubernetes[.]io",  # seccomp, AppArmor, unsafe sysctls
        "cri-?o[.]io",
        "nri[.]io|cdi[.]k8s[.]io",  # both inject devices
        # Other networks and addresses, past every NetworkPolicy.
        "cni[.]cncf[.]io|multus-cni[.]io|projectcalico[.]org|ovn[.]kubernetes[.]io|ovn[.]org|cilium[.]io|antrea[.]io",
        # Webhooks that put containers, or tokens, into the pod.
        "istio[.]io|linkerd[.]io|vault[.]hashicorp[.]com|azure[.]workload[.]identity|eks[.]amazonaws[.]com",
        "run[.]oci",
    )
)
NOT_CONFINEMENT = Rule(
    f"!self.exists(key, key.matches('{_RUNTIME}') || key.matches('(^|[.])({_DOMAINS})(/|$)'))",
    "keys for the container runtime, the network plug-in or a webhook that adds containers or tokens"
    " could loosen the confinement: leave them out",
)
LabelMap = Annotated[StringMap[LabelValue], LABEL_KEYS, LABEL_VALUES]


class TolerationOperator(StrEnum):
    """How a toleration compares."""

    EQUAL = "Equal"
    EXISTS = "Exists"


class TaintEffect(StrEnum):
    """What a taint does to pods that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(Model):
    """Lets the pod run on nodes with a matching taint."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.operator != 'Exists' || !has(self.value) || self.value == ''", "Exists takes no value: leave it out"
        ),
        Rule("self.operator != 'Equal' || has(self.key)", "name the taint's key, or write operator: Exists"),
        Rule(
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "tolerationSeconds needs effect: NoExecute",
        ),
    )

    key: LabelKey | None = None
    """Key of the taint; with operator Exists, absence means every taint."""

    operator: TolerationOperator = TolerationOperator.EQUAL
    """Whether the value must be equal or the key is enough."""

    value: LabelValue | None = None
    """Value of the taint."""

    effect: TaintEffect | None = None
    """Effect of the taint; absence means every effect."""

    toleration_seconds: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    """Seconds that the pod may stay after the taint appeared."""


class UnsatisfiableAction(StrEnum):
    """What becomes of a pod that cannot be placed as evenly as asked for."""

    DO_NOT_SCHEDULE = "DoNotSchedule"
    SCHEDULE_ANYWAY = "ScheduleAnyway"


class TopologySpreadConstraint(Model):
    """How evenly pods spread over the values of a node's label."""

    topology_key: LabelKey
    """The label, such as kubernetes.io/hostname or topology.kubernetes.io/zone."""

    max_skew: Annotated[int, Field(ge=1, le=1000)] = 1
    """By how many pods two values of the label may differ."""

    when_unsatisfiable: UnsatisfiableAction = UnsatisfiableAction.SCHEDULE_ANYWAY
    """Whether a pod that would make it uneven waits, or is placed all the same."""


class PodMetadata(Model):
    """Labels and annotations for the agent's pod."""

    labels: Annotated[LabelMap, Field(max_length=32), NOT_OURS, NOT_CONFINEMENT] = Field(default_factory=dict)
    """Labels to add to the pod."""

    annotations: Annotated[
        StringMap[Annotated[str, Field(max_length=4096)]],
        Field(max_length=32),
        LABEL_KEYS,
        NOT_OURS,
        NOT_CONFINEMENT,
        Rule(
            "self.map(key, size(bytes(self[key]))).sum() <= 65536",
            "annotations may hold 64 KiB in all: move what is larger to a ConfigMap, and list it under files",
        ),
    ] = Field(default_factory=dict)
    """Annotations to add to the pod."""
