"""What the starters in pools' pods are to be told, and what they say: bookkeeping without a socket."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ringfence_operator.reconcile.sidecars import Inside
from ringfence_operator.reconcile.starters import Heard, why_unfit

Message = dict[str, Any]
AgentKey = tuple[str, str]
PoolKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Told:
    address: str
    agent: AgentKey | None = None
    pool: PoolKey | None = None
    order: Mapping[str, Any] | None = field(default=None, repr=False)

    def message(self, uid: str) -> Message:
        return {"kind": "starter", "uid": uid, "address": self.address, "order": self.order}


class StarterBook:
    """A `reconcile.starters.Starters`; `send` takes messages to the control process, while there is one.

    `on_heard` hears of each agent of whose pod's starter there is news, `on_fitness` of each pool that has a warm pod
    of which its starter says that it is fit for an agent no more, or again.
    """

    def __init__(
        self,
        *,
        send: Callable[[Message], None],
        on_heard: Callable[[AgentKey], None],
        on_fitness: Callable[[PoolKey], None] = lambda _: None,
    ) -> None:
        self._send: Final = send
        self._on_heard: Final = on_heard
        self._on_fitness: Final = on_fitness
        self._told: dict[str, _Told] = {}
        self._heard: dict[str, Heard] = {}

    def reset(self) -> None:
        """Forget everything: another replica may have led meanwhile."""
        self._told.clear()
        self._heard.clear()

    def admit(self, pod_uid: str, address: str, agent: AgentKey | None = None, pool: PoolKey | None = None) -> None:
        """Let the starter of this pod, an agent's or a pool's, ask from this address; it is told nothing yet."""
        if agent is None and self._is_claimed(pod_uid):
            return
        self._tell(pod_uid, _Told(address, agent, pool))

    def order(self, pod_uid: str, address: str, agent: AgentKey, order: dict[str, Any]) -> None:
        """Have the starter of this pod told what to run, for the agent of this namespace and name."""
        self._tell(pod_uid, _Told(address, agent, order=order))

    def withdraw(self, pod_uid: str) -> None:
        """Have this pod's starter told nothing any more."""
        if self._told.pop(pod_uid, None) is not None:
            self._send({"kind": "starterGone", "uid": pod_uid})
        self._heard.pop(pod_uid, None)

    def withdraw_warm(self, pod_uid: str) -> None:
        """Do so, unless the pod has come to be an agent's."""
        if not self._is_claimed(pod_uid):
            self.withdraw(pod_uid)

    def heard(self, pod_uid: str) -> Heard | None:
        """Return what the pod's starter said last since this replica leads; None if it has not asked."""
        return self._heard.get(pod_uid)

    def messages(self) -> Iterator[Message]:
        """Yield what a control process has to be told that knows nothing yet."""
        for uid, told in self._told.items():
            yield told.message(uid)

    def hear(self, message: Mapping[str, Any]) -> None:
        """Take what a pod's starter says. Raises KeyError."""
        uid = str(message["uid"])
        told = self._told.get(uid)
        if told is None:
            return
        wire = message["inside"]
        heard = Heard(
            agent_uid=str(message["agentUid"]),
            started=bool(message["started"]),
            refused=str(message["refused"]),
            inside=Inside(closed=bool(wire["closed"]), way_out=wire["wayOut"]) if wire else None,
        )
        before = self._heard.get(uid)
        if before == heard:
            return
        self._heard[uid] = heard
        if told.agent is not None:
            self._on_heard(told.agent)
        elif told.pool is not None and _is_fit(before) != _is_fit(heard):
            self._on_fitness(told.pool)

    def _is_claimed(self, uid: str) -> bool:
        told = self._told.get(uid)
        return told is not None and told.agent is not None

    def _tell(self, uid: str, told: _Told) -> None:
        if self._told.get(uid) != told:
            self._told[uid] = told
            self._send(told.message(uid))


def _is_fit(heard: Heard | None) -> bool:
    return why_unfit(heard, may_be_open=False) is None
