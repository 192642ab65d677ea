"""What the gateway's meters are to be told, and what they report: bookkeeping without a socket.

A meter stops an agent by itself, at `totals[itself] + left`. So nothing more passes than may while the operator is
away, or late; what it has to be told in time is what other meters and other agents have used meanwhile.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.quota import Quota
from ringfence_operator.api.quota_matrix import MATRIX, Enforcer, Resource, Scope
from ringfence_operator.egress.meter_orders import Message, Told, is_news
from ringfence_operator.reconcile.meters import Metered
from ringfence_operator.reconcile.network_quota import Allowed, Held, allowed
from ringfence_operator.reconcile.network_use import LONGEST, CountedUse, NetworkUse, span_of
from ringfence_operator.reconcile.quota_use import Use

Key = tuple[str, str]
EVERY_SECONDS = 0.25
"""How often what has been reported is looked at."""
FREED_TURNS = 8
"""Every so many looks, those are looked at, too, to whom time alone may have given something back."""
TOLD_TURNS = 40
"""So are their quotas, less often."""
REPEAT_SECONDS = 30.0
"""For so long meters may still be telling an operator that begins what another has been told before."""


class MeterBook:
    """A `reconcile.meters.Meters` and a `reconcile.quota_use.LimitSource`.

    `send` takes messages to the control process, while there is one; `on_use` hears the UID of each quota of
    which more or less is used than before, `on_spent` of each agent to which nothing is left, or something again.
    """

    def __init__(
        self,
        *,
        send: Callable[[Message], None],
        on_use: Callable[[str], None] = lambda _: None,
        on_spent: Callable[[Key], None] = lambda _: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._send: Final = send
        self._on_use: Final = on_use
        self._on_spent: Final = on_spent
        self._clock: Final = clock
        self._use = NetworkUse(has_pod=lambda agent: agent in self._pods, on_refused=self._refused)
        self._told: dict[str, Told] = {}
        self._pods: defaultdict[str, set[str]] = defaultdict(set)
        """Agent's UID → its pods' UIDs."""
        self._names: dict[str, Key] = {}
        """Also of agents that are gone: what they used of a shared limit is used."""
        self._members: defaultdict[str, set[str]] = defaultdict(set)
        """Quota's UID → UIDs of the agents that it has, or has had, a pod to count for."""
        self._spans: dict[str, timedelta] = {}
        """Quota's UID → for how long at most what was used counts."""
        self._refusals: defaultdict[tuple[str, str], int] = defaultdict(int)
        """By `Held.bucket`, since this began."""
        self._unmeasured: set[str] = set()
        """Pods with ways past the gateway of which their kubelet does not say what they move."""
        self._touched: set[str] = set()
        self._turn = 0
        self._since = clock()

    def reset(self) -> None:
        """Forget everything: another replica may have led meanwhile, and meters tell it all again."""
        for kept in (self._told, self._pods, self._names, self._members, self._spans, self._unmeasured, self._touched):
            kept.clear()
        self._use.clear()
        self._since = self._clock()

    # What the reconcilers say and ask.

    def publish(self, metered: Metered) -> None:
        """Have the pod's connections counted, and limited. What does not differ costs nothing."""
        present = self._told.get(metered.pod_uid)
        if present is not None and present.metered == metered:
            return
        agent = metered.agent_uid
        self._names[agent] = metered.agent
        self._pods[agent].add(metered.pod_uid)
        for held in metered.limits:
            self._members[held.uid].add(agent)
            if held.limit.resource is Resource.NETWORK_BYTES:
                self._spans[held.uid] = max(span_of(held.limit), self._spans.get(held.uid, timedelta()))
        self._say(metered, self._allowed(metered, self._clock()))

    def withdraw(self, pod_uid: str) -> None:
        """The pod is gone, or nothing of it is counted any more."""
        present = self._told.pop(pod_uid, None)
        if present is None:
            return
        pods = self._pods[present.metered.agent_uid]
        pods.discard(pod_uid)
        if not pods:
            del self._pods[present.metered.agent_uid]
        self._unmeasured.discard(pod_uid)
        self._send({"kind": "meterGone", "uid": pod_uid})

    def allowed(self, agent_uid: str) -> Allowed | None:
        """Return what was left to the agent when that was looked at last, None if nothing limits it."""
        found = [self._told[pod] for pod in self._pods.get(agent_uid, ())]
        return next((each.allowed for each in found if each.metered.limits or each.metered.missing), None)

    def messages(self) -> Iterator[Message]:
        """Yield what a control process has to be told that knows nothing yet."""
        for told in self._told.values():
            yield told.message()

    def is_direct(self, agent_uid: str) -> bool:
        """Return True if the agent has ways past the gateway, which are to be closed, too, when nothing is left."""
        return any(self._told[pod].metered.is_direct for pod in self._pods.get(agent_uid, ()))

    def is_known(self, agent_uid: str) -> bool:
        """Return False while an operator that begins has yet to be told what the agent has used."""
        found = [self._told[pod].metered for pod in self._pods.get(agent_uid, ())]
        return not self._is_beginning() or all(self._are_all_heard(it) and self._is_measured(it) for it in found)

    def _is_measured(self, metered: Metered) -> bool:
        pod = metered.pod_uid
        return not metered.is_direct or pod in self._unmeasured or self._use.has_told(metered.agent_uid, pod)

    def direct(self) -> dict[str, Metered]:
        """Return those pods that have ways past the gateway, by UID."""
        return {pod: told.metered for pod, told in self._told.items() if told.metered.is_direct}

    def measured(self, pod_uid: str, count: int | None) -> None:
        """Take what a pod has sent and received altogether, in bytes; None where its kubelet does not say.

        What of it is no news to meters has passed elsewhere. The kubelet tells late, so it may be less than they know.
        """
        told = self._told.get(pod_uid)
        if told is None:
            return
        agent = told.metered.agent_uid
        if (count is None) != (pod_uid in self._unmeasured):
            self._unmeasured ^= {pod_uid}
            self._touched.add(agent)
        if count is None or (self._is_beginning() and not self._are_all_heard(told.metered)):
            return
        past = count - self._use.total_of_pod(agent, pod_uid)
        if self._use.measured(agent, pod_uid, past, since=told.metered.created, now=self._clock()):
            self._touched.add(agent)

    def _is_beginning(self) -> bool:
        return self._clock() - self._since < timedelta(seconds=REPEAT_SECONDS)

    def _are_all_heard(self, metered: Metered) -> bool:
        """Return whether it is known what of the pod's bytes went through the gateway: all else went past it."""
        heard = {meter.partition("/")[0] for meter in self._use.totals(metered.agent_uid)}
        return heard.issuperset(metered.replicas)

    # What the meters say.

    def hear(self, message: Mapping[str, Any]) -> None:
        """Take a meter's report. Raises KeyError or ValueError."""
        self._touched.update(self._use.hear(message, now=self._clock(), is_old=self._is_beginning()))

    def _refused(self, agent: str, resource: Resource, count: int) -> None:
        for bucket in {held.bucket for held in self._limits(agent) if held.limit.resource is resource}:
            self._refusals[bucket] += count

    def left(self, replica: str) -> None:
        """A replica of the gateway is gone."""
        self._touched.update(self._use.left(replica))

    async def run(self) -> None:
        """Look at what was reported, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            self.look()

    def look(self) -> None:
        """Work out what is left to those of whom something was reported, and tell meters what they cannot know."""
        touched, self._touched = self._touched, set()
        self._turn = (self._turn + 1) % TOLD_TURNS
        now, quotas = self._clock(), set()
        concerned = set(touched)
        for agent in touched:
            for held in self._limits(agent):
                quotas.add(held.uid)
                if held.limit.scope is Scope.SHARED:
                    concerned |= self._members[held.uid]
        if self._turn % FREED_TURNS == 0:
            concerned |= {agent for agent in self._pods if self._use.has(agent)}
        if self._turn == 0:
            self._forget(now)
            quotas |= {held.uid for agent in concerned for held in self._limits(agent)}
        used = CountedUse(self._use, self._members)
        for agent in concerned:
            for pod in self._pods.get(agent, ()):
                told = self._told[pod]
                if told.metered.limits and not told.metered.missing:
                    self._judge(told, allowed(told.metered.limits, agent, used, now=now))
        for quota in quotas:
            self._on_use(quota)

    def _forget(self, now: datetime) -> None:
        """Forget agents without a pod whose use counts nowhere any more."""
        for quota, members in self._members.items():
            since = now - self._spans.get(quota, timedelta())
            members -= {it for it in members if it not in self._pods and not self._use.is_used(it, since)}
        for quota in [quota for quota, members in self._members.items() if not members]:
            del self._members[quota]
            self._spans.pop(quota, None)
        self._use.forget_before(now - LONGEST)
        known = self._pods.keys() | {agent for members in self._members.values() for agent in members}
        for agent in self._names.keys() - known:
            del self._names[agent]

    def _judge(self, told: Told, fresh: Allowed) -> None:
        before = told.allowed
        is_turn = before.is_spent != fresh.is_spent
        if is_turn or is_news(told, fresh, self._use.totals(told.metered.agent_uid)):
            self._say(told.metered, fresh)
        if is_turn:
            self._on_spent(told.metered.agent)

    def _say(self, metered: Metered, left: Allowed) -> None:
        fresh = Told(metered, left, self._use.totals(metered.agent_uid))
        self._told[metered.pod_uid] = fresh
        self._send(fresh.message())

    def _allowed(self, metered: Metered, now: datetime) -> Allowed:
        if metered.missing:
            return Allowed(bytes=0, words=f"Quota {metered.missing} does not exist: create it, or name another one")
        return allowed(metered.limits, metered.agent_uid, CountedUse(self._use, self._members), now=now)

    def _limits(self, agent: str) -> Iterable[Held]:
        return (held for pod in self._pods.get(agent, ()) for held in self._told[pod].metered.limits)

    # What the quotas ask.

    def uses(self, quota: Quota) -> dict[str, Use]:
        """Return `Limit.id` → use, for those of the quota's limits that the gateway keeps."""
        now, uid = self._clock(), quota.metadata.uid
        usage = CountedUse(self._use, self._members)
        found = {}
        for limit in quota.spec.limits:
            if MATRIX[limit.resource].enforcer is Enforcer.GATEWAY:
                found[limit.id] = self._use_of(Held(*quota.key, uid, limit), usage, now)
        return found

    def _use_of(self, held: Held, usage: CountedUse, now: datetime) -> Use:
        members, limit = self._members.get(held.uid, set()), held.limit
        if limit.resource is Resource.NETWORK_CONNECTIONS:
            each = {agent: self._use.open(agent) for agent in members}
        else:
            each = {agent: self._use.used((agent,), limit, now=now) for agent in members}
        is_shared = limit.scope is Scope.SHARED
        most = sum(each.values()) if is_shared else max(each.values(), default=0)
        whose = max(each, key=lambda it: each[it], default="")
        refusals = {agent: self._use.refusals(agent, limit.resource) for agent in members}
        last = max(((at, agent) for agent, (_, at) in refusals.items() if at), default=None)
        is_bytes = limit.resource is Resource.NETWORK_BYTES
        return Use(
            used=most,
            per_agent={self._names[agent][1]: float(count) for agent, count in each.items() if count},
            resets_at=usage.frees_at(held, whose, now=now) if is_bytes and whose else None,
            refusals=sum(count for count, _ in refusals.values()),
            seen_refusals=self._refusals[held.bucket],
            refused_at=last[0] if last else None,
            refused_agent=self._names[last[1]][1] if last else "",
            trouble=self._trouble(members) if is_bytes else None,
        )

    def _trouble(self, members: Iterable[str]) -> tuple[Reason, str] | None:
        silent = sorted(self._names[agent][1] for agent in members if self._pods.get(agent, set()) & self._unmeasured)
        if not silent:
            return None
        words = (
            f"networkBytes are counted at the gateway only: the kubelet does not say what the pod of agent {silent[0]} "
            "moves to its destinations and cidrs; leave those out, or have kubelets tell the network statistics of pods"
        )
        return Reason.NOT_SUPPORTED, words
