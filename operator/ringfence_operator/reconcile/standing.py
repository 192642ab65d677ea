"""What an agent has used of the limits that its sidecar does not keep, for the agent to read: asked for, never pushed.

It is the JSON of `ringfence_sidecar.configuration.Standing`.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ringfence_operator.api.model import format_timestamp
from ringfence_operator.api.quota import Alignment, Limit, Quota
from ringfence_operator.api.quota_matrix import MATRIX, Enforcer, Scope
from ringfence_operator.reconcile.clock import utc_now
from ringfence_operator.reconcile.quota_figures import resets_at
from ringfence_operator.reconcile.quota_use import LimitSource, Use
from ringfence_operator.reconcile.quotas import quotas_of_record
from ringfence_operator.reconcile.view import View

Key = tuple[str, str]
FRESH_SECONDS = 10.0
"""A quota's use is worked out once in so long, whoever of its agents asks: for one of thousands that takes a while."""


class Standings:
    """Answers from memory. `sources` are those of the limits that are not kept by sidecars."""

    def __init__(self, view: View, sources: Sequence[LimitSource], *, clock: Callable[[], datetime] = utc_now) -> None:
        self._view = view
        self._sources = sources
        self._clock = clock
        self._found: dict[str, tuple[datetime, Mapping[str, Use]]] = {}
        """By the quota's UID."""

    def of(self, agent: Key) -> dict[str, Any]:
        """Return what is known of the agent (namespace and name); what nobody knows is left out."""
        now, rows = self._clock(), []
        self._found = {uid: each for uid, each in self._found.items() if _is_fresh(each[0], now)}
        record = self._view.agents.get(*agent)
        for quota in quotas_of_record(record, self._view) if record else ():
            at, uses = self._uses(quota, now)
            for limit in quota.spec.limits:
                use = uses.get(limit.id)
                used = None if use is None else _used(limit, use, agent[1])
                if use is not None and used is not None and MATRIX[limit.resource].enforcer is not Enforcer.SIDECAR:
                    rows.append(_row(quota, limit, used, use, at))
        return {"used": rows}

    def _uses(self, quota: Quota, now: datetime) -> tuple[datetime, Mapping[str, Use]]:
        uid = quota.metadata.uid
        if uid not in self._found:
            self._found[uid] = now, {name: use for each in self._sources for name, use in each.uses(quota).items()}
        return self._found[uid]


def _is_fresh(at: datetime, now: datetime) -> bool:
    return (now - at).total_seconds() < FRESH_SECONDS


def _used(limit: Limit, use: Use, agent: str) -> float | None:
    if not use.is_measured or use.is_awaited:
        return None
    return use.used if limit.scope is Scope.SHARED else use.per_agent.get(agent)


def _row(quota: Quota, limit: Limit, used: float, use: Use, at: datetime) -> dict[str, Any]:
    is_shared = limit.scope is Scope.SHARED
    # Of each agent's own sliding windows it is only known of the agent with the most when something is free again.
    free = resets_at(limit, use, at) if used and (is_shared or limit.alignment is Alignment.CALENDAR) else None
    return {
        "quotaUid": quota.metadata.uid,
        "resource": limit.resource.value,
        "window": limit.window.value,
        "shared": is_shared,
        "used": used,
        "resetsAt": free.timestamp() if free else None,
        "asOf": format_timestamp(at),
    }
