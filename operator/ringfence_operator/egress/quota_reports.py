"""Limits on calls where there is no Redis: each sidecar keeps its agent's own, and reports of them when it polls."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.quota import Limit, Quota
from ringfence_operator.api.quota_matrix import Enforcer, Scope
from ringfence_operator.reconcile.quota_use import Use, Warned
from ringfence_operator.reconcile.quotas import agents_of, limits_of
from ringfence_operator.reconcile.view import View

_What = tuple[str, str, bool]
"""Resource, window, and whether it is shared."""
_Counter = tuple[str, _What]
_Reports = dict[str, list[Mapping[str, Any]]]
UsesOf = Callable[[str], tuple[Mapping[str, Any], ...]]
"""Returns what the sidecar of the pod with this UID has reported of limits."""
_NO_STORE = (
    "agents that share a limit count in Redis, and the operator has none: start it with RINGFENCE_OPERATOR_REDIS_URL "
    "or write scope PerAgent; until then onStoreUnavailable decides"
)


class QuotaReports:
    """A `reconcile.quota_use.LimitSource` of the limits that sidecars keep, without a Redis."""

    def __init__(self, view: View, uses_of: UsesOf) -> None:
        self._view = view
        self._uses_of = uses_of
        self._told: dict[str, dict[_Counter, int]] = {}
        """Quota's UID → how often each limit had refused, as each sidecar told it last."""
        self._refusals: defaultdict[tuple[str, _What], int] = defaultdict(int)
        """By the quota's UID and the limit, how often sidecars were seen to refuse."""

    def uses(self, quota: Quota) -> Mapping[str, Use]:
        """Return where the quota's limits stand that sidecars keep, as they reported last."""
        reports, uid = self._reports(quota), quota.metadata.uid
        self._see(uid, reports)
        return {
            limit.id: replace(
                _use(limit, reports),
                seen_refusals=self._refusals[uid, _what(limit)],
                resets_at=_resets_at(limit, reports),
            )
            for _, limit in limits_of([quota], Enforcer.SIDECAR)
        }

    def _see(self, uid: str, reports: _Reports) -> None:
        before, now = self._told.get(uid, {}), dict[_Counter, int]()
        for agent, said in reports.items():
            for each in said:
                what, count = _said(each), int(each["refusals"])
                now[agent, what] = count
                had = before.get((agent, what), count)
                # A sidecar that begins anew counts anew, too.
                self._refusals[uid, what] += count - had if count >= had else count
        self._told[uid] = now

    def _reports(self, quota: Quota) -> _Reports:
        found = {}
        for key in sorted(agents_of(quota, self._view)):
            pod = self._view.pods.get(*key)
            if pod is not None:
                uses = self._uses_of(pod.meta.uid)
                found[key[1]] = [each for each in uses if each["quotaUid"] == quota.metadata.uid]
        return found


def _what(limit: Limit) -> _What:
    return limit.resource.value, limit.window.value, limit.scope is Scope.SHARED


def _said(report: Mapping[str, Any]) -> _What:
    return str(report["resource"]), str(report["window"]), bool(report["shared"])


def _resets_at(limit: Limit, reports: _Reports) -> datetime | None:
    """Return when something is free again: of limits of each agent's own, of the one that used most."""
    own = [each for said in reports.values() for each in said if _said(each) == _what(limit)]
    if limit.scope is not Scope.SHARED and own:
        own = [max(own, key=lambda each: float(each["used"]))]
    found = [float(each["resetsAt"]) for each in own if "resetsAt" in each]
    return datetime.fromtimestamp(min(found), UTC) if found else None


def _use(limit: Limit, reports: _Reports) -> Use:
    is_shared = limit.scope is Scope.SHARED
    own = {name: each for name, said in reports.items() for each in said if _said(each) == _what(limit)}
    used = {name: float(each["used"]) for name, each in own.items()}
    last = max(own, key=lambda name: float(own[name]["refusedAt"]), default="")
    refused_at = float(own[last]["refusedAt"]) if last else 0.0
    refused = {name: float(each["refusedAt"]) for name, each in own.items() if each["refusedAt"]}
    warned = ((name, int(each["warned"]), float(each["warnedAt"])) for name, each in own.items() if each["warnedAt"])
    return Use(
        used=sum(used.values()) if is_shared else max(used.values(), default=0.0),
        per_agent=used,
        is_awaited=not own and bool(reports),
        refusals=sum(int(each["refusals"]) for each in own.values()),
        refused_at=datetime.fromtimestamp(refused_at, UTC) if refused_at else None,
        refused_agent=last if refused_at else "",
        refused={name: datetime.fromtimestamp(at, UTC) for name, at in refused.items()},
        warned=tuple(Warned(percent, name, datetime.fromtimestamp(at, UTC)) for name, percent, at in warned),
        trouble=(Reason.NO_STORE, _NO_STORE) if is_shared else None,
    )


class NoSidecars:
    """A `reconcile.quota_use.LimitSource` that says of limits on calls that nobody keeps them."""

    def uses(self, quota: Quota) -> Mapping[str, Use]:
        """Return the same for each of them."""
        message = "sidecars keep it, and the operator has none: start it with RINGFENCE_OPERATOR_SIDECAR_IMAGE"
        trouble = (Reason.NOT_SUPPORTED, message)
        return {limit.id: Use(used=0.0, trouble=trouble) for _, limit in limits_of([quota], Enforcer.SIDECAR)}
