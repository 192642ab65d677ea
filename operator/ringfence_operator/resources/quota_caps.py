"""What quotas make of an agent's share of its node: of several limits the strictest."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ringfence_operator.api.quantity import parse_quantity
from ringfence_operator.api.quota import Quota
from ringfence_operator.api.quota_matrix import Resource

NODE_NAMES = {
    Resource.MEMORY: "memory",
    Resource.CPU: "cpu",
    Resource.EPHEMERAL_STORAGE: "ephemeral-storage",
    Resource.NETWORK_BANDWIDTH: "network-bandwidth",
}
"""What the node keeps, by the names that pods and `status.effective` have for it."""


@dataclass(frozen=True, slots=True)
class Cap:
    """The most that an agent may have of something, and the quota that says so."""

    value: str
    quota: str


Caps = Mapping[str, Cap]
NO_CAPS: Caps = {}


def caps_of(quotas: Iterable[Quota]) -> dict[str, Cap]:
    """Return the strictest limit on each thing that the node keeps; of equal ones, that of the first quota."""
    found: dict[str, Cap] = {}
    for quota in quotas:
        for limit in quota.spec.limits:
            name = NODE_NAMES.get(limit.resource)
            if name is None:
                continue
            before = found.get(name)
            if before is None or parse_quantity(limit.max) < parse_quantity(before.value):
                found[name] = Cap(limit.max, quota.metadata.name)
    return found
