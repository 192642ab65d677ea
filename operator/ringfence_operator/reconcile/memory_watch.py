"""Asks kubelets every few seconds how much memory agents use, so that it is told before the kernel kills."""

from collections.abc import Callable
from typing import Protocol

import structlog

from ringfence_operator.api.quota import Quota
from ringfence_operator.errors import UnavailableError
from ringfence_operator.reconcile.kubelet_round import ask_nodes
from ringfence_operator.reconcile.memory_use import memory_limit_of, percents
from ringfence_operator.reconcile.pod_index import is_live
from ringfence_operator.reconcile.quotas import agents_of
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.observed_pod import Pod

INTERVAL = 5.0
"""Seconds from one look to the next."""

log = structlog.get_logger()


class Kubelets(Protocol):
    """Who answers for nodes (see `kube.kubelet.Kubelet`)."""

    async def memory(self, address: str, port: int) -> dict[str, int]:
        """Return bytes by the UID of the pod. Raises UnavailableError."""


class MemoryWatch:
    """One request for each node that has agents under a quota with a memory limit; no other is asked."""

    def __init__(self, view: View, kubelets: Kubelets, *, on_use: Callable[[tuple[str, str]], None]) -> None:
        self._view = view
        self._kubelets = kubelets
        self._on_use = on_use

    async def look(self) -> None:
        """Ask each node once, and have those quotas looked at of which something else is to be said."""
        pods = {
            quota.key: watched_pods(quota, self._view)
            for quota in self._view.quotas.cache.values()
            if memory_limit_of(quota) is not None
        }
        nodes = {pod.node for found in pods.values() for pod in found.values()} - {""}
        use, silent = self._view.memory, dict(self._view.memory.silent)

        def take_early(answers: dict[str, dict[str, int] | UnavailableError]) -> None:
            said = {node: answer for node, answer in answers.items() if not isinstance(answer, UnavailableError)}
            for node, answer in said.items():
                self._take(node, answer)
            for key, found in pods.items():
                if any(pod.node in said for pod in found.values()):
                    self._tell(key, found, silent, is_first=False)

        answers = await ask_nodes(self._view, nodes, self._kubelets.memory, on_early=take_early)
        use.working.clear()
        use.silent = {node: why for node, why in silent.items() if node in nodes}
        for node, answer in answers.items():
            self._take(node, answer)
        is_first, use.has_looked = not use.has_looked, True
        for key, found in pods.items():
            self._tell(key, found, silent, is_first=is_first)

    def _take(self, node: str, answer: dict[str, int] | UnavailableError) -> None:
        use = self._view.memory
        if not isinstance(answer, UnavailableError):
            use.silent.pop(node, None)
            use.working |= answer
            return
        if node not in use.silent:
            log.warning("kubelet.silent", node=node, error=str(answer))
        use.silent[node] = str(answer)

    def _tell(self, key: tuple[str, str], pods: dict[str, Pod], silent: dict[str, str], *, is_first: bool) -> None:
        quota, use = self._view.quotas.get(*key), self._view.memory
        if quota is None:
            return
        now = percents(quota, pods, use)
        nodes = {pod.node for pod in pods.values()}
        if is_first or now != use.told.get(key, {}) or nodes & use.silent.keys() != nodes & silent.keys():
            use.told[key] = now
            self._on_use(key)


def watched_pods(quota: Quota, view: View) -> dict[str, Pod]:
    """Return the pods of a quota's agents that are on a node and have not ended, by the agents' names."""
    pods = ((name, view.pods.get(namespace, name)) for namespace, name in agents_of(quota, view))
    return {name: pod for name, pod in pods if pod is not None and pod.node and is_live(pod)}
