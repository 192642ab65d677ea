"""Where quotas stand for this agent, as both surfaces answer it."""

from collections.abc import Iterable

import msgspec

from ringfence_sidecar.quota import Budget


class LimitStanding(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Where one limit stands."""

    quota: str
    """Name of the Quota."""
    resource: str
    window: str
    """`None` for what is held at once."""
    scope: str
    """`PerAgent`, or `Shared` for what all agents of the quota have together."""
    enforcement: str
    limit: float
    used: float
    """By all agents that share the limit; with what calls under way have been granted."""
    remaining: float
    reset_seconds: float | None
    """Seconds until something of it is free again; null for what is held."""


class QuotaStanding(msgspec.Struct, frozen=True, rename="camel"):
    """Every limit that holds for this agent's calls; all of them must agree, so the tightest decides."""

    limits: tuple[LimitStanding, ...]


def standing_of(budgets: Iterable[Budget]) -> QuotaStanding:
    """Return the answer."""
    return QuotaStanding(
        tuple(
            LimitStanding(
                quota=each.quota,
                resource=each.resource,
                window=each.window,
                scope=each.scope,
                enforcement=each.enforcement,
                limit=each.limit,
                used=each.used,
                remaining=each.remaining,
                reset_seconds=each.reset_seconds,
            )
            for each in budgets
        )
    )
