"""What an Agent says of the pool that its pod comes from, and what it cannot say besides."""

from enum import StrEnum

from ringfence_operator.api.model import Model
from ringfence_operator.api.names import Label
from ringfence_operator.api.rule import Rule


class PoolRef(Model):
    """Names an AgentPool in the agent's namespace."""

    name: Label
    """Name of the AgentPool."""


class OnMiss(StrEnum):
    """What becomes of an agent whose pool has no warm pod for it."""

    WAIT = "Wait"
    COLD = "Cold"
    FAIL = "Fail"


# Each look at a field of `self` costs the API server a map of all fields of spec, in every write of an agent. So what
# most agents leave out is asked for first, and a rule is one look for them.


def _only(condition: str, message: str, path: str) -> Rule:
    """Return the rule that `condition` holds for an agent from a pool."""
    return Rule(f"{condition} || !has(self.poolRef)", message, path)


def _only_cold(condition: str, message: str, path: str) -> Rule:
    """Return the rule that `condition` holds for an agent from a pool, unless it may start cold."""
    return Rule(
        f"{condition} || !has(self.poolRef) || (has(self.onMiss) && self.onMiss == 'Cold')",
        f"{message}; or write onMiss: Cold, with which the agent gets a pod of its own",
        path,
    )


def _empty(field: str) -> str:
    return f"!has(self.{field}) || size(self.{field}) == 0"


def _given_by_template(field: str, condition: str) -> Rule:
    return _only(
        f"({condition})", f"write {field} in spec.template of the AgentPool, and leave it out here", f".{field}"
    )


_AMOUNTS = " && ".join(
    f"(!has(self.resources.{kind}) || !has(self.resources.{kind}.{name}))"
    for kind in ("requests", "limits")
    for name in ("cpu", "memory", "ephemeral__dash__storage")
)

POOL_RULES = (
    Rule("has(self.image) || has(self.poolRef)", "write an image, or poolRef to take a pod from a pool", ".image"),
    Rule(
        "!has(self.onMiss) || has(self.poolRef)",
        "onMiss says what happens without a warm pod: write poolRef, or leave it out",
        ".onMiss",
    ),
    _only(
        "(has(self.command) && size(self.command) > 0)",
        "write command: a pool's pods have started already, and what the image would run is not known",
        ".command",
    ),
    _given_by_template("image", "!has(self.image)"),
    _given_by_template("imagePullSecrets", _empty("imagePullSecrets")),
    _given_by_template("nodeSelector", _empty("nodeSelector")),
    _given_by_template("tolerations", _empty("tolerations")),
    _given_by_template("resources", f"!has(self.resources) || ({_AMOUNTS})"),
    _only_cold(
        "!has(self.env) || !self.env.exists(e, has(e.valueFrom))",
        "variables of an agent from a pool have a value: write valueFrom in spec.template.env of the AgentPool",
        ".env",
    ),
    _only_cold(_empty("envFrom"), "a pool's pods have started already: write env, and leave envFrom out", ".envFrom"),
    _only_cold("!has(self.workspace)", "a pool's pods have no workspace: leave workspace or poolRef out", ".workspace"),
    _only_cold(
        "!has(self.priorityClassName)",
        "a pool's pods are scheduled already: leave priorityClassName or poolRef out",
        ".priorityClassName",
    ),
    _only_cold(
        "!has(self.probes) || (!has(self.probes.startup) && !has(self.probes.readiness) && !has(self.probes.liveness))",
        "a pool's pods have started already: leave probes or poolRef out",
        ".probes",
    ),
)
