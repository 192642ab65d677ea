"""By what pools, their pods and the agents of their pods are looked for."""

from collections.abc import Iterable

from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.resources.record import AgentRecord

BY_POOL = "pool"


def index_by_pool(pod: Pod) -> Iterable[tuple[str, str]]:
    """Yield the pool that a pod was made for."""
    if pod.pool:
        yield pod.meta.namespace, pod.pool


def index_by_pool_ref(agent: AgentRecord) -> Iterable[tuple[str, str]]:
    """Yield the pool that an agent's pod comes from."""
    if agent.pool:
        yield agent.namespace, agent.pool
