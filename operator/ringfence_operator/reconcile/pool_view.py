"""Questions about pools that are asked of the view."""

from contextlib import suppress

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.agent_pool import AgentPool, PoolTemplate
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.resources.pool import recorded_template


def pools_in(namespace: str, view: View) -> list[AgentPool]:
    """Return the pools of a namespace, which are few."""
    return [pool for key, pool in view.pools.cache.items() if key[0] == namespace]


def pool_of(agent: Agent, view: View) -> AgentPool | None:
    """Return the pool that `agent` names, if that is there."""
    ref = agent.spec.pool_ref
    return view.pools.get(agent.metadata.namespace, ref.name) if ref else None


def template_of(agent: Agent, pod: Pod | None, view: View) -> PoolTemplate | None:
    """Return the template that the agent's pod was made from; without a pod, its pool's present one."""
    if agent.spec.pool_ref is None:
        return None
    if pod is not None and pod.template:
        with suppress(ValueError):
            return recorded_template(pod.template)
    pool = pool_of(agent, view)
    return pool.spec.template if pool else None
