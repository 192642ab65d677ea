"""An agent takes a warm pod of its pool: one patch, of which the API server lets one win."""

from contextlib import suppress

import structlog

from ringfence_operator import labels
from ringfence_operator.api.agent import Agent
from ringfence_operator.api.agent_pool import AgentPool
from ringfence_operator.api.agent_status import AgentState
from ringfence_operator.api.conditions import ConditionType, Reason, find_condition
from ringfence_operator.api.pool_ref import OnMiss
from ringfence_operator.errors import ConflictError, NotFoundError, OperatorError
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.create import is_owned
from ringfence_operator.reconcile.decide import Decision, Step
from ringfence_operator.reconcile.pod import labels_of, see_again, way_out_of
from ringfence_operator.reconcile.pool_order import Free
from ringfence_operator.reconcile.pool_view import claimable
from ringfence_operator.reconcile.pooling import Claimant
from ringfence_operator.reconcile.ports import CORE, Kube, Raw, path
from ringfence_operator.reconcile.quota_admission import catch_up
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.observed_pod import Pod, observe_pod
from ringfence_operator.resources.pool_claim import build_claim

WAIT_SECONDS = 60.0
"""Who waits is woken when its turn comes; this is for what nobody foresaw."""
MOST_TRIES = 8
"""So many pods in a row that others changed first say that the view is far behind."""

log = structlog.get_logger()


def serve_line(pool: AgentPool, view: View) -> None:
    """Have those looked at who wait for a pod of the pool, as far as there are pods for them."""
    if line := view.pooling.line(pool.key):
        free = claimable(pool, view).count(view.pooling.is_taken, len(line))
        view.pooling.serve(pool.key, free)


def is_its_turn(context: Context, view: View) -> bool:
    """Return True if there is a warm pod that the agent would be given now."""
    pool = context.pool
    if pool is None or pool.metadata.deletion_timestamp is not None:
        return False
    return view.pooling.has_pod(pool.key, Claimant.of(context.agent), claimable(pool, view))


async def claim_pod(context: Context, view: View, kube: Kube, *, may_take: bool = True) -> bool:
    """Give the agent a warm pod of its pool, which is in view then; False if there is none for it.

    Safe to run again, whatever became of the last time: a pod that the agent has already is found first. Where it may
    not take another one, it waits its turn.
    """
    agent, pooling = context.agent, view.pooling
    await catch_up(agent.metadata.namespace, view, kube)
    if view.pods.get(*agent.key) is not None or await _has_one(context, view, kube):
        pooling.leave(agent.key)
        return True
    pool = context.pool
    if pool is None or pool.metadata.deletion_timestamp is not None:
        return False
    waited = pooling.is_waiting(agent.key) or _has_missed(agent)
    for _ in range(MOST_TRIES):
        free = claimable(pool, view) if may_take else Free((), view.warm, pooling.order)
        pod = pooling.pick(pool.key, Claimant.of(agent), free)
        if pod is None:
            pooling.tally(pool.key).misses += not waited
            pooling.wake_pool(pool.key, True)
            return False
        if await _claim(context, pod, view, kube):
            pooling.tally(pool.key).hits += not waited
            pooling.claimed(pool.key, context.now)
            pooling.wake_pool(pool.key, False)
            return True
    raise ConflictError(f"{MOST_TRIES} pods of pool {pool.metadata.name} were changed by others first")


def _has_missed(agent: Agent) -> bool:
    """Return True if its status says that it found none: under another leader it was counted, too."""
    ready = find_condition(agent.status.conditions, ConditionType.READY)
    return ready is not None and ready.reason == Reason.NO_WARM_POD


async def _has_one(context: Context, view: View, kube: Kube) -> bool:
    """Find the pod that the agent has although no watch shows it; asks only where something says that it might."""
    agent, status = context.agent, context.agent.status
    doubted = view.pooling.doubt(agent.metadata.uid)
    if doubted is None:
        return status.pod_name is not None and await _find(context, status.pod_name, view, kube) is True
    found = await _find(context, doubted.meta.name, view, kube)
    if isinstance(found, bool):
        view.pooling.settle(agent.metadata.uid)
        return found
    pod, pool = observe_pod(found), context.pool
    if pod.meta.resource_version != doubted.meta.resource_version:
        # The claim went by what the pod was: whenever it arrives, it has lost.
        view.warm.store(found, wakes=False)
    elif pool and not pool.metadata.deletion_timestamp and _is_to_be_had(pod, pool, view):
        # Nobody has it: the claim may still be on its way, and only of this pod. It, or the next one, wins.
        return await _claim(context, pod, view, kube)
    else:
        await _end(pod, view, kube)
    view.pooling.settle(agent.metadata.uid)
    view.pooling.release(pod.meta.uid)
    return False


def _is_to_be_had(pod: Pod, pool: AgentPool, view: View) -> bool:
    return claimable(pool, view).has(pod) and view.pooling.why_unfit(pod) is None


async def _end(pod: Pod, view: View, kube: Kube) -> None:
    """Delete a pod that no agent is to have: by the version that an earlier claim goes by, which has lost then."""
    target = path(CORE, pod.meta.namespace, "pods", pod.meta.name)
    with suppress(NotFoundError):
        answer = await kube.delete(target, uid=pod.meta.uid, resource_version=pod.meta.resource_version)
        log.info("pool.pod_deleted", pod=pod.meta.name, uid=pod.meta.uid)
        if answer.get("kind") == "Pod" and answer["metadata"].get("deletionTimestamp"):
            view.warm.store(answer, wakes=False)


async def _find(context: Context, name: str, view: View, kube: Kube) -> bool | Raw:
    """Return True if the pod is the agent's, and in view then; False if it is another's, or gone; else the pod."""
    agent = context.agent
    try:
        raw = await kube.get(path(CORE, agent.metadata.namespace, "pods", name))
    except NotFoundError:
        return False
    if is_owned(raw, agent):
        is_claimed = labels.CLAIMED_AT in raw["metadata"].get("annotations", {})
        has_sidecar = labels.SIDECAR_HASH in raw["metadata"].get("annotations", {})
        await see_again(raw, labels_of(context, has_sidecar=has_sidecar, is_claimed=is_claimed), view, kube)
        return True
    return False if labels.AGENT in raw["metadata"].get("labels", {}) else raw


async def _claim(context: Context, pod: Pod, view: View, kube: Kube) -> bool:
    """Patch the pod; False if somebody else did so first, or it is gone."""
    agent, left = context.agent, context.seconds_left
    patch = build_claim(
        agent,
        pod,
        pod_labels=labels_of(context, has_sidecar=bool(pod.sidecar_hash), is_claimed=True),
        made_from=context.pod_hash,
        way_out=way_out_of(context),
        seconds_left=None if left is None else int(left),
        now=context.now,
    )
    target = path(CORE, pod.meta.namespace, "pods", pod.meta.name)
    try:
        with view.pooling.claiming(agent.metadata.uid, pod):
            answer = await kube.merge_patch(target, patch)
    except NotFoundError:
        return False
    except ConflictError:
        try:
            found = await _find(context, pod.meta.name, view, kube)
        except OperatorError:
            # Nobody knows what it is now; who picks it next finds out.
            view.pooling.release(pod.meta.uid)
            raise
        if isinstance(found, bool):
            return found
        view.warm.store(found, wakes=False)
        view.pooling.release(pod.meta.uid)
        return False
    view.pods.store(answer, wakes=False)
    log.info("pod.claimed", uid=pod.meta.uid, pod=pod.meta.name)
    return True


def missed(context: Context) -> Decision:
    """Return what becomes of an agent for which its pool has no warm pod."""
    spec = context.given.spec
    pool = spec.pool_ref.name if spec.pool_ref else ""
    if spec.on_miss is OnMiss.FAIL:
        message = f"AgentPool {pool} had no warm pod, and onMiss is Fail: write Wait or Cold, or a larger size"
        return Decision(
            step=Step.KEEP,
            state=AgentState.FAILED,
            reason=Reason.NO_WARM_POD,
            message=message,
            is_stalled=True,
            is_finished=True,
        )
    return Decision(
        step=Step.KEEP,
        state=AgentState.PENDING,
        reason=Reason.NO_WARM_POD,
        message=f"AgentPool {pool} has no warm pod for it: the agent takes the next one, in the order of their ages",
        look_again=WAIT_SECONDS,
    )
