"""The limits that an agent's sidecar keeps: the JSON of `ringfence_sidecar.configuration.Limit`."""

from collections.abc import Iterable
from typing import Any

from ringfence_operator.api.quantity import parse_quantity
from ringfence_operator.api.quota import SOFT_DEADLINE_SECONDS, Alignment, Limit, Quota
from ringfence_operator.api.quota_matrix import MATRIX, Enforcer, Resource, Scope, Window

_OF_EVERYTHING = (Resource.API_CALLS, Resource.MESSAGES_RECEIVED, Resource.ROWS)
"""Each call asks for the first; a stream that has begun asks for one of the others before each of its pieces."""


def build_limits(held: Iterable[tuple[Quota, int]], *, missing: str | None = None) -> list[dict[str, Any]]:
    """Return those that the sidecar keeps, of quotas each given with how many agents share it.

    They are in order of quota, resource and window. `missing` is a quota that the agent names and that does not exist:
    nobody knows how much it would permit, so no call is.
    """
    found = [
        _limit(quota, limit, agents)
        for quota, agents in held
        for limit in quota.spec.limits
        if MATRIX[limit.resource].enforcer is Enforcer.SIDECAR
    ]
    if missing is not None:
        found += [_nothing(missing, resource) for resource in _OF_EVERYTHING]
    return sorted(found, key=_order)


def build_others(quotas: Iterable[Quota]) -> list[dict[str, Any]]:
    """Return the limits of these quotas that node, operator and gateway keep, for the agent to read, in that order."""
    found = [
        _limit(quota, limit, 1)
        for quota in quotas
        for limit in quota.spec.limits
        if MATRIX[limit.resource].enforcer is not Enforcer.SIDECAR
    ]
    return sorted(found, key=_order)


def _order(wire: dict[str, Any]) -> tuple[str, str, str, bool]:
    return wire["quota"], wire["resource"], wire["window"], wire["shared"]


def _limit(quota: Quota, limit: Limit, agents: int) -> dict[str, Any]:
    is_shared = limit.scope is Scope.SHARED
    deadline = limit.soft_deadline
    return {
        "quota": quota.metadata.name,
        "quotaUid": quota.metadata.uid,
        "resource": limit.resource.value,
        "max": float(parse_quantity(limit.max)),
        "window": limit.window.value,
        "calendar": limit.alignment is Alignment.CALENDAR,
        "shared": is_shared,
        "enforcement": limit.enforcement.value,
        "softDeadlineSeconds": SOFT_DEADLINE_SECONDS if deadline is None else deadline,
        "onStoreUnavailable": limit.on_store_unavailable.value if limit.on_store_unavailable else "",
        "warnAt": sorted(limit.warn_at),
        # What an agent has to itself is no news when others come and go.
        "agents": agents if is_shared else 1,
    }


def _nothing(quota: str, resource: Resource) -> dict[str, Any]:
    return {
        "quota": quota,
        "quotaUid": "",
        "resource": resource.value,
        "max": 0.0,
        "window": Window.SECOND.value,
        "shared": False,
        "enforcement": "Hard",
        "onStoreUnavailable": "Deny",
    }
