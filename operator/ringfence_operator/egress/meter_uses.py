"""Where a quota's limits on the network stand, by what meters and kubelets have counted."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.quota import Quota
from ringfence_operator.api.quota_matrix import MATRIX, Enforcer, Resource, Scope
from ringfence_operator.egress.meter_orders import Told
from ringfence_operator.egress.meter_pods import MeteredPods
from ringfence_operator.reconcile.network_quota import Held
from ringfence_operator.reconcile.network_sums import CountedUse
from ringfence_operator.reconcile.network_use import NetworkUse
from ringfence_operator.reconcile.quota_use import Use


class MeterUses:
    """`is_known` says of an agent whether all is known that it has used."""

    def __init__(self, pods: MeteredPods, use: NetworkUse, *, is_known: Callable[[str], bool]) -> None:
        self._pods: Final = pods
        self._use: Final = use
        self._is_known: Final = is_known
        self._refusals: defaultdict[tuple[str, str], int] = defaultdict(int)
        """By `Held.bucket`, since this began."""

    def refused(self, buckets: Iterable[tuple[str, str]], count: int) -> None:
        """Take note that these limits have refused something so often."""
        for bucket in buckets:
            self._refusals[bucket] += count

    def of(self, quota: Quota, *, now: datetime) -> dict[str, Use]:
        """Return `Limit.id` → use, for those of the quota's limits that the gateway keeps."""
        uid = quota.metadata.uid
        usage = CountedUse(self._use, self._pods.members, self._pods.parted)
        found = {}
        for limit in quota.spec.limits:
            if MATRIX[limit.resource].enforcer is Enforcer.GATEWAY:
                found[limit.id] = self._use_of(Held(*quota.key, uid, limit), usage, now)
        return found

    def _use_of(self, held: Held, usage: CountedUse, now: datetime) -> Use:
        members, limit = self._pods.members.get(held.uid, set()), held.limit
        if limit.resource is Resource.NETWORK_CONNECTIONS:
            each = {agent: self._use.open(agent, self._pods.replicas(agent)) for agent in members}
        else:
            each = {agent: self._use.used((agent,), limit, now=now) for agent in members}
        is_shared, is_bytes = limit.scope is Scope.SHARED, limit.resource is Resource.NETWORK_BYTES
        if is_shared and is_bytes:
            each |= {agent: it.used(limit, now=now) for agent, it in self._pods.parted.get(held.uid, {}).items()}
        most = sum(each.values()) if is_shared else max(each.values(), default=0)
        whose = max(each, key=lambda it: each[it], default="")
        refusals = {agent: self._use.refusals(agent, limit.resource) for agent in members}
        last = max(((at, agent) for agent, (_, at) in refusals.items() if at), default=None)
        return Use(
            used=most,
            is_awaited=not all(self._is_known(agent) for agent in members),
            per_agent=self._by_name(each, is_shared=is_shared),
            resets_at=usage.frees_at(held, whose, now=now) if is_bytes and whose else None,
            refusals=sum(count for count, _ in refusals.values()),
            seen_refusals=self._refusals[held.bucket],
            refused_at=last[0] if last else None,
            refused_agent=self._pods.names[last[1]][1] if last else "",
            refused={self._pods.names[agent][1]: at for agent, (_, at) in refusals.items() if at},
            trouble=self._trouble(members) if is_bytes else None,
            caveat="" if is_bytes else self._caveat(members),
        )

    def _by_name(self, each: Mapping[str, int], *, is_shared: bool) -> dict[str, float]:
        """Return use by the agent's name: of those that had one name in turn all, or what the one has that is there."""
        found = dict[str, float]()
        for agent in sorted(each, key=self._pods.has):
            name = self._pods.names[agent][1]
            found[name] = each[agent] + (found.get(name, 0.0) if is_shared else 0.0)
        return found

    def _caveat(self, members: Iterable[str]) -> str:
        direct = {agent for agent in members for told in self._pods.of(agent) if told.metered.is_direct}
        if not direct:
            return ""
        whose = min(self._pods.names[agent][1] for agent in direct) + (" and others" if len(direct) > 1 else "")
        return f"those of agent {whose} to destinations and cidrs pass the gateway by, and are not counted"

    def _trouble(self, members: Iterable[str]) -> tuple[Reason, str] | None:
        unmeasured = (agent for agent in members if any(self._is_unmeasured(told) for told in self._pods.of(agent)))
        silent = sorted(self._pods.names[agent][1] for agent in unmeasured)
        if not silent:
            return None
        words = (
            f"networkBytes are counted at the gateway only: the kubelet does not say what the pod of agent {silent[0]} "
            "moves to its destinations and cidrs; leave those out, or have kubelets tell the network statistics of pods"
        )
        return Reason.NOT_SUPPORTED, words

    def _is_unmeasured(self, told: Told) -> bool:
        return told.metered.pod_uid in self._pods.unmeasured
