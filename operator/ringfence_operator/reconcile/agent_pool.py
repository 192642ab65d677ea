"""One pass over an AgentPool: as many pods that wait as it asks for, then its status.

Nobody waits for it but agents that found no warm pod: it works in small steps, and claims go first.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from ringfence_operator.api.agent_pool import AgentPool
from ringfence_operator.api.conditions import Reason
from ringfence_operator.errors import AlreadyExistsError, ConflictError, ForbiddenError, InvalidError, NotFoundError
from ringfence_operator.reconcile.binding import control_address
from ringfence_operator.reconcile.context import NODE_SECONDS
from ringfence_operator.reconcile.make_pod import RETRY_SECONDS, why_forbidden
from ringfence_operator.reconcile.network import Networks
from ringfence_operator.reconcile.pool_checks import refusal_of_pool
from ringfence_operator.reconcile.pool_claim import pods_of, serve_line
from ringfence_operator.reconcile.pool_index import BY_POOL
from ringfence_operator.reconcile.pool_plan import Plan, Wanted, plan_pool
from ringfence_operator.reconcile.pool_status import pool_status
from ringfence_operator.reconcile.pooling import Tally
from ringfence_operator.reconcile.ports import CORE, Kube, path
from ringfence_operator.reconcile.refusal import Refusal
from ringfence_operator.reconcile.report import report
from ringfence_operator.reconcile.starters import Starters
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.effective import Effective, effective
from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.resources.pool import member, template_hash
from ringfence_operator.resources.pool_pod import build_pool_pod
from ringfence_operator.resources.starter import Starter

BATCH = 25
"""So many writes follow each other in a pass, one at a time, before others have their turn."""
YIELD_SECONDS = 0.05
"""How soon it goes on that gave way to a claim."""
STATUS_SECONDS = 1.0
"""How long counts may wait to be told: a burst of claims costs one write, not one each."""
LOW = 4
"""With fewer than one in so many warm, a pool fills up beside the claims, and not after them."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PoolTools:
    """What a pass over a pool works with; `suffix` returns some characters that tell a pod from the pool's others."""

    view: View
    kube: Kube
    networks: Networks
    suffix: Callable[[], str]
    starters: Starters | None = None
    told: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """When a pool's counts were last told."""


async def reconcile_agent_pool(pool: AgentPool, tools: PoolTools, *, now: datetime) -> float | None:
    """Have the pods that the pool asks for, then report. Safe to run at any time, any number of times."""
    if pool.metadata.deletion_timestamp is not None:
        return None
    view, each = tools.view, member(pool)
    policy, _ = view.policy_of(each)
    holds = effective(each, policy, view.settings, view.surroundings(each))
    refusal = refusal_of_pool(pool, holds, view)
    _admit(pool, tools)
    plan, again = _plan(pool, view, now), None
    if refusal is None:
        try:
            again = await _work(pool, plan, holds, tools)
        except (ForbiddenError, InvalidError) as error:
            refusal, again = _refused(error), RETRY_SECONDS
    serve_line(pool, view)
    told = _seconds_to_wait(pool, tools, now)
    if told is None:
        plan = _plan(pool, view, now)
        await _report(pool, plan, holds, refusal, tools, now=now)
    return min((each for each in (again, plan.look_again, told) if each is not None), default=None)


def remove_agent_pool(namespace: str, name: str, tools: PoolTools) -> None:
    """Forget a pool that is gone. Its warm pods go with it; those that agents have are the agents'."""
    tools.told.pop((namespace, name), None)
    tools.view.pooling.forget((namespace, name))


def _admit(pool: AgentPool, tools: PoolTools) -> None:
    """Have the control process know the pods whose starters may ask."""
    view = tools.view
    for pod in pods_of(pool, view) if tools.starters else ():
        if tools.starters and pod.address and not pod.deleting_since and not view.pooling.is_handed_out(pod):
            tools.starters.admit(pod.meta.uid, pod.address)


def _plan(pool: AgentPool, view: View, now: datetime) -> Plan:
    wanted = Wanted(pool.spec.size, template_hash(pool, view.policy_of(member(pool))[0]))

    def is_lost(pod: Pod) -> bool:
        is_known = not pod.node or view.nodes.get("", pod.node) is not None
        return not is_known and (now - datetime.fromisoformat(pod.created)).total_seconds() > NODE_SECONDS

    return plan_pool(pods_of(pool, view), wanted, is_handed_out=view.pooling.is_handed_out, is_lost=is_lost, now=now)


async def _work(pool: AgentPool, plan: Plan, holds: Effective, tools: PoolTools) -> float | None:
    """Carry out some of the plan, one write after the other; return after how long to go on, if there is more."""
    if plan.create:
        await tools.networks.prepare_pool(pool.metadata.namespace)
    steps = [
        *((_delete, pod, 0) for pod in plan.forget),
        *((_delete, pod, None) for pod in plan.delete),
    ]
    for done in range(len(steps) + plan.create):
        if done >= BATCH:
            return 0.0
        if done and _gives_way(pool, plan, tools.view):
            return YIELD_SECONDS
        if done < len(steps):
            delete, pod, grace = steps[done]
            await delete(pod, tools, grace_seconds=grace)
        else:
            await _create(pool, holds, tools)
    # More follows where the plan holds something back: pods of another template go a few at a time.
    return 0.0 if steps and plan.outdated else None


async def _create(pool: AgentPool, holds: Effective, tools: PoolTools) -> None:
    view, name = tools.view, f"{pool.metadata.name}-{tools.suffix()}"
    starter = Starter(view.settings.starter_image or "", control_address(view))
    body = build_pool_pod(pool, view.policy_of(member(pool))[0], holds, starter, name=name)
    with suppress(AlreadyExistsError):
        answer = await tools.kube.create(path(CORE, pool.metadata.namespace, "pods"), body)
        view.warm.store(answer, wakes=False)
        view.pooling.times.observer.pod_made(pool.key)
        log.info("pool.pod_created", pod=name, uid=answer["metadata"]["uid"])


def _gives_way(pool: AgentPool, plan: Plan, view: View) -> bool:
    """Return True if what is on its way to an agent goes first: not while an agent waits, or few pods are warm."""
    is_needed = len(plan.warm) * LOW < pool.spec.size or bool(view.pooling.line(pool.key))
    return view.pooling.is_claiming and not is_needed


async def _delete(pod: Pod, tools: PoolTools, *, grace_seconds: int | None) -> None:
    """Delete the pod as it was seen: one that an agent has claimed meanwhile is another."""
    target = path(CORE, pod.meta.namespace, "pods", pod.meta.name)
    with suppress(NotFoundError, ConflictError):
        answer = await tools.kube.delete(
            target, uid=pod.meta.uid, resource_version=pod.meta.resource_version, grace_seconds=grace_seconds
        )
        log.info("pool.pod_deleted", pod=pod.meta.name, uid=pod.meta.uid)
        if answer.get("kind") == "Pod" and answer["metadata"].get("deletionTimestamp"):
            tools.view.warm.store(answer, wakes=False)


def _refused(error: ForbiddenError | InvalidError) -> Refusal:
    if isinstance(error, InvalidError):
        return Refusal(Reason.POD_INVALID, str(error)[:2048])
    return Refusal(why_forbidden(str(error)), str(error)[:2048], is_stalled=False)


def _seconds_to_wait(pool: AgentPool, tools: PoolTools, now: datetime) -> float | None:
    """Return how long the status has to wait, so that a burst of claims costs one write; None if it is due."""
    last = tools.told.get(pool.key)
    wait = STATUS_SECONDS - (now - last).total_seconds() if last else 0.0
    return wait if wait > 0 else None


async def _report(
    pool: AgentPool, plan: Plan, holds: Effective, refusal: Refusal | None, tools: PoolTools, *, now: datetime
) -> None:
    """Write the status if it differs."""
    view = tools.view
    counted = view.pooling.tally(pool.key)
    tally = Tally(counted.hits, counted.misses)
    claimed = len(view.pods.keys_by(BY_POOL, pool.key))
    status = pool_status(pool, plan, holds, claimed=claimed, tally=tally, refusal=refusal, now=now)
    if status == pool.status:
        return
    with suppress(NotFoundError):
        answer = await report(pool, status, kube=tools.kube, now=now)
        view.pools.store(answer, wakes=False)
        view.pooling.told(pool.key, tally)
        tools.told[pool.key] = now
