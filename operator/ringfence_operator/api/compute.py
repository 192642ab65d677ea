"""What an agent may use of a node: cores, memory and disk."""

from typing import ClassVar

from pydantic import Field

from ringfence_operator.api.model import Model
from ringfence_operator.api.quantity import Bytes, Cores
from ringfence_operator.api.rule import Rule


def _within_limit(resource: str) -> Rule:
    requested, limit = f"self.requests[?'{resource}']", f"self.limits[?'{resource}']"
    return Rule(
        f"!has(self.requests) || !has(self.limits) || !{requested}.hasValue() || !{limit}.hasValue()"
        f" || !isQuantity(string({requested}.value())) || !isQuantity(string({limit}.value()))"
        f" || quantity(string({requested}.value())).compareTo(quantity(string({limit}.value()))) <= 0",
        f"requests.{resource} is above limits.{resource}: write a request that is at most the limit",
    )


class ResourceList(Model):
    """Amounts of the three resources that an agent may ask for."""

    cpu: Cores | None = None
    """Cores, such as 500m or 2."""

    memory: Bytes | None = None
    """Bytes of memory, such as 512Mi."""

    ephemeral_storage: Bytes | None = Field(None, alias="ephemeral-storage")
    """Bytes on the node's disk: image layers written to, logs and writable paths."""


class Resources(Model):
    """What the agent's container is promised, and the most that it gets."""

    rules: ClassVar[tuple[Rule, ...]] = tuple(
        _within_limit(resource) for resource in ("cpu", "memory", "ephemeral-storage")
    )

    requests: ResourceList = ResourceList()
    """What the scheduler sets aside for the agent."""

    limits: ResourceList = ResourceList()
    """The most that the agent may use."""
