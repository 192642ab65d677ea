"""By what pools, their pods and the agents of their pods are looked for."""

from collections.abc import Iterable

from ringfence_operator import labels
from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.resources.record import AgentRecord

BY_POOL = "pool"
FREE = "free"
Group = tuple[str, str, str, str]
"""Namespace, name and UID of a pool, and the hash of a template: of one group, agents can have any pod."""


def is_claimable(pod: Pod) -> bool:
    """Return True if an agent could have the pod, as far as its template is right: ready, closed, and to stay."""
    return pod.ready and is_whole(pod) and not pod.deleting_since and not pod.disrupted


def is_whole(pod: Pod) -> bool:
    """Return True if the pod carries what closes it, and what lets its starter be told, and nothing has run in it."""
    is_unused = not pod.claimed and not pod.has_guests
    return is_unused and labels.CONFINED in pod.labels and labels.STARTER in pod.labels


def index_free(pod: Pod) -> Iterable[Group]:
    """Yield the group of a pod that an agent could have."""
    if is_claimable(pod):
        yield pod.meta.namespace, pod.pool, pod.owner_uid, pod.template_hash


def index_by_pool(pod: Pod) -> Iterable[tuple[str, str]]:
    """Yield the pool that a pod was made for."""
    if pod.pool:
        yield pod.meta.namespace, pod.pool


def index_by_pool_ref(agent: AgentRecord) -> Iterable[tuple[str, str]]:
    """Yield the pool that an agent's pod comes from."""
    if agent.pool:
        yield agent.namespace, agent.pool
