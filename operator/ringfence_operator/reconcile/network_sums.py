"""What counts against a limit on bytes: of a shared one, all that its agents used while they were its agents."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from ringfence_operator.api.quota import Limit
from ringfence_operator.api.quota_matrix import Scope
from ringfence_operator.reconcile.network_quota import Held
from ringfence_operator.reconcile.network_use import NetworkUse, first_slot, free_at, window_of

Slots = Mapping[str, Mapping[int, int]]
"""Window, as meters call it → slot → bytes."""


@dataclass(frozen=True, slots=True)
class Parted:
    """An agent for which a quota holds no more: what it had used by then, and when that was."""

    at: datetime
    slots: Slots

    def used(self, limit: Limit, *, now: datetime) -> int:
        """Return what of it counts against the limit now."""
        return sum(counting(self.slots, limit, now=now).values())


def counting(slots: Slots, limit: Limit, *, now: datetime) -> dict[int, int]:
    """Return those slots of the limit's window that count now, and in which anything was used."""
    first = first_slot(limit, now)
    return {slot: count for slot, count in slots.get(window_of(limit), {}).items() if slot >= first and count}


class CountedUse:
    """A `network_quota.Usage`; each sum is made once.

    `members` are by the quota's UID those for which it holds, or has held as long as they had a pod; `parted` those for
    which it does not, though they may go on.
    """

    def __init__(
        self, use: NetworkUse, members: Mapping[str, set[str]], parted: Mapping[str, Mapping[str, Parted]]
    ) -> None:
        self._use = use
        self._members = members
        self._parted = parted
        self._sums: dict[tuple[str, str], int] = {}

    def used(self, held: Held, agent: str, *, now: datetime) -> int:
        """Return the bytes that count against the limit for the agent with this UID."""
        if held.limit.scope is not Scope.SHARED:
            return self._use.used((agent,), held.limit, now=now)
        if held.bucket not in self._sums:
            present = self._use.used(self._members.get(held.uid, ()), held.limit, now=now)
            parted = self._parted.get(held.uid, {}).values()
            self._sums[held.bucket] = present + sum(each.used(held.limit, now=now) for each in parted)
        return self._sums[held.bucket]

    def frees_at(self, held: Held, agent: str, *, now: datetime) -> datetime | None:
        """Return when something of it counts no more, None if nothing counts now."""
        found = [slot for slots in self._slots(held, agent) for slot in counting(slots, held.limit, now=now)]
        return free_at(held.limit, min(found)) if found else None

    def _slots(self, held: Held, agent: str) -> Iterator[Slots]:
        if held.limit.scope is not Scope.SHARED:
            yield self._use.slots(agent)
            return
        yield from (self._use.slots(each) for each in self._members.get(held.uid, ()))
        yield from (each.slots for each in self._parted.get(held.uid, {}).values())
