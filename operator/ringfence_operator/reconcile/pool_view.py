"""Questions about pools that are asked of the view."""

from collections.abc import Iterator
from contextlib import suppress

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.agent_pool import AgentPool, PoolTemplate
from ringfence_operator.api.connector import Connector
from ringfence_operator.reconcile.binding import pool_bindings
from ringfence_operator.reconcile.pool_index import BY_POOL
from ringfence_operator.reconcile.pool_order import Free
from ringfence_operator.reconcile.pooling import KnownHash
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.effective import Surroundings, effective
from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.resources.pool import member, recorded_template, template_hash


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


def is_unreadable(pod: Pod | None) -> bool:
    """Return True if nobody can tell what the pod was made from, although it says so."""
    if pod is None or not pod.template:
        return False
    try:
        recorded_template(pod.template)
    except ValueError:
        return True
    return False


def pods_of(pool: AgentPool, view: View) -> Iterator[Pod]:
    """Yield the pods that the pool has made and no agent has; what else carries its label is none of its."""
    for key in view.warm.keys_by(BY_POOL, pool.key):
        pod = view.warm.cache[key]
        if pod.owner_uid == pool.metadata.uid:
            yield pod


def wanted_hash(pool: AgentPool, view: View) -> str:
    """Return the hash of what the pool's pods are made from now; worked out once for each change of it."""
    ref = pool.spec.template.security_policy_ref
    policy = view.policies.get(pool.metadata.namespace, ref.name) if ref else view.cluster_policy()
    known = view.pooling.hashes.get(pool.key)
    connectors = pool_bindings(pool.spec.template, pool.metadata.namespace, view).bound
    around = Surroundings(runtime_classes=frozenset(name for _, name in view.runtime_classes.cache))
    if (
        known is None
        or known.spec is not pool.spec
        or known.policy is not policy
        or known.runtime_classes != around.runtime_classes
        or not _are_same(known.connectors, connectors)
    ):
        holds = effective(member(pool), policy, view.settings, around)
        hashed = template_hash(pool, policy, holds, connectors)
        known = KnownHash(pool.spec, policy, around.runtime_classes, connectors, hashed)
        view.pooling.hashes[pool.key] = known
    return known.value


def _are_same(before: tuple[Connector, ...], now: tuple[Connector, ...]) -> bool:
    """Return True if these are the same objects: comparing all that they say would cost more, for each claim."""
    return len(before) == len(now) and all(one is other for one, other in zip(before, now, strict=True))


def claimable(pool: AgentPool, view: View) -> Free:
    """Return the pool's pods that agents can have now, those included that are being handed out.

    Those of an earlier template that are still good for it are handed out first, so that they come to an end.
    """
    wanted = wanted_hash(pool, view)
    hashes = (*view.pooling.still_good(pool.key, wanted), wanted)
    groups = ((*pool.key, pool.metadata.uid, each) for each in hashes)
    return Free(groups, view.warm, view.pooling.order)


def runs_low(pool: AgentPool, view: View) -> bool:
    """Return True if the pool has so few warm pods that more cannot wait."""
    return len(claimable(pool, view)) - view.pooling.handed_out(pool.key) < pool.spec.low_mark
