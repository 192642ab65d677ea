"""Where a bucket stands, as agent and operator are told."""

import time

from ringfence_sidecar.configuration import LimitUse
from ringfence_sidecar.quota import Budget, Left, Policy
from ringfence_sidecar.quotas.buckets import Bucket, Figures


def budget_of(bucket: Bucket, figures: Figures) -> Budget:
    """Return what the agent is told."""
    limit, now = bucket.limit, time.monotonic()
    return Budget(
        quota=limit.quota,
        resource=limit.resource,
        window=limit.window,
        scope=bucket.scope,
        enforcement=limit.enforcement,
        limit=limit.max,
        used=figures.taken,
        remaining=max(0.0, limit.max - figures.taken),
        reset_seconds=None if figures.resets_at is None else max(0.0, round(figures.resets_at - now, 3)),
        as_of=time.time() - (now - figures.at),
    )


def policy_of(bucket: Bucket) -> Policy:
    """Return what of the limit stays as it is."""
    limit = bucket.limit
    return Policy(limit.quota, limit.resource, limit.window, bucket.scope, limit.max)


def left_of(bucket: Bucket, figures: Figures, now: float) -> Left:
    """Return what is left at the monotonic time `now`: of what an agent is told, what every answer's headers say."""
    used, reserved, resets, _ = figures
    remaining = bucket.limit.max - (used + reserved)
    return remaining if remaining > 0 else 0.0, None if resets is None else resets - now


def use_of(bucket: Bucket, figures: Figures, *, refused: tuple[int, float], warned: tuple[int, float]) -> LimitUse:
    """Return what the operator is told, where no Redis says it.

    `refused` is how often it has refused, `warned` the percentage that it came to last; each with when that was.
    """
    limit = bucket.limit
    return LimitUse(
        quota_uid=limit.quota_uid,
        resource=limit.resource,
        window=limit.window,
        shared=limit.shared,
        used=figures.reserved if bucket.shape.is_held else figures.used,
        resets_at=figures.free_at,
        refusals=refused[0],
        refused_at=refused[1],
        warned=warned[0],
        warned_at=warned[1],
    )
