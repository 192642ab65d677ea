"""Whom meters count for, under which limits, and what they were told of each pod."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ringfence_operator.api.quota_matrix import Resource
from ringfence_operator.egress.meter_orders import Told
from ringfence_operator.reconcile.meters import Metered
from ringfence_operator.reconcile.network_quota import Held
from ringfence_operator.reconcile.network_sums import Parted
from ringfence_operator.reconcile.network_use import NetworkUse, span_of

Key = tuple[str, str]


@dataclass(slots=True)
class MeteredPods:
    """By the UIDs of pods, agents and quotas."""

    told: dict[str, Told] = field(default_factory=dict)
    """By pod; what was told of it last."""
    names: dict[str, Key] = field(default_factory=dict)
    """By agent; also of agents that are gone: what they used of a shared limit is used."""
    members: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Quota → the agents for which it holds, or held as long as they had a pod."""
    parted: defaultdict[str, dict[str, Parted]] = field(default_factory=lambda: defaultdict(dict))
    """Quota → agents for which it holds no more: what they do since is nothing to it."""
    unmeasured: set[str] = field(default_factory=set)
    """Pods with ways past the gateway of which their kubelet does not say what they move."""
    _pods: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Agent → its pods."""
    _spans: dict[str, timedelta] = field(default_factory=dict)
    """Quota → for how long at most what was used counts."""
    _quotas: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Agent → the quotas whose member it is."""

    def clear(self) -> None:
        """Forget everything."""
        for kept in (self.told, self.names, self.members, self.parted, self.unmeasured):
            kept.clear()
        self._pods.clear()
        self._spans.clear()
        self._quotas.clear()

    def add(self, metered: Metered, use: NetworkUse, *, now: datetime) -> None:
        """Count for a pod, or under other limits than before; `told` is to be set besides."""
        agent = metered.agent_uid
        self.names[agent] = metered.agent
        self._pods[agent].add(metered.pod_uid)
        others = (told.metered for told in self.of(agent) if told.metered.pod_uid != metered.pod_uid)
        present = {held.uid for each in (metered, *others) for held in each.limits}
        for quota in self._quotas.get(agent, set()) - present:
            self._leave(quota, agent)
            self.parted[quota][agent] = Parted(now, use.slots(agent))
        for held in metered.limits:
            self.members[held.uid].add(agent)
            self._quotas[agent].add(held.uid)
            self.parted.get(held.uid, {}).pop(agent, None)
            if held.limit.resource is Resource.NETWORK_BYTES:
                self._spans[held.uid] = max(span_of(held.limit), self._spans.get(held.uid, timedelta()))

    def _leave(self, quota: str, agent: str) -> None:
        self.members[quota].discard(agent)
        self._quotas[agent].discard(quota)
        if not self._quotas[agent]:
            del self._quotas[agent]

    def drop(self, pod_uid: str) -> bool:
        """Count for the pod no more; returns False if nobody did."""
        present = self.told.pop(pod_uid, None)
        if present is None:
            return False
        agent = present.metered.agent_uid
        self._pods[agent].discard(pod_uid)
        if not self._pods[agent]:
            del self._pods[agent]
        self.unmeasured.discard(pod_uid)
        return True

    def has(self, agent: str) -> bool:
        """Return True if the agent has a pod that is counted for."""
        return agent in self._pods

    def agents(self) -> Collection[str]:
        """Return the agents that have one."""
        return self._pods.keys()

    def of(self, agent: str) -> Iterator[Told]:
        """Yield what was told of the agent's pods."""
        return (self.told[pod] for pod in self._pods.get(agent, ()) if pod in self.told)

    def limits(self, agent: str) -> Iterator[Held]:
        """Yield the limits that hold for the agent's pods."""
        return (held for told in self.of(agent) for held in told.metered.limits)

    def replicas(self, agent: str) -> set[str]:
        """Return the gateway's replicas that share what the agent may have open."""
        return {each for told in self.of(agent) for each in told.metered.replicas}

    def forget(self, now: datetime, use: NetworkUse) -> None:
        """Forget agents without a pod whose use counts nowhere any more."""
        for quota in self.members.keys() | self.parted.keys():
            since = now - self._spans.get(quota, timedelta())
            for agent in [it for it in self.members[quota] if it not in self._pods and not use.is_used(it, since)]:
                self._leave(quota, agent)
            for agent in [it for it, parted in self.parted[quota].items() if parted.at < since]:
                del self.parted[quota][agent]
            if not self.parted[quota]:
                del self.parted[quota]
            if not self.members[quota]:
                del self.members[quota]
                if quota not in self.parted:
                    self._spans.pop(quota, None)
        known = self._pods.keys() | {
            agent for each in (*self.members.values(), *self.parted.values()) for agent in each
        }
        for agent in self.names.keys() - known:
            del self.names[agent]
