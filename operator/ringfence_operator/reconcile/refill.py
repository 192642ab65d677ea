"""When a pool's pods may be made, and how many: claims go first, and a pool says how fast it fills up."""

from dataclasses import dataclass, field
from datetime import datetime

from ringfence_operator.api.agent_pool import AgentPool
from ringfence_operator.reconcile.pool_view import runs_low
from ringfence_operator.reconcile.view import View

PACE_SECONDS = 0.2
"""How often a pool with a rate is looked at while it fills up, at most."""


def seconds_to_refill(pool: AgentPool, view: View, now: datetime) -> float:
    """Return how long no pod may be made, since more claims may follow the last one.

    That is nothing where the pool runs low, or an agent waits.
    """
    last = view.pooling.last_claim(pool.key)
    if last is None:
        return 0.0
    left = pool.spec.refill.delay - (now - last).total_seconds()
    if left <= 0:
        view.pooling.rests(pool.key)
        return 0.0
    return 0.0 if view.pooling.is_waited_for(pool.key) or runs_low(pool, view) else left


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled: datetime


@dataclass(slots=True)
class Paces:
    """How many pods each pool may make now: its rate, and of what was not made a second's worth at most."""

    _buckets: dict[tuple[str, str], _Bucket] = field(default_factory=dict)

    def allowed(self, pool: AgentPool, now: datetime) -> int | None:
        """Return how many may be made; None if it does not matter how many."""
        rate = pool.spec.refill.rate
        if rate is None:
            self._buckets.pop(pool.key, None)
            return None
        bucket = self._buckets.setdefault(pool.key, _Bucket(rate, now))
        passed = max(0.0, (now - bucket.filled).total_seconds())
        bucket.tokens, bucket.filled = min(rate, bucket.tokens + rate * passed), now
        return int(bucket.tokens)

    def made(self, pool: AgentPool) -> None:
        """A pod is being made."""
        if bucket := self._buckets.get(pool.key):
            bucket.tokens -= 1

    def seconds_to_next(self, pool: AgentPool) -> float:
        """Return after how long more may be made."""
        bucket, rate = self._buckets.get(pool.key), pool.spec.refill.rate
        return max(PACE_SECONDS, (1 - bucket.tokens) / rate) if bucket and rate else 0.0

    def forget(self, key: tuple[str, str]) -> None:
        """The pool is gone."""
        self._buckets.pop(key, None)
