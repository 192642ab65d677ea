"""What a Quota's status says: a pure function of what was found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ringfence_operator.api.conditions import Condition, ConditionType, Reason, remove_condition, set_condition
from ringfence_operator.api.quota import Limit, Quota
from ringfence_operator.api.quota_status import QuotaStatus
from ringfence_operator.api.run_time import SharedRunTime
from ringfence_operator.reconcile.quota_figures import describe, limit_status, tightest_of
from ringfence_operator.reconcile.quota_marks import Fresh
from ringfence_operator.reconcile.quota_use import Use

_PASSING = {Reason.STORE_UNAVAILABLE, Reason.RESIZE_DEFERRED}
"""What ends by itself."""


@dataclass(frozen=True, slots=True)
class Found:
    """How many agents the quota holds for, and what is known of its limits, by `Limit.id`."""

    agents: int
    uses: Mapping[str, Use]
    run_time: SharedRunTime | None = None
    """How long the pods of its agents ran, where it limits that for all of them."""
    seen_refusals: Mapping[str, int] = field(default_factory=dict)
    """What `Use.seen_refusals` of each limit was when the status was written last."""
    fresh: Mapping[str, Fresh] = field(default_factory=dict)
    """What of each limit is to be told since."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    is_ready: bool
    is_stalled: bool
    reason: Reason
    message: str


def quota_status(quota: Quota, found: Found, *, now: datetime) -> QuotaStatus:
    """Return the status of a quota."""
    before = {f"{each.resource}/{each.window}/{each.scope}": each for each in quota.status.limits}
    rows = tuple(
        limit_status(
            limit,
            found.uses.get(limit.id),
            before.get(limit.id),
            now=now,
            seen_refusals=found.seen_refusals.get(limit.id, 0),
            fresh=found.fresh.get(limit.id),
        )
        for limit in quota.spec.limits
    )
    tightest = tightest_of(rows)
    return QuotaStatus(
        observed_generation=quota.metadata.generation,
        conditions=_conditions(quota, _verdict(quota, found), now),
        agents=found.agents,
        tightest=describe(tightest) if tightest else "",
        limits=rows,
        run_time=found.run_time,
    )


def _verdict(quota: Quota, found: Found) -> _Verdict:
    troubles = _troubles(quota, found)
    if troubles:
        # What somebody has to mend goes before what ends by itself.
        lasting = [each for each in troubles if each[1] not in _PASSING]
        _, reason, _ = (lasting or troubles)[0]
        told = dict.fromkeys(f"{limit.resource}: {message}" for limit, _, message in lasting or troubles)
        return _Verdict(False, bool(lasting), reason, "; ".join(told))
    if not found.agents:
        message = "no agent is selected or names the quota"
        return _Verdict(True, False, Reason.NO_AGENTS, message)
    known = [(limit, found.uses[limit.id]) for limit in quota.spec.limits if limit.id in found.uses]
    caveats = (f"{limit.resource}: {use.caveat}" for limit, use in known if use.caveat)
    return _Verdict(True, False, Reason.ENFORCED, "; ".join(("every limit is kept", *caveats)))


def _troubles(quota: Quota, found: Found) -> list[tuple[Limit, Reason, str]]:
    result = []
    for limit in quota.spec.limits:
        use = found.uses.get(limit.id)
        if use is not None and use.trouble is not None:
            result.append((limit, *use.trouble))
    return result


def _conditions(quota: Quota, verdict: _Verdict, now: datetime) -> tuple[Condition, ...]:
    conditions: tuple[Condition, ...] = quota.status.conditions
    is_moving = not verdict.is_ready and not verdict.is_stalled
    for kind, status in (
        (ConditionType.READY, verdict.is_ready),
        (ConditionType.RECONCILING, is_moving or None),
        (ConditionType.STALLED, verdict.is_stalled or None),
    ):
        if status is None:
            conditions = remove_condition(conditions, kind)
        else:
            generation = quota.metadata.generation
            conditions = set_condition(
                conditions, kind, status, verdict.reason, verdict.message, now=now, generation=generation
            )
    return conditions
