"""Buckets: a limit as it holds for one agent, and what is asked of it."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ringfence_sidecar.configuration import Limit
from ringfence_sidecar.quota import DIVISIBLE, LEAST
from ringfence_sidecar.quotas.windows import Shape

OF_CALLS = frozenset({"concurrentCalls"})
"""Held while a call runs, and never after it."""
COSTS = frozenset({"queries", "querySeconds", "credits", "bytesScanned", "messagesPublished"})
"""What is paid for, or cannot be taken back: refused while the store is away, unless the limit says otherwise."""


@dataclass(frozen=True, slots=True, eq=False)
class Bucket:
    """A limit, and where it is counted."""

    limit: Limit
    shape: Shape
    key: str
    """Without the namespace's prefix. Two with the same are the same, whatever else of the limit has changed."""
    warns: bool
    """Whether there is ever anything to warn of."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bucket) and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.key)

    @classmethod
    def of(cls, limit: Limit, agent: str) -> "Bucket":
        """Return the bucket of the agent with this UID."""
        shape = Shape(limit.window, limit.calendar)
        window = f"{limit.window}/calendar" if limit.calendar else limit.window
        owner = "Shared" if limit.shared else agent
        warns = bool(limit.warn_at) or limit.enforcement == "Warn"
        return cls(limit, shape, f"quota:{limit.quota_uid}:{limit.resource}:{window}:{owner}", warns)

    @property
    def scope(self) -> str:
        """As the Quota writes it."""
        return "Shared" if self.limit.shared else "PerAgent"

    @property
    def is_missing(self) -> bool:
        """Whether its Quota does not exist, so that nobody knows how much it would permit."""
        return not self.limit.quota_uid

    @property
    def rule(self) -> str:
        """What names it in problems and in the audit."""
        return f"quota/{self.limit.quota}/{self.limit.resource}"

    def when_away(self, *, writes: bool) -> str:
        """Return what to do with a call while the store is away: Deny, Local or Allow."""
        if self.limit.on_store_unavailable:
            return self.limit.on_store_unavailable
        if self.limit.enforcement == "Warn":
            return "Allow"
        return "Deny" if writes or self.limit.resource in COSTS else "Local"

    @property
    def is_shared_out(self) -> bool:
        """Whether a pod may have to go by its share of it while the store is away."""
        is_kept = self.limit.shared and self.limit.enforcement != "Warn"
        return is_kept and self.when_away(writes=False) == "Local"


class Asked(NamedTuple):
    """What a call wants of a bucket."""

    bucket: Bucket
    amount: float
    needs: float = 0.0
    """What it can do with, if other than usual."""

    @property
    def least(self) -> float:
        """What it can do with: less than it asked for, of what can be cut."""
        resource = self.bucket.limit.resource
        if resource not in DIVISIBLE:
            return self.amount
        return min(self.amount, self.needs or LEAST.get(resource, 1.0))


class Figures(NamedTuple):
    """Where a bucket stood."""

    used: float
    """In the window; of what is held, nothing."""
    reserved: float
    """Granted and not settled, or held."""
    resets_at: float | None
    """Monotonic time at which something is free again; None for what is held."""
    at: float
    """Monotonic time of the look."""

    @property
    def taken(self) -> float:
        """What cannot be granted any more."""
        return self.used + self.reserved

    @property
    def free_at(self) -> float | None:
        """Seconds since the epoch, whole ones, at which something is free again; None if nothing is added up."""
        if self.resets_at is None or not self.used:
            return None
        return float(round(time.time() + self.resets_at - time.monotonic()))


@dataclass(frozen=True, slots=True)
class Short:
    """A bucket that has too little left."""

    asked: Asked
    figures: Figures
    wait: float | None
    """Seconds until enough is free; None where that hangs on what calls hold that are under way."""

    @property
    def may_wait(self) -> bool:
        """False if the limit refuses at once."""
        return self.asked.bucket.limit.enforcement != "Hard"


@dataclass(frozen=True, slots=True)
class Refused:
    """Too little is left of some buckets, and nothing was granted."""

    short: tuple[Short, ...]

    @property
    def is_final(self) -> bool:
        """True if one of them does not let calls wait."""
        return any(not each.may_wait for each in self.short)

    def counted(self, *, final: bool) -> list[Bucket]:
        """Return those that have refused: of those that let calls wait, once that is over (`final`)."""
        return [each.asked.bucket for each in self.short if final or not each.may_wait]


Grants = dict[Bucket, float]


def least_of(grants: Iterable[tuple[Bucket, float]]) -> dict[str, float]:
    """Return what may be used of each resource: the strictest bucket decides."""
    found: dict[str, float] = {}
    for bucket, amount in grants:
        resource = bucket.limit.resource
        found[resource] = min(found.get(resource, amount), amount)
    return found


def outcome(grants: Grants, used: Mapping[str, float], released: float) -> tuple[Grants, Grants]:
    """Return what stays held of a lot, of which so much has been given back already, and what is spent."""
    stays: Grants = {}
    spent: Grants = {}
    for bucket in grants:
        resource = bucket.limit.resource
        amount = used.get(resource, 0.0)
        if not bucket.shape.is_held:
            spent[bucket] = amount
        elif resource not in OF_CALLS and amount > released:
            stays[bucket] = amount - released
    return stays, spent
