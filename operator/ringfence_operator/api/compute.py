"""What an agent may use of a node: cores, memory and disk."""

from typing import ClassVar

from pydantic import Field

from ringfence_operator.api.model import Model
from ringfence_operator.api.quantity import Bytes, Cores
from ringfence_operator.api.rule import Rule


def _within_limit(resource: str) -> Rule:
    """Return the rule that the request for `resource` is at most its limit."""
    field = resource.replace("-", "__dash__")  # CEL's escape for names that are not identifiers
    requested, limit = f"string(self.requests.{field})", f"string(self.limits.{field})"
    given = f"has(self.requests) && has(self.requests.{field}) && has(self.limits) && has(self.limits.{field})"
    return Rule(
        f"!({given} && isQuantity({requested}) && isQuantity({limit}))"
        f" || quantity({requested}).compareTo(quantity({limit})) <= 0",
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

    def by_name(self) -> dict[str, str]:
        """Return the amounts that are given, by the names that a pod has for them."""
        given = {"cpu": self.cpu, "memory": self.memory, "ephemeral-storage": self.ephemeral_storage}
        return {name: amount for name, amount in given.items() if amount is not None}


class Resources(Model):
    """What the agent's container is promised, and the most that it gets."""

    rules: ClassVar[tuple[Rule, ...]] = tuple(
        _within_limit(resource) for resource in ("cpu", "memory", "ephemeral-storage")
    )

    requests: ResourceList = ResourceList()
    """What the scheduler sets aside for the agent."""

    limits: ResourceList = ResourceList()
    """The most that the agent may use."""
