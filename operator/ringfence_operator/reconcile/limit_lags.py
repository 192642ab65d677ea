"""Which limits do not hold for an agent's pod as it runs, and why: its own pass finds out, those of its quotas tell."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.quantity import parse_quantity
from ringfence_operator.api.quota import Limit, Quota
from ringfence_operator.api.quota_matrix import Resource
from ringfence_operator.reconcile.quota_use import Use

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Lag:
    """Why a pod does not have what quotas leave it, and what it has in place of that."""

    reason: Reason
    message: str
    """Why, as the agent's status says."""
    has: Mapping[Resource, str]
    """Quantities; empty where nothing limits it."""
    told: str = ""
    """Why, as its quotas say; empty if they name the agent's `LimitsOutdated`, whose words may change all the time."""

    def is_beyond(self, limit: Limit) -> bool:
        """Return True if the pod has more than the limit leaves it."""
        has = self.has.get(limit.resource)
        return has is not None and (not has or parse_quantity(has) > parse_quantity(limit.max))


@dataclass(slots=True)
class LimitLags:
    """What is known of it, by agent. `on_use` hears of each quota of which something else is to be said."""

    by_agent: dict[Key, tuple[Lag, ...]] = field(default_factory=dict)
    gone_by: dict[Key, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    """Which quotas, by UID and generation, an agent's pass has gone by last."""
    on_use: Callable[[Key], None] = lambda _: None

    def note(self, agent: Key, lags: tuple[Lag, ...], quotas: Iterable[Quota]) -> None:
        """Take what the agent's pass has found."""
        quotas = tuple(quotas)
        before = self.by_agent.get(agent, ())
        self.forget(agent)
        if quotas:
            self.gone_by[agent] = tuple(map(_form, quotas))
        if lags:
            self.by_agent[agent] = lags
        if lags != before:
            for quota in quotas:
                self.on_use(quota.key)

    def forget(self, agent: Key) -> None:
        """The agent is gone."""
        self.by_agent.pop(agent, None)
        self.gone_by.pop(agent, None)

    def is_known(self, quota: Quota, agents: Iterable[Key]) -> bool:
        """Return True if the passes of all these agents have gone by the quota as it is now."""
        form = _form(quota)
        return all(form in self.gone_by.get(agent, ()) for agent in agents)

    def told(self, quota: Quota, agents: Iterable[Key], uses: Mapping[str, Use]) -> dict[str, Use]:
        """Return the uses of a quota's limits, each with why it does not hold for one of its agents."""
        found, lagging = dict(uses), sorted(self.by_agent.keys() & set(agents))
        for limit in quota.spec.limits if lagging else ():
            use = found.get(limit.id, Use(used=0, is_measured=False))
            lags = ((key, lag) for key in lagging for lag in self.by_agent[key] if lag.is_beyond(limit))
            first = next(lags, None)
            if first is not None and use.trouble is None:
                (_, name), lag = first
                has = lag.has[limit.resource] or "no limit"
                words = lag.told or f"its pod has {has}; the agent's condition LimitsOutdated says why"
                found[limit.id] = replace(use, trouble=(lag.reason, f"agent {name}: {words}"))
        return found


def _form(quota: Quota) -> tuple[str, int]:
    return quota.metadata.uid, quota.metadata.generation
