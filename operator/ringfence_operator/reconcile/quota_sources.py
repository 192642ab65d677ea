"""What node and operator say of the limits that they keep, in the form that a quota's status is made from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.quantity import parse_quantity
from ringfence_operator.api.quota import Limit, Quota
from ringfence_operator.api.quota_matrix import Resource, Scope
from ringfence_operator.reconcile.checks import why_no_bandwidth
from ringfence_operator.reconcile.clock import utc_now
from ringfence_operator.reconcile.memory_use import own_limit
from ringfence_operator.reconcile.memory_watch import watched_pods
from ringfence_operator.reconcile.quota_admission import running
from ringfence_operator.reconcile.quota_use import Use
from ringfence_operator.reconcile.quotas import agents_of
from ringfence_operator.reconcile.run_time import own_slots
from ringfence_operator.reconcile.shared_run_time import STEPS, step_of
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.resources.run_time import Frame, Slots, free_at, total

_PERCENT = 100


@dataclass(frozen=True, slots=True)
class NodeLimits:
    """What the node keeps: memory, cores, disk and bandwidth."""

    view: View

    def uses(self, quota: Quota) -> Mapping[str, Use]:
        """Return the use of each of the quota's limits that the node keeps and of which something is known."""
        found = {}
        for limit in quota.spec.limits:
            if limit.resource is Resource.MEMORY:
                found[limit.id] = self._memory(quota, limit)
            elif limit.resource is Resource.EPHEMERAL_STORAGE:
                found[limit.id] = self._ended(quota, limit, Use(used=0, is_measured=False))
            elif limit.resource is Resource.NETWORK_BANDWIDTH and not self.view.settings.bandwidth_annotations:
                trouble = Reason.NOT_SUPPORTED, why_no_bandwidth(quota.metadata.name)
                found[limit.id] = Use(used=0, is_measured=False, trouble=trouble)
        return found

    def _memory(self, quota: Quota, limit: Limit) -> Use:
        memory, pods = self.view.memory, watched_pods(quota, self.view)
        percents = memory.told.get(quota.key, {})
        own = {name: most for name, pod in pods.items() if (most := own_limit(limit, pod))}
        per_agent = {
            name: percent * float(parse_quantity(own.get(name, limit.max))) / _PERCENT
            for name, percent in percents.items()
        }
        silence = self._silence(pods)
        use = Use(
            used=max(per_agent.values(), default=0.0),
            per_agent=per_agent,
            most=own,
            is_measured=bool(per_agent) or not pods,
            is_awaited=not memory.has_looked,
            # Without warnAt, nobody waits for a word: the limit is kept as it is written.
            trouble=silence if limit.warn_at else None,
        )
        return self._ended(quota, limit, use)

    def _ended(self, quota: Quota, limit: Limit, use: Use) -> Use:
        """Return the use with whom the node has ended at the limit."""
        kills = self.view.node_kills.of(quota.key, limit.resource)
        last = max(kills.last.values(), key=lambda kill: kill.time, default=None)
        dated = sorted((kill for kill in kills.last.values() if kill.time), key=lambda kill: kill.time)
        return replace(
            use,
            refusals=kills.count,
            seen_refusals=kills.seen,
            refused={kill.agent: datetime.fromisoformat(kill.time) for kill in dated},
            refused_at=datetime.fromisoformat(last.time) if last and last.time else None,
            refused_agent=last.agent if last else "",
        )

    def _silence(self, pods: Mapping[str, Pod]) -> tuple[Reason, str] | None:
        silent = self.view.memory.silent
        nodes = sorted({pod.node for pod in pods.values()} & silent.keys())
        if not nodes:
            return None
        words = f"the limit on memory is kept, but warnAt says nothing, since the kubelet of node {nodes[0]} does not: "
        return Reason.KUBELET_UNREACHABLE, words + silent[nodes[0]]


@dataclass(frozen=True, slots=True)
class OperatorLimits:
    """What the operator keeps: agents that run at once, and the seconds that their pods run."""

    view: View

    def uses(self, quota: Quota) -> Mapping[str, Use]:
        """Return the use of each of the quota's limits that the operator keeps."""
        now, found = utc_now(), {}
        for limit in quota.spec.limits:
            if limit.resource is Resource.AGENTS:
                found[limit.id] = self._refused(quota, limit, Use(used=running(quota, self.view)))
            elif limit.resource is Resource.POD_SECONDS and limit.scope is Scope.SHARED:
                slots = self.view.run_times.slots(quota, Frame.of(limit), now)
                use = _use(limit, slots, now)
                per_agent = self.view.run_times.by_agent(quota, limit, use.used, now)
                found[limit.id] = self._refused(quota, limit, replace(use, per_agent=per_agent))
            elif limit.resource is Resource.POD_SECONDS:
                found[limit.id] = self._refused(quota, limit, self._each(quota, limit, now))
        return found

    def _refused(self, quota: Quota, limit: Limit, use: Use) -> Use:
        """Return the use with whom the limit has kept from running."""
        refusals = self.view.places.refusals.get(quota.key, {}).get(limit.id)
        if refusals is None:
            return use
        return replace(
            use,
            seen_refusals=refusals.count,
            refused_at=refusals.time,
            refused_agent=refusals.agent,
            refused=dict(refusals.last),
        )

    def _each(self, quota: Quota, limit: Limit, now: datetime) -> Use:
        uses = {}
        for key in agents_of(quota, self.view):
            agent = self.view.readable(*key)
            pod = self.view.pods.get(*key)
            if agent is not None:
                own = pod if pod is not None and pod.owner_uid == agent.metadata.uid else None
                uses[key[1]] = _use(limit, own_slots(agent.status.run_time, own, Frame.of(limit), now), now)
        most = max(uses.values(), key=lambda each: each.used, default=Use(used=0))
        per_agent = {name: each.used for name, each in uses.items()}
        return Use(used=most.used, per_agent=per_agent, resets_at=most.resets_at)


def _use(limit: Limit, slots: Slots, now: datetime) -> Use:
    """Seconds that only grow are told a hundredth of the limit at a time: each telling is a write."""
    frame, most = Frame.of(limit), float(parse_quantity(limit.max))
    used = total(slots, frame, now.timestamp())
    told = step_of(used, most) * most / STEPS
    free = free_at(slots, frame, now.timestamp(), max(told, 1.0)) if used else None
    return Use(used=told, resets_at=datetime.fromtimestamp(free, UTC) if free else None)
