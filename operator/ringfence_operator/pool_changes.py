"""What a change of a pool, or of its pods, makes the operator look at again."""

from collections.abc import Callable
from datetime import datetime

from ringfence_operator.api.agent_pool import AgentPool
from ringfence_operator.kube.informer import Change
from ringfence_operator.priorities import LATER, NOW, SOON
from ringfence_operator.reconcile.clock import utc_now
from ringfence_operator.reconcile.pool_claim import serve_line
from ringfence_operator.reconcile.pool_index import BY_POOL
from ringfence_operator.reconcile.pool_view import pools_in, runs_low
from ringfence_operator.reconcile.ports import Task
from ringfence_operator.reconcile.view import BY_NODE, View
from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.resources.record import AgentRecord
from ringfence_operator.runtime.queue import WorkQueue

TOGETHER_SECONDS = 0.1
"""What becomes of a pool's pods is taken together for so long; an agent that waits for one is not kept by that."""

MOST_TOGETHER_SECONDS = 5.0
"""However long the refill waits, a pod that has died meanwhile and the counts do not wait longer than this."""

Key = tuple[str, str]
_ENDED = {"Succeeded", "Failed", "Suspended"}


class PoolChanges:
    """The part of `Changes` that pools are concerned by."""

    def __init__(self, queue: WorkQueue[Task], view: Callable[[], View]) -> None:
        self.warm_gone: Callable[[str], None] = lambda _: None
        """Hears the UID of each pod that is no warm one any more; whether an agent has it may not be seen yet."""
        self._queue = queue
        self._view = view

    def all_pools(self, priority: int, namespace: str = "") -> None:
        """Have every pool looked at, or those of a namespace."""
        for key in self._view().pools.cache:
            if namespace in ("", key[0]):
                self._queue.add(Task("AgentPool", *key), priority)

    def secrets_changed(self, namespace: str) -> None:
        """Connectors use other Secrets than before; a pool's template may name one, and so do its agents."""
        view = self._view()
        for pool in pools_in(namespace, view):
            self._queue.add(Task("AgentPool", *pool.key), SOON)
            for key in view.agents.keys_by(BY_POOL, pool.key):
                self._queue.add(Task("Agent", *key), SOON)

    def policy_changed(self, namespace: str, name: str) -> None:
        """Agents from pools may be under another policy, which is held against the one of their pod's template."""
        view = self._view()
        for pool in pools_in(namespace, view):
            for key in view.agents.keys_by(BY_POOL, pool.key):
                record = view.agents.get(*key)
                if record is not None and record.policy != name:
                    self._queue.add(Task("Agent", *key), LATER)

    def pool_changed(self, change: Change[AgentPool]) -> None:
        """A pool, and the agents whose pods come from it, where it is new, gone, or has another template."""
        self._queue.add(Task("AgentPool", *change.key), SOON)
        old, new = change.old, change.new
        if old is None or new is None or _says_otherwise(old, new):
            for key in self._view().agents.keys_by(BY_POOL, tuple(change.key)):
                self._queue.add(Task("Agent", *key), LATER if old else SOON)

    def agent_changed(self, change: Change[AgentRecord]) -> None:
        """An agent: from when it is here, how long it waits for a pod of its pool is measured."""
        old, new, times = change.old, change.new, self._view().pooling.times
        if old is not None and (new is None or new.uid != old.uid or new.state in _ENDED):
            times.forget(old.uid)
        if new is not None and new.pool and new.state == "Pending" and (old is None or old.uid != new.uid):
            times.seen(new.uid)

    def warm_changed(self, change: Change[Pod]) -> None:
        """A pod that no agent has: ready, it is the next one's; gone from here, it is an agent's or no more."""
        old, new = change.old, change.new
        if old is not None and (new is None or new.meta.uid != old.meta.uid):
            self._left(old)
        pod = new or old
        if pod is None or not pod.pool:
            return
        key = (pod.meta.namespace, pod.pool)
        if old and new and old.meta.uid == new.meta.uid and new.ready and not old.ready:
            age = utc_now() - datetime.fromisoformat(new.created)
            self._view().pooling.times.observer.pod_warm(key, max(0.0, age.total_seconds()))
        pool = self._view().pools.get(*key)
        if new is not None and new.ready and pool is not None:
            serve_line(pool, self._view())
        self.pool_stands_otherwise(key)

    def _left(self, pod: Pod) -> None:
        pooling, uid = self._view().pooling, pod.meta.uid
        agent = pooling.claimant(uid)
        pooling.release(uid)
        found = self._view().pods.get(*agent) if agent else None
        if found is None or found.meta.uid != uid:
            self.warm_gone(uid)

    def pod_changed(self, change: Change[Pod]) -> None:
        """An agent's pod, which its pool counts."""
        pod = change.new or change.old
        if pod is not None and pod.pool and (change.old is None or change.new is None):
            self.pool_stands_otherwise((pod.meta.namespace, pod.pool))

    def node_gone(self, node: str) -> None:
        """Pods go with their node."""
        view = self._view()
        for key in view.warm.keys_by(BY_NODE, node):
            self.pool_stands_otherwise((key[0], view.warm.cache[key].pool))

    def fitness_changed(self, pool: Key) -> None:
        """A warm pod's starter says that an agent may not have the pod, or may again."""
        self.pool_stands_otherwise(pool, is_urgent=self._view().pooling.is_waited_for(pool))

    def pool_stands_otherwise(self, pool: Key, is_urgent: bool = False) -> None:
        """Have a pool looked at: it has other pods than before, or another line of agents that wait."""
        if is_urgent:
            self._queue.add(Task("AgentPool", *pool), NOW)
        else:
            self._queue.add_after(Task("AgentPool", *pool), self._patience(pool), LATER)

    def _patience(self, key: Key) -> float:
        """Return how long what becomes of a pool's pods is taken together.

        While claims come its refill waits for them to end: a look at each of its pods for each of them would be wasted.
        """
        view = self._view()
        pool = view.pools.get(*key)
        if pool is None or view.pooling.last_claim(key) is None or runs_low(pool, view):
            return TOGETHER_SECONDS
        return max(TOGETHER_SECONDS, min(pool.spec.refill.delay, MOST_TOGETHER_SECONDS))

    def serve(self, agent: Key) -> None:
        """Have an agent looked at for which there is a pod now."""
        self._queue.add(Task("Agent", *agent), NOW)


def _says_otherwise(old: AgentPool, new: AgentPool) -> bool:
    """Return True if an agent may have become another, or be refused, by the change of its pool."""
    return old.spec.template != new.spec.template or old.spec.allowed_policies != new.spec.allowed_policies
