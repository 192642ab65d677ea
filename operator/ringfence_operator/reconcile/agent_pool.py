"""One pass over an AgentPool: as many pods that wait as it asks for, then its status.

Nobody waits for it but agents that found no warm pod: it works in small steps, and claims go first.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from ringfence_operator.api.agent_pool import AgentPool, UpdateStrategyType
from ringfence_operator.api.conditions import Reason
from ringfence_operator.errors import AlreadyExistsError, ConflictError, ForbiddenError, InvalidError, NotFoundError
from ringfence_operator.reconcile.binding import control_address, pool_bindings, reserved_secret, sidecar_of
from ringfence_operator.reconcile.context import NODE_SECONDS
from ringfence_operator.reconcile.make_pod import RETRY_SECONDS, why_forbidden
from ringfence_operator.reconcile.network import Networks
from ringfence_operator.reconcile.pool_checks import refusal_of_pool
from ringfence_operator.reconcile.pool_claim import serve_line
from ringfence_operator.reconcile.pool_end import end_pool, hold_pool
from ringfence_operator.reconcile.pool_index import BY_POOL
from ringfence_operator.reconcile.pool_plan import Plan, Wanted, plan_pool
from ringfence_operator.reconcile.pool_status import pool_status
from ringfence_operator.reconcile.pool_view import pods_of, wanted_hash
from ringfence_operator.reconcile.pooling import Tally
from ringfence_operator.reconcile.ports import CORE, Kube, Raw, path
from ringfence_operator.reconcile.refill import Paces, seconds_to_refill
from ringfence_operator.reconcile.refusal import Refusal
from ringfence_operator.reconcile.report import report
from ringfence_operator.reconcile.sidecars import Sidecars
from ringfence_operator.reconcile.starters import Starters
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.effective import Effective, effective
from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.resources.pool import is_still_good, member, recorded_template
from ringfence_operator.resources.pool_pod import build_pool_pod
from ringfence_operator.resources.record import secrets_of
from ringfence_operator.resources.starter import Starter

BATCH = 25
"""So many writes follow each other in a pass, one at a time, before others have their turn."""
YIELD_SECONDS = 0.1
"""How soon it goes on that gave way to a claim."""
STATUS_SECONDS = 1.0
"""How long counts may wait to be told: a burst of claims costs one write, not one each."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PoolTools:
    """What a pass over a pool works with; `suffix` returns some characters that tell a pod from the pool's others."""

    view: View
    kube: Kube
    networks: Networks
    suffix: Callable[[], str]
    starters: Starters | None = None
    sidecars: Sidecars | None = None
    told: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """When a pool's counts were last told."""
    paces: Paces = field(default_factory=Paces)


async def reconcile_agent_pool(pool: AgentPool, tools: PoolTools, *, now: datetime) -> float | None:
    """Have the pods that the pool asks for, then report. Safe to run at any time, any number of times."""
    if pool.metadata.deletion_timestamp is not None:
        return await end_pool(pool, tools.view, tools.kube)
    if pool.status.observed_generation >= 0 and not tools.view.control.authority:
        # A new leader does not know the control server yet: what was told of the pool stays, and it is looked at then.
        # What is warm can be claimed already.
        _still_good(pool, tools.view)
        serve_line(pool, tools.view)
        return None
    if await hold_pool(pool, tools.view, tools.kube):
        return 0.0
    view, each = tools.view, member(pool)
    policy, _ = view.policy_of(each)
    holds = effective(each, policy, view.settings, view.surroundings(each))
    refusal = refusal_of_pool(pool, holds, view)
    _admit(pool, tools)
    plan, again = _plan(pool, tools, now), None
    if refusal is None:
        try:
            again = await _work(pool, plan, holds, tools)
        except (ForbiddenError, InvalidError) as error:
            refusal, again = _refused(error), RETRY_SECONDS
    # What has come to be free since the last time has its place in the order now.
    view.pooling.order.forget(pool.key)
    serve_line(pool, view)
    told = _seconds_to_wait(pool, tools, now)
    if told is None:
        plan = _plan(pool, tools, now)
        await _report(pool, plan, holds, refusal, tools, now=now)
    return min((each for each in (again, plan.look_again, told) if each is not None), default=None)


def remove_agent_pool(namespace: str, name: str, tools: PoolTools) -> None:
    """Forget a pool that is gone. Its warm pods go with it; those that agents have are the agents'."""
    tools.told.pop((namespace, name), None)
    tools.paces.forget((namespace, name))
    tools.view.pooling.forget((namespace, name))


def _admit(pool: AgentPool, tools: PoolTools) -> None:
    """Have the control process know the pods whose starters and sidecars may ask."""
    view = tools.view
    for pod in pods_of(pool, view):
        if not pod.address or pod.deleting_since or view.pooling.is_handed_out(pod):
            continue
        if tools.starters:
            tools.starters.admit(pod.meta.uid, pod.address, pool=pool.key)
        if tools.sidecars and pod.sidecar_hash:
            tools.sidecars.admit(pod.meta.uid, pod.address)


def _plan(pool: AgentPool, tools: PoolTools, now: datetime) -> Plan:
    view, spec = tools.view, pool.spec
    held_back, most = seconds_to_refill(pool, view, now), tools.paces.allowed(pool, now)
    wanted = Wanted(
        size=spec.wanted_size,
        template_hash=wanted_hash(pool, view),
        still_good=_still_good(pool, view),
        most=0 if held_back else most,
        max_idle=spec.max_idle_time,
        waiting=len(view.pooling.line(pool.key)),
    )

    def is_lost(pod: Pod) -> bool:
        is_known = not pod.node or view.nodes.get("", pod.node) is not None
        return not is_known and (now - datetime.fromisoformat(pod.created)).total_seconds() > NODE_SECONDS

    plan = plan_pool(
        pods_of(pool, view),
        wanted,
        is_handed_out=view.pooling.is_handed_out,
        is_lost=is_lost,
        why_unfit=view.pooling.why_unfit,
        now=now,
    )
    if held_back:
        plan.wait(held_back)
    elif most is not None and plan.create == most:
        plan.wait(tools.paces.seconds_to_next(pool))
    return plan


def _still_good(pool: AgentPool, view: View) -> frozenset[str]:
    """Find the earlier templates whose pods stay, by the pool's update strategy, and have them handed out."""
    wanted, found = wanted_hash(pool, view), set()
    if pool.spec.update_strategy.type is UpdateStrategyType.ON_CLAIM:
        earlier = {pod.template_hash: pod.template for pod in pods_of(pool, view) if pod.template_hash != wanted}
        for hashed, recorded in earlier.items():
            if is_still_good(recorded, hashed, pool, wanted) and not _names_reserved(pool, recorded, view):
                found.add(hashed)
    view.pooling.set_still_good(pool.key, wanted, tuple(sorted(found)))
    return frozenset(found)


def _names_reserved(pool: AgentPool, recorded: str, view: View) -> bool:
    """Return True if pods of that template have a Secret that only sidecars may have."""
    before = pool.model_copy(update={"spec": pool.spec.model_copy(update={"template": recorded_template(recorded)})})
    return reserved_secret(pool.metadata.namespace, secrets_of(member(before)), view) is not None


async def _work(pool: AgentPool, plan: Plan, holds: Effective, tools: PoolTools) -> float | None:
    """Carry out some of the plan, one write after the other; return after how long to go on, if there is more."""
    if plan.create:
        bound = pool_bindings(pool.spec.template, pool.metadata.namespace, tools.view).bound
        await tools.networks.prepare_pool(pool.metadata.namespace, bound)
    steps = [
        *((_delete, pod, 0) for pod in plan.forget),
        *((_delete, pod, None) for pod in plan.delete),
    ]
    body = _pod_of(pool, holds, tools.view) if plan.create else {}
    for done in range(len(steps) + plan.create):
        if done >= BATCH:
            return 0.0
        if done and _gives_way(pool, tools.view):
            return YIELD_SECONDS
        if done < len(steps):
            delete, pod, grace = steps[done]
            await delete(pod, tools, grace_seconds=grace)
        else:
            tools.paces.made(pool)
            await _create(pool, body, tools)
    # More follows where the plan holds something back: pods of another template go a few at a time.
    return 0.0 if steps and plan.outdated else None


def _pod_of(pool: AgentPool, holds: Effective, view: View) -> Raw:
    starter = Starter(view.settings.starter_image or "", control_address(view))
    sidecar = sidecar_of(pool_bindings(pool.spec.template, pool.metadata.namespace, view), view)
    policy, _ = view.policy_of(member(pool))
    return build_pool_pod(pool, policy, holds, starter, name=pool.metadata.name, sidecar=sidecar)


async def _create(pool: AgentPool, body: Raw, tools: PoolTools) -> None:
    name = f"{pool.metadata.name}-{tools.suffix()}"
    with suppress(AlreadyExistsError):
        named = body | {"metadata": body["metadata"] | {"name": name}}
        answer = await tools.kube.create(path(CORE, pool.metadata.namespace, "pods"), named)
        tools.view.warm.store(answer, wakes=False)
        tools.view.pooling.times.observer.pod_made(pool.key)
        log.info("pool.pod_created", pod=name, uid=answer["metadata"]["uid"])


def _gives_way(pool: AgentPool, view: View) -> bool:
    """Return True if what is on its way to an agent goes first: not while an agent waits for what is made here."""
    return view.pooling.is_claiming and not view.pooling.is_waited_for(pool.key)


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
