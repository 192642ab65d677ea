"""What is known of the use of a quota's limits: what the parts of the system that keep them say, in one form."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.quota import Quota


@dataclass(frozen=True, slots=True)
class Warned:
    """Use came to a percentage of `warnAt`."""

    percent: int
    agent: str
    """Name of the agent that was told; empty where nobody knows."""
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Where one limit stands."""

    used: float
    """What is compared with `max`, in its unit: of a Shared limit all of it, else that of the agent with the most."""
    is_measured: bool = True
    """False where nobody knows what is used: that is not 0."""
    is_awaited: bool = False
    """True where nobody knows it yet, and will soon: what the status says of it holds until then."""
    per_agent: Mapping[str, float] = field(default_factory=dict)
    """Name of the agent → what it has used."""
    most: Mapping[str, str] = field(default_factory=dict)
    """Name of the agent → the most that it may use, a quantity, where others leave it less than the limit does."""
    resets_at: datetime | None = None
    """When something of it is free again, where that is known."""
    refusals: int = 0
    """How often it has refused at least, as far as is known now: what was counted may be forgotten, and begin anew."""
    seen_refusals: int = 0
    """How often it was seen to refuse since this process began to look; it only grows."""
    refused_at: datetime | None = None
    """When it refused last."""
    refused_agent: str = ""
    """Name of the agent that it refused last."""
    refused: Mapping[str, datetime] = field(default_factory=dict)
    """Name of the agent → when it was refused last, where that is known of each."""
    warned: tuple[Warned, ...] = ()
    """When calls were warned last, of each agent and percentage: in short windows, use may be less again before anybody
    looks. Empty where no call was, or none is: then what use comes to is what is seen of it."""
    caveat: str = ""
    """What of it is not kept, though it is as its documentation says."""
    trouble: tuple[Reason, str] | None = None
    """Why the limit is not kept as it is written, and what to do about it; None where it is."""

    @property
    def refusals_by_agent(self) -> Mapping[str, datetime]:
        """Name of the agent → when it was refused last, as far as that is known."""
        return self.refused or ({self.refused_agent: self.refused_at} if self.refused_at else {})


class LimitSource(Protocol):
    """One part of the system that keeps limits: the node, the operator, the gateway, or the sidecars."""

    def uses(self, quota: Quota) -> Mapping[str, Use]:
        """Return `Limit.id` → use, for those of the quota's limits that this part keeps and knows of.

        Asked on each pass over a quota, at most once in some seconds: it answers from memory and asks nobody.
        """


OnUse = Callable[[tuple[str, str]], None]
"""To be called by a source with namespace and name of each quota of which it would answer something else than before;
`Changes.quota_stands_otherwise` is one. Many calls cost one pass."""
