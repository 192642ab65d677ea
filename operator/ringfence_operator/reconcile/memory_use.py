"""How near agents are to their memory limits, as kubelets say every few seconds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ringfence_operator.api.quantity import parse_quantity
from ringfence_operator.api.quota import Limit, Quota
from ringfence_operator.api.quota_matrix import Resource
from ringfence_operator.resources.observed_pod import Pod

Key = tuple[str, str]
STEP = 5
"""Use is told in so many per cent of the limit: it never stands still, and each word of it is a write."""


@dataclass(slots=True)
class MemoryUse:
    """What is known of it. `working` is by the pod's UID, in bytes; `silent` by node, why it does not say."""

    working: dict[str, int] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)
    told: dict[Key, dict[str, int]] = field(default_factory=dict)
    """By quota and agent, the per cent that were told last."""
    has_looked: bool = False
    """False until kubelets have been asked once."""

    def forget(self, quota: Key) -> None:
        """The quota is gone."""
        self.told.pop(quota, None)


def memory_limit_of(quota: Quota) -> Limit | None:
    """Return the quota's limit on memory, if it has one."""
    return next((each for each in quota.spec.limits if each.resource is Resource.MEMORY), None)


def told_percent(exact: float, before: int | None, warn_at: Iterable[int]) -> int:
    """Return the per cent to tell: a step, or a threshold that use has reached; the former, while it is about there."""
    steps = {*range(0, int(exact) + 1, STEP), *(each for each in warn_at if each <= exact)}
    now = max(steps, default=0)
    is_about_there = before is not None and now < before <= exact + STEP
    return before if is_about_there and before is not None else now


def own_limit(limit: Limit, pod: Pod) -> str:
    """Return the pod's own limit on memory where that is less than the quota's: it is killed there; else nothing."""
    share = pod.actual_share or pod.share
    own = share.memory if share else ""
    return own if own and 0 < parse_quantity(own) < parse_quantity(limit.max) else ""


def percents(quota: Quota, pods: Mapping[str, Pod], use: MemoryUse) -> dict[str, int]:
    """Return what to tell of each agent of a quota, of the limit at which it is killed; `pods` are by agents' names."""
    limit = memory_limit_of(quota)
    if limit is None:
        return {}
    told = use.told.get(quota.key, {})
    found = {}
    for name, pod in pods.items():
        if pod.meta.uid in use.working:
            most = float(parse_quantity(own_limit(limit, pod) or limit.max))
            found[name] = told_percent(use.working[pod.meta.uid] * 100 / most, told.get(name), limit.warn_at)
    return found
