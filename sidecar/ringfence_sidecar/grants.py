"""What a call may use of what quotas limit, for connectors to keep to."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, Protocol

from ringfence_sidecar.envelope import Notice


class Held(Protocol):
    """What is held outside of calls: it goes back to the limits that it was taken from, whichever hold by then."""

    async def release(self, amount: float) -> None:
        """Give back some of it; no more than is left."""


@dataclass(slots=True, eq=False)
class Grants:
    """Resource → the most that a call may use; what no limit holds for is not in it."""

    amounts: Mapping[str, float] = field(default_factory=dict)
    short: AbstractSet[str] = frozenset()
    """Of these it was granted less than was asked for."""
    quotas: Mapping[str, str] = field(default_factory=dict)
    """Resource → the quotas that limit it, as a text."""
    timed_by: str = "querySeconds"
    """Which resource `querySeconds` is cut for: credits are used by the second."""
    held: Held | None = None
    """Takes back, later, what stays held when the call has ended."""

    def __contains__(self, resource: str) -> bool:
        return resource in self.amounts

    def renew(self, other: "Grants") -> None:
        """Take over what was granted for the next piece of a stream."""
        self.amounts, self.short, self.quotas, self.held = other.amounts, other.short, other.quotas, other.held
        self.timed_by = other.timed_by

    def less(self, used: Mapping[str, float]) -> "Grants":
        """Return what is left once so much has been used."""
        left = {each: max(0.0, amount - used.get(each, 0)) for each, amount in self.amounts.items()}
        return Grants(left, short=self.short, quotas=self.quotas, held=self.held, timed_by=self.timed_by)

    def most(self, resource: str, otherwise: float) -> float:
        """Return how much may be used: what was granted, and no more than `otherwise`."""
        return min(self.amounts.get(resource, otherwise), otherwise)

    def whole(self, resource: str, otherwise: int) -> int:
        """Return the same as a whole number."""
        return int(self.most(resource, otherwise))

    def is_short(self, resource: str) -> bool:
        """Return True if less was granted than was asked for: then what was cut, was cut by a quota."""
        return resource in self.short

    def said(self, resource: str) -> str:
        """Return which quota leaves how much."""
        return f"{self.quotas.get(resource, 'a quota')} leaves {self.amounts[resource]:g} {resource}"

    def notice(self, resource: str) -> Notice:
        """Return the warning of an answer that was cut to what was granted."""
        return Notice("QuotaCut", f"{self.said(resource)}, so the rest is not here")


UNLIMITED: Final = Grants()
