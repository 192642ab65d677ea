"""What the operator has found out of quotas, kept between passes: how many agents share one, and where limits stand."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

Key = tuple[str, str]
LimitKey = tuple[str, str, str]
"""Resource, window and scope."""
Series = tuple[tuple[str, str, str, str, str], float, int, int]
"""Namespace, quota, resource, window and scope; used of max; how often it came to a warnAt; how often it refused."""
MOST_SERIES = 5_000
"""How many limits metrics tell of: those of the tightest."""


def share_of(agents: int) -> int:
    """Return among how many a quota is shared out where the counters are away: a little more than hold it.

    Up to eight it is exact; above, up to an eighth more, so that agents that come and go are no news to all others.
    """
    step = 1 << max(0, agents.bit_length() - 4)
    return max(1, -(-agents // step) * step)


@dataclass(slots=True)
class QuotaKnowledge:
    """Filled in by the passes over quotas."""

    shares: dict[Key, int] = field(default_factory=dict)
    """Among how many agents each quota is shared out, as sidecars are told."""
    larger_since: dict[Key, datetime] = field(default_factory=dict)
    """Since when each quota could be shared out among fewer, and the counters could be read."""
    used: dict[Key, Mapping[LimitKey, float]] = field(default_factory=dict)
    """Used of max, for each limit whose use is known."""
    refusals: dict[Key, Mapping[LimitKey, int]] = field(default_factory=dict)
    warnings: dict[Key, dict[LimitKey, int]] = field(default_factory=dict)
    """How often each limit came to one of its warnAt."""

    def forget(self, quota: Key) -> None:
        """The quota is gone."""
        for kept in (self.shares, self.larger_since, self.used, self.refusals, self.warnings):
            kept.pop(quota, None)

    def warn(self, quota: Key, limit: LimitKey, times: int = 1) -> None:
        """Count that a limit came to one of its warnAt so often."""
        counts = self.warnings.setdefault(quota, {})
        counts[limit] = counts.get(limit, 0) + times

    def series(self) -> Iterator[Series]:
        """Yield what metrics tell of each limit, those nearest their end first."""
        every = [(ratio, key, limit) for key, rows in self.used.items() for limit, ratio in rows.items()]
        for ratio, key, limit in sorted(every, key=lambda it: (-it[0], it[1], it[2]))[:MOST_SERIES]:
            warnings = self.warnings.get(key, {}).get(limit, 0)
            yield (*key, *limit), ratio, warnings, self.refusals.get(key, {}).get(limit, 0)
