"""Starters in memory: what they were told, and what they say."""

from typing import Any

from ringfence_operator.reconcile.sidecars import Inside
from ringfence_operator.reconcile.starters import Heard

Key = tuple[str, str]


class FakeStarters:
    """Implements the port `Starters`. Nobody says anything by itself: on some nodes nobody ever does."""

    def __init__(self) -> None:
        self.admitted: dict[str, str] = {}
        self.wakes: dict[str, Key | None] = {}
        """By the pod's UID, the agent that hears what is said by a starter that has been told nothing."""
        self.pools: dict[str, Key | None] = {}
        """By the pod's UID, the pool that hears whether an agent may have the pod."""
        self.orders: dict[str, tuple[str, Key, dict[str, Any]]] = {}
        self.said: dict[str, Heard] = {}

    def admit(self, pod_uid: str, address: str, agent: Key | None = None, pool: Key | None = None) -> None:
        if agent is None and (pod_uid in self.orders or self.wakes.get(pod_uid)):
            return
        self.admitted[pod_uid] = address
        self.pools[pod_uid] = pool
        self.wakes[pod_uid] = agent
        self.orders.pop(pod_uid, None)

    def order(self, pod_uid: str, address: str, agent: Key, order: dict[str, Any]) -> None:
        self.orders[pod_uid] = address, agent, order

    def withdraw(self, pod_uid: str) -> None:
        self.admitted.pop(pod_uid, None)
        self.orders.pop(pod_uid, None)
        self.said.pop(pod_uid, None)
        self.wakes.pop(pod_uid, None)

    def withdraw_warm(self, pod_uid: str) -> None:
        if pod_uid not in self.orders and not self.wakes.get(pod_uid):
            self.withdraw(pod_uid)

    def heard(self, pod_uid: str) -> Heard | None:
        return self.said.get(pod_uid)

    def ask(self, pod_uid: str) -> None:
        """The pod's starter asks, and has not been told of any agent."""
        self.said[pod_uid] = Heard()

    def carry_out(self, pod_uid: str) -> None:
        """The pod's starter does what it was told."""
        uid = self.orders[pod_uid][2]["agent"]["uid"]
        self.said[pod_uid] = Heard(agent_uid=uid, started=True, inside=Inside(closed=True))
