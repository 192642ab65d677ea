"""What a call may use of what it was granted less of than it asked for, for connectors to cut it to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ringfence_sidecar.envelope import Notice


@dataclass(frozen=True, slots=True)
class Grants:
    """Resource → the most that this call may use; what no limit holds for is not in it."""

    amounts: Mapping[str, float] = field(default_factory=dict)
    quotas: Mapping[str, str] = field(default_factory=dict)
    """Resource → the quotas that limit it, as a text."""

    def __contains__(self, resource: str) -> bool:
        return resource in self.amounts

    def most(self, resource: str, otherwise: float) -> float:
        """Return how much may be used: what was granted, and no more than `otherwise`."""
        return min(self.amounts.get(resource, otherwise), otherwise)

    def whole(self, resource: str, otherwise: int) -> int:
        """Return the same as a whole number."""
        return int(self.most(resource, otherwise))

    def cuts(self, resource: str, otherwise: float) -> bool:
        """Return True if less was granted than `otherwise`."""
        return self.most(resource, otherwise) < otherwise

    def said(self, resource: str) -> str:
        """Return which quota leaves how much."""
        return f"{self.quotas.get(resource, 'a quota')} leaves {self.amounts[resource]:g} {resource}"

    def notice(self, resource: str) -> Notice:
        """Return the warning of an answer that was cut to what was granted."""
        name = self.quotas.get(resource, "")
        return Notice("QuotaCut", f"{self.said(resource)}, so the rest is not here", name, resource)


UNLIMITED: Final = Grants()
