"""What the gateway's meters are to be told, and what they report: bookkeeping without a socket.

A meter stops an agent by itself, at `totals[itself] + left`. So nothing more passes than may while the operator is
away, or late; what it has to be told in time is what other meters and other agents have used meanwhile.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ringfence_operator.api.quota import Quota
from ringfence_operator.api.quota_matrix import Resource, Scope
from ringfence_operator.egress.meter_orders import Message, Told, is_news
from ringfence_operator.egress.meter_pasts import MeterPasts
from ringfence_operator.egress.meter_pods import MeteredPods
from ringfence_operator.egress.meter_uses import MeterUses
from ringfence_operator.reconcile.meters import Metered
from ringfence_operator.reconcile.network_quota import Allowed, allowed
from ringfence_operator.reconcile.network_sums import CountedUse
from ringfence_operator.reconcile.network_use import LONGEST, NetworkUse
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
        self._pods: Final = MeteredPods()
        self._use = NetworkUse(has_pod=self._pods.has, on_refused=self._refused)
        self._pasts: Final = MeterPasts(self._use, send)
        self._uses: Final = MeterUses(self._pods, self._use, is_known=self.is_known)
        self._touched: set[str] = set()
        self._turn = 0
        self._since = clock()
        self._awaits = True  # whether quotas have yet to be told that what is used is known

    def reset(self) -> None:
        """Forget everything: another replica may have led meanwhile, and meters tell it all again."""
        self._pods.clear()
        self._touched.clear()
        self._use.clear()
        self._pasts.clear()
        self._since, self._awaits = self._clock(), True

    # What the reconcilers say and ask.

    def publish(self, metered: Metered) -> None:
        """Have the pod's connections counted, and limited. What does not differ costs nothing."""
        present = self._pods.told.get(metered.pod_uid)
        if present is not None and present.metered == metered:
            return
        now = self._clock()
        self._pods.add(metered, self._use, now=now)
        self._touched.add(metered.agent_uid)
        self._say(metered, self._allowed(metered, now))

    def withdraw(self, pod_uid: str) -> None:
        """The pod is gone, or nothing of it is counted any more."""
        if self._pods.drop(pod_uid):
            self._send({"kind": "meterGone", "uid": pod_uid})

    def allowed(self, agent_uid: str) -> Allowed | None:
        """Return what was left to the agent when that was looked at last, None if nothing limits it."""
        found = self._pods.of(agent_uid)
        return next((each.allowed for each in found if each.metered.limits or each.metered.missing), None)

    def messages(self) -> Iterator[Message]:
        """Yield what a control process has to be told that knows nothing yet."""
        for told in self._pods.told.values():
            yield told.message()
        yield from self._pasts.messages()

    def is_direct(self, agent_uid: str) -> bool:
        """Return True if the agent has ways past the gateway, which are to be closed, too, when nothing is left."""
        return any(told.metered.is_asked_about for told in self._pods.of(agent_uid))

    def is_known(self, agent_uid: str) -> bool:
        """Return False while an operator that begins has yet to be told what the agent has used."""
        found = (told.metered for told in self._pods.of(agent_uid))
        return not self._is_beginning() or all(self._are_all_heard(it) and self._is_measured(it) for it in found)

    def _is_measured(self, metered: Metered) -> bool:
        pod = metered.pod_uid
        return not metered.is_asked_about or pod in self._pods.unmeasured or self._use.has_told(metered.agent_uid, pod)

    def direct(self) -> dict[str, Metered]:
        """Return those pods that have ways past the gateway, by UID."""
        return {pod: told.metered for pod, told in self._pods.told.items() if told.metered.is_asked_about}

    def measured(self, pod_uid: str, count: int | None) -> None:
        """Take what a pod has sent and received altogether, in bytes; None where its kubelet does not say.

        What of it is no news to meters has passed elsewhere. The kubelet tells late, so it may be less than they know.
        """
        told = self._pods.told.get(pod_uid)
        if told is None:
            return
        agent = told.metered.agent_uid
        if (count is None) != (pod_uid in self._pods.unmeasured):
            self._pods.unmeasured ^= {pod_uid}
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
        return self._use.heard(metered.agent_uid).issuperset(metered.replicas)

    # What the meters say.

    def hear(self, message: Mapping[str, Any]) -> None:
        """Take a meter's report. Raises KeyError or ValueError."""
        self._touched.update(self._use.hear(message, now=self._clock(), is_old=self._is_beginning()))

    def _refused(self, agent: str, resource: Resource, count: int) -> None:
        self._uses.refused({held.bucket for held in self._pods.limits(agent) if held.limit.resource is resource}, count)

    def left(self, replica: str) -> None:
        """A replica of the gateway is gone."""
        self._touched.update(self._use.left(replica))

    def disconnected(self) -> None:
        """Nothing is heard of any replica: one that goes meanwhile is not said to have left."""
        self._use.nobody_is_there()

    async def run(self) -> None:
        """Look at what was reported, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            self.look()

    def look(self) -> None:
        """Work out what is left to those of whom something was reported, and tell meters what they cannot know."""
        touched, self._touched = self._touched, set()
        self._turn = (self._turn + 1) % TOLD_TURNS
        now, quotas = self._clock(), self._awaiting()
        concerned = set(touched)
        for agent in touched:
            for held in self._pods.limits(agent):
                quotas.add(held.uid)
                if held.limit.scope is Scope.SHARED:
                    concerned |= self._pods.members[held.uid]
        if self._turn % FREED_TURNS == 0:
            concerned |= {agent for agent in self._pods.agents() if self._use.has(agent)}
            self._pasts.look()
        if self._turn == 0:
            self._pods.forget(now, self._use)
            self._use.forget_before(now - LONGEST)
            quotas |= {held.uid for agent in concerned for held in self._pods.limits(agent)}
        used = self._counted()
        for agent in concerned:
            for told in self._pods.of(agent):
                if told.metered.limits and not told.metered.missing:
                    self._judge(told, allowed(told.metered.limits, agent, used, now=now))
        for quota in quotas:
            self._on_use(quota)

    def _awaiting(self) -> set[str]:
        """Return the quotas to which it is to be told, once, that what is used is known from now on."""
        if not self._awaits or self._is_beginning():
            return set()
        self._awaits = False
        return set(self._pods.members)

    def _judge(self, told: Told, fresh: Allowed) -> None:
        before = told.allowed
        is_turn = before.is_spent != fresh.is_spent
        if is_turn or is_news(told, fresh, self._use.totals(told.metered.agent_uid)):
            self._say(told.metered, fresh)
        if is_turn:
            self._on_spent(told.metered.agent)

    def _say(self, metered: Metered, left: Allowed) -> None:
        fresh = Told(metered, left, self._use.totals(metered.agent_uid))
        self._pods.told[metered.pod_uid] = fresh
        self._send(fresh.message())

    def _allowed(self, metered: Metered, now: datetime) -> Allowed:
        if metered.missing:
            return Allowed(bytes=0, words=f"Quota {metered.missing} does not exist: create it, or name another one")
        return allowed(metered.limits, metered.agent_uid, self._counted(), now=now)

    def _counted(self) -> CountedUse:
        return CountedUse(self._use, self._pods.members, self._pods.parted)

    # What the quotas ask.

    def uses(self, quota: Quota) -> dict[str, Use]:
        """Return `Limit.id` → use, for those of the quota's limits that the gateway keeps."""
        return self._uses.of(quota, now=self._clock())
