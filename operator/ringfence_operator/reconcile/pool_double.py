"""An agent with two pods of its pool: two leaders, or a request that arrived late, gave it each; one has to go.

A claim holds by the version of the pod, and nothing that two pods share says no to the second. The agent's status does:
the first that names a pod is the only one that the API server takes, so that pod is the agent's, and any other goes.
"""

from contextlib import suppress

import structlog

from ringfence_operator.api.agent import Agent
from ringfence_operator.errors import NotFoundError
from ringfence_operator.reconcile.ports import CORE, Kube, path
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.observed_pod import Pod

DOUBLE_SECONDS = 1.0
"""How soon it is looked again, until one pod is left."""

log = structlog.get_logger()


async def undo_double(agent: Agent, view: View, kube: Kube) -> float | None:
    """Have what the status names in view, and delete the agent's other pods; nothing, until it names one of them.

    Returns after how long to look again, if there is more than one.
    """
    key, beside = agent.key, view.pods.beside(*agent.key)
    if not beside:
        return None
    shown = view.pods.get(*key)
    pods = [*([shown] if shown else []), *beside]
    own = [pod for pod in pods if pod.owner_uid == agent.metadata.uid and not pod.deleting_since]
    named = next((pod for pod in own if pod.meta.uid == agent.status.pod_uid), None)
    if own:
        view.pods.show(*key, (named or own[0]).meta.uid)
    for pod in own if named else ():
        if pod is not named:
            await _delete(pod, view, kube)
    return DOUBLE_SECONDS


async def _delete(pod: Pod, view: View, kube: Kube) -> None:
    with suppress(NotFoundError):
        answer = await kube.delete(path(CORE, pod.meta.namespace, "pods", pod.meta.name), uid=pod.meta.uid)
        log.warning("pod.double_deleted", pod=pod.meta.name, uid=pod.meta.uid)
        if answer.get("kind") == "Pod" and answer["metadata"].get("deletionTimestamp"):
            view.pods.store(answer)
