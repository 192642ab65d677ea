"""Asks kubelets what pods move past the gateway, where a policy opens such ways and a quota limits bytes."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Protocol

import structlog

from ringfence_operator.errors import UnavailableError
from ringfence_operator.reconcile.kubelet_round import ask_nodes
from ringfence_operator.reconcile.meters import Metered
from ringfence_operator.reconcile.view import View

INTERVAL = 10.0
"""Kubelets look at a pod's interface every ten seconds or so themselves."""

log = structlog.get_logger()


class Kubelets(Protocol):
    """Who answers for nodes (see `kube.kubelet.Kubelet`)."""

    async def network(self, address: str, port: int) -> dict[str, int]:
        """Return bytes sent and received by the UID of the pod. Raises UnavailableError."""


class Measured(Protocol):
    """Who wants to know (see `egress.meters.MeterBook`)."""

    def direct(self) -> Mapping[str, Metered]:
        """Return those pods that have ways past the gateway, by UID."""

    def measured(self, pod_uid: str, count: int | None) -> None:
        """Take what a pod has sent and received altogether, in bytes; None where its kubelet does not say."""


class DirectWatch:
    """One request for each node that has such pods; no other is asked."""

    def __init__(self, view: View, kubelets: Kubelets, meters: Measured) -> None:
        self._view = view
        self._kubelets = kubelets
        self._meters = meters

    async def look(self) -> None:
        """Ask each node once."""
        pods: defaultdict[str, list[str]] = defaultdict(list)
        for uid, metered in self._meters.direct().items():
            pod = self._view.pods.get(*metered.agent)
            if pod is not None and pod.meta.uid == uid and pod.node:
                pods[pod.node].append(uid)
        for node, answer in (await ask_nodes(self._view, pods, self._kubelets.network)).items():
            if isinstance(answer, UnavailableError):
                log.warning("kubelet.silent", node=node, error=str(answer))
            said = {} if isinstance(answer, UnavailableError) else answer
            for uid in pods[node]:
                self._meters.measured(uid, said.get(uid))
