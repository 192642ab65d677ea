"""What becomes of the agents that have a pool's pod when the pool is deleted."""

from contextlib import suppress

import structlog

from ringfence_operator import labels
from ringfence_operator.api.agent_pool import AgentPool, DeletionPolicy
from ringfence_operator.errors import ConflictError, NotFoundError
from ringfence_operator.reconcile.pool_index import BY_POOL
from ringfence_operator.reconcile.ports import RINGFENCE, Kube, path
from ringfence_operator.reconcile.quota_admission import catch_up
from ringfence_operator.reconcile.view import View

BATCH = 25
"""So many agents are deleted in a pass, before others have their turn."""
AGAIN_SECONDS = 1.0
"""How soon it is looked for what is left."""

log = structlog.get_logger()


async def hold_pool(pool: AgentPool, view: View, kube: Kube) -> bool:
    """Have the pool's end wait for us where its agents are to go with it, and not where they stay; True if it changed.

    Without the finalizer a pool that is deleted while no operator runs would leave them behind.
    """
    is_held = labels.CLAIMED_AGENTS in pool.metadata.finalizers
    if is_held == (pool.spec.deletion_policy is DeletionPolicy.DELETE):
        return False
    await _set_finalizers(pool, view, kube, is_held=not is_held)
    return True


async def end_pool(pool: AgentPool, view: View, kube: Kube) -> float | None:
    """Delete the agents that have a pod of a pool that is being deleted, if it says so; then let go of it."""
    if labels.CLAIMED_AGENTS not in pool.metadata.finalizers:
        return None
    if pool.spec.deletion_policy is DeletionPolicy.DELETE:
        # A claim that was made a moment ago, by another leader even, is one.
        await catch_up(pool.metadata.namespace, view, kube)
        found = _claimants(pool, view)
        for namespace, name, uid in found[:BATCH]:
            with suppress(NotFoundError, ConflictError):
                await kube.delete(path(RINGFENCE, namespace, "agents", name), uid=uid)
                log.info("agent.deleted", agent=name, pool=pool.metadata.name)
        if found or view.pooling.is_claimed_from(pool.key):
            return 0.0 if len(found) > BATCH else AGAIN_SECONDS
    await _set_finalizers(pool, view, kube, is_held=False)
    return None


def _claimants(pool: AgentPool, view: View) -> list[tuple[str, str, str]]:
    """Return the agents that have a pod which was made for the pool; one with a pod of its own is none."""
    found = []
    for namespace, name in view.pods.keys_by(BY_POOL, pool.key):
        agent, pod = view.agents.get(namespace, name), view.pods.get(namespace, name)
        if agent is not None and pod is not None and pod.owner_uid == agent.uid:
            found.append((namespace, name, agent.uid))
    return sorted(found)


async def _set_finalizers(pool: AgentPool, view: View, kube: Kube, *, is_held: bool) -> None:
    """Put our finalizer beside the others, or take it away. With the version: nobody else's gets lost."""
    meta = pool.metadata
    others = [each for each in meta.finalizers if each != labels.CLAIMED_AGENTS]
    finalizers = [*others, labels.CLAIMED_AGENTS] if is_held else others
    body = {"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version, "finalizers": finalizers}}
    with suppress(NotFoundError):
        answer = await kube.merge_patch(path(RINGFENCE, meta.namespace, "agentpools", meta.name), body)
        if not answer["metadata"].get("deletionTimestamp"):
            view.pools.store(answer, wakes=False)
