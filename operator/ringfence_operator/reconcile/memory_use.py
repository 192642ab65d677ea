"""How near agents are to their memory limits, as kubelets say every few seconds, and which limits killed them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ringfence_operator.api.quantity import parse_quantity
from ringfence_operator.api.quota import Limit, Quota
from ringfence_operator.api.quota_matrix import Resource

Key = tuple[str, str]
MOST_KILLS = 1_000
"""Of so many agents of a quota it is remembered that they were killed."""
STEP = 5
"""Use is told in so many per cent of the limit: it never stands still, and each word of it is a write."""


@dataclass(frozen=True, slots=True)
class Kill:
    """The kernel killed an agent at a quota's limit; `time` is RFC 3339."""

    agent: str
    time: str


@dataclass(slots=True)
class MemoryUse:
    """What is known of it. `working` is by the pod's UID, in bytes; `silent` by node, why it does not say."""

    working: dict[str, int] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)
    kills: dict[Key, dict[str, Kill]] = field(default_factory=dict)
    """By quota and the pod's container that was killed last."""
    counts: dict[Key, int] = field(default_factory=dict)
    """How many kills are known of each quota's limit."""
    seen: dict[Key, int] = field(default_factory=dict)
    """How many of them came since this began, and no status had said before."""
    told: dict[Key, dict[str, int]] = field(default_factory=dict)
    """By quota and agent, the per cent that were told last."""
    on_use: Callable[[Key], None] = lambda _: None
    """Hears of each quota of which something else is to be said."""

    def forget(self, quota: Key) -> None:
        """The quota is gone."""
        for kept in (self.kills, self.counts, self.seen, self.told):
            kept.pop(quota, None)

    def killed(self, quota: Key, agent_uid: str, kill: Kill, *, is_new: bool) -> None:
        """Take note of a kill; a known one counts once. `is_new`: the agent's status has not said it before."""
        known = self.kills.setdefault(quota, {})
        if known.get(agent_uid) != kill:
            known.pop(agent_uid, None)
            known[agent_uid] = kill
            if len(known) > MOST_KILLS:
                del known[next(iter(known))]
            self.counts[quota] = self.counts.get(quota, 0) + 1
            self.seen[quota] = self.seen.get(quota, 0) + is_new
            self.on_use(quota)


def memory_limit_of(quota: Quota) -> Limit | None:
    """Return the quota's limit on memory, if it has one."""
    return next((each for each in quota.spec.limits if each.resource is Resource.MEMORY), None)


def told_percent(exact: float, before: int | None, warn_at: Iterable[int]) -> int:
    """Return the per cent to tell: a step, or a threshold that use has reached; the former, while it is about there."""
    steps = {*range(0, int(exact) + 1, STEP), *(each for each in warn_at if each <= exact)}
    now = max(steps, default=0)
    is_about_there = before is not None and now < before <= exact + STEP
    return before if is_about_there and before is not None else now


def percents(quota: Quota, pods: Mapping[str, str], use: MemoryUse) -> dict[str, int]:
    """Return what to tell of each agent of a quota; `pods` are their pods' UIDs by the agents' names."""
    limit = memory_limit_of(quota)
    if limit is None:
        return {}
    most, told = float(parse_quantity(limit.max)), use.told.get(quota.key, {})
    return {
        name: told_percent(use.working[uid] * 100 / most, told.get(name), limit.warn_at)
        for name, uid in pods.items()
        if uid in use.working
    }
