"""Where an agent's pod may run, and what it carries there."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from ringfence_operator.api.model import Model, StringMap
from ringfence_operator.api.rule import Rule

LabelValue = Annotated[str, Field(max_length=63)]
LABEL_VALUES = Rule(
    "self.all(key, !format.labelValue().validate(self[key]).hasValue())",
    "write label values of at most 63 letters, digits, -, _ and ., with a letter or digit at both ends",
)
LABEL_KEYS = Rule(
    "self.all(key, !format.qualifiedName().validate(key).hasValue())",
    "write keys such as app or example.com/team: at most 63 letters, digits, -, _ and . after the slash",
)
NOT_OURS = Rule(
    "!self.exists(key, key.startsWith('ringfence.dev/') || key.contains('.ringfence.dev/'))",
    "keys under ringfence.dev/ belong to the operator: choose a prefix of your own",
)
_CONFINEMENT = (
    "container[.](seccomp|apparmor)[.]security[^/]*[.]kubernetes[.]io|"
    "seccomp[.]security[^/]*[.]kubernetes[.]io|"
    "([^/]*[.])?(io[.]katacontainers|dev[.]gvisor|io[.]kubernetes[.]cri|io[.]containerd)[^/]*|"
    "([^/]*[.])?(katacontainers[.]io|gvisor[.]dev|cri-o[.]io)"
)
NOT_CONFINEMENT = Rule(
    "self.all(key, !key.matches('^(io[.]katacontainers|dev[.]gvisor|io[.]kubernetes[.]cri|"
    "io[.]containerd|cri-o|container[.]seccomp[.]security|container[.]apparmor[.]security|seccomp[.]security)'))",
    "annotations that speak to the container runtime could loosen the confinement: leave them out",
)


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

    key: Annotated[str, Field(min_length=1, max_length=317)] | None = None
    """Key of the taint; with operator Exists, absence means every taint."""

    operator: TolerationOperator = TolerationOperator.EQUAL
    """Whether the value must be equal or the key is enough."""

    value: LabelValue | None = None
    """Value of the taint."""

    effect: TaintEffect | None = None
    """Effect of the taint; absence means every effect."""

    toleration_seconds: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    """Seconds that the pod may stay after the taint appeared."""


class PodMetadata(Model):
    """Labels and annotations for the agent's pod."""

    labels: Annotated[StringMap[LabelValue], Field(max_length=32), LABEL_KEYS, LABEL_VALUES, NOT_OURS] = Field(
        default_factory=dict
    )
    """Labels to add to the pod."""

    annotations: Annotated[
        StringMap[Annotated[str, Field(max_length=4096)]], Field(max_length=32), LABEL_KEYS, NOT_OURS, NOT_CONFINEMENT
    ] = Field(default_factory=dict)
    """Annotations to add to the pod."""
