"""How long agents wait for a pod of their pool, and pools for theirs: measured here, told to whoever counts.

Of new agents only: one that is resumed, or whose pod was replaced, has not been waiting since it was first seen.
"""

import time
from collections.abc import Callable
from typing import Protocol

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.agent_status import AgentState, AgentStatus

Key = tuple[str, str]
MOST_AGENTS = 10_000
"""So many agents are on the way to their pods at a time; of those beyond, nothing is measured."""


class PoolObserver(Protocol):
    """Counts what happens in a pool, by its namespace and name (see `pool_metrics.PoolMetrics`)."""

    def assigned(self, pool: Key, seconds: float) -> None:
        """An agent's status names a pod of the pool, so long after the agent was seen."""

    def started(self, pool: Key, seconds: float) -> None:
        """The agent's command runs in it."""

    def pod_made(self, pool: Key) -> None:
        """A pod was made for the pool."""

    def pod_warm(self, pool: Key, seconds: float) -> None:
        """A pod of the pool is ready, so long after it was made."""

    def forget(self, pool: Key) -> None:
        """The pool is gone."""


class _Unobserved:
    def assigned(self, pool: Key, seconds: float) -> None: ...
    def started(self, pool: Key, seconds: float) -> None: ...
    def pod_made(self, pool: Key) -> None: ...
    def pod_warm(self, pool: Key, seconds: float) -> None: ...
    def forget(self, pool: Key) -> None: ...


class PoolTimes:
    """Knows since when agents are on their way to a pod; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.observer: PoolObserver = _Unobserved()
        self._clock = clock
        self._seen: dict[str, float] = {}
        self._assigned: set[str] = set()

    def seen(self, agent_uid: str) -> None:
        """A new agent of a pool is there."""
        if len(self._seen) < MOST_AGENTS:
            self._seen.setdefault(agent_uid, self._clock())

    def forget(self, agent_uid: str) -> None:
        """The agent is gone, or has come to an end."""
        self._seen.pop(agent_uid, None)
        self._assigned.discard(agent_uid)

    def told(self, agent: Agent, status: AgentStatus, *, is_claimed: bool) -> None:
        """The agent's status has been written; `is_claimed` is False where its pod, if any, was not the pool's."""
        uid, ref = agent.metadata.uid, agent.spec.pool_ref
        began = self._seen.get(uid)
        if began is None or ref is None or status.pod_uid is None:
            return
        if not is_claimed:
            self.forget(uid)
            return
        pool, seconds = (agent.metadata.namespace, ref.name), self._clock() - began
        if uid not in self._assigned:
            self._assigned.add(uid)
            self.observer.assigned(pool, seconds)
        if status.state is AgentState.RUNNING:
            self.forget(uid)
            self.observer.started(pool, seconds)
