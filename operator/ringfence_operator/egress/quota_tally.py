"""Who used what of a shared bucket within its window: Redis says of agents only what they ever used, which grows."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from ringfence_operator.api.quota import Alignment, Limit
from ringfence_operator.api.quota_matrix import Window
from ringfence_operator.egress.quota_buckets import SLOTS, Bucket, slot_of, used_at


@dataclass(slots=True)
class Tally:
    """What each agent used of one bucket, by slot, as far as this replica has seen it grow."""

    _totals: Mapping[str, float] | None = None
    _slots: dict[int, dict[str, float]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(float)))

    def see(self, bucket: Bucket, limit: Limit, now: float) -> None:
        """Take what has grown since the last look as used now.

        At the first look nobody knows when it was used, unless all that was ever used counts still.
        """
        if limit.window is Window.NONE:
            return
        before = self._totals
        self._totals = bucket.totals
        if before is None:
            if sum(bucket.totals.values()) > used_at(bucket, limit, now) + 1e-6:
                return
            before = {}
        present = slot_of(limit, now)
        for agent, total in bucket.totals.items():
            grown = total - before.get(agent, 0.0)
            if grown > 0:
                self._slots[present][agent] += grown

    def used(self, limit: Limit, now: float) -> dict[str, float]:
        """Return UID of the agent → what it used within the window."""
        if limit.window is Window.NONE:
            return {}
        present = slot_of(limit, now)
        first = present if limit.alignment is Alignment.CALENDAR else present - SLOTS
        for slot in [each for each in self._slots if each < first]:
            del self._slots[slot]
        found: dict[str, float] = defaultdict(float)
        for amounts in self._slots.values():
            for agent, amount in amounts.items():
                found[agent] += amount
        return dict(found)
