"""What an AgentPool's status says: a pure function of what was found."""

from datetime import datetime

from ringfence_operator.api.agent_pool import AgentPool, AgentPoolSpec, AgentPoolStatus
from ringfence_operator.api.conditions import Condition, ConditionType, Reason, remove_condition, set_condition
from ringfence_operator.reconcile.diagnose import diagnose
from ringfence_operator.reconcile.pool_plan import Plan
from ringfence_operator.reconcile.pooling import Tally
from ringfence_operator.reconcile.refusal import Refusal
from ringfence_operator.resources.effective import Effective
from ringfence_operator.resources.pool_pod import pool_selector


def pool_status(
    pool: AgentPool,
    plan: Plan,
    effective: Effective,
    *,
    claimed: int,
    tally: Tally,
    refusal: Refusal | None,
    now: datetime,
) -> AgentPoolStatus:
    """Return the status after this pass; `refusal` says why the pool may have no further pods."""
    before = pool.status
    updated = sum(pod.template_hash == plan.revision for pod in plan.live)
    return AgentPoolStatus(
        observed_generation=pool.metadata.generation,
        conditions=_conditions(pool, plan, effective, refusal, now),
        warm=len(plan.warm),
        starting=len(plan.starting),
        claimed=claimed,
        failed=len(plan.failed) + len(plan.hindered),
        hits=before.hits + tally.hits,
        misses=before.misses + tally.misses,
        replicas=len(plan.live),
        selector=pool_selector(pool),
        updated_replicas=updated,
        outdated_replicas=len(plan.outdated),
        update_revision=plan.revision,
        current_revision=_current(plan),
    )


def _current(plan: Plan) -> str:
    """Return the revision of what is handed out next: earlier ones that are still good come first."""
    warm = {pod.template_hash for pod in plan.warm}
    return next(iter(sorted(warm - {plan.revision})), plan.revision if warm else "")


def _conditions(
    pool: AgentPool, plan: Plan, effective: Effective, refusal: Refusal | None, now: datetime
) -> tuple[Condition, ...]:
    is_ready, reason, message = _verdict(pool, plan, effective, refusal)
    is_stalled = refusal is not None and refusal.is_stalled
    is_moving = not is_stalled and (not is_ready or bool(plan.outdated))
    rolling = (Reason.POOL_ROLLING, "warm pods of another template are being replaced")
    conditions: tuple[Condition, ...] = pool.status.conditions
    for kind, status, why, words in (
        (ConditionType.READY, is_ready, reason, message),
        (ConditionType.RECONCILING, is_moving or None, *(rolling if is_ready else (reason, message))),
        (ConditionType.STALLED, is_stalled or None, reason, message),
        (ConditionType.SCALING_LIMITED, *_scaling(pool.spec)),
    ):
        if status is None:
            conditions = remove_condition(conditions, kind)
        else:
            conditions = set_condition(
                conditions, kind, status, why, words, now=now, generation=pool.metadata.generation
            )
    return conditions


def _scaling(spec: AgentPoolSpec) -> tuple[bool | None, Reason, str]:
    """Say where size counts as another, as a HorizontalPodAutoscaler says it of itself."""
    if spec.wanted_size < spec.size:
        return True, Reason.TOO_MANY_REPLICAS, f"size {spec.size} is above maxSize, and counts as {spec.wanted_size}"
    message = f"size {spec.size} is below minWarm, and counts as {spec.wanted_size}"
    return True if spec.wanted_size > spec.size else None, Reason.TOO_FEW_REPLICAS, message


def _verdict(pool: AgentPool, plan: Plan, effective: Effective, refusal: Refusal | None) -> tuple[bool, Reason, str]:
    """Say whether the next claim finds a warm pod. No count is in the words: each would be a write."""
    if refusal is not None:
        return False, refusal.reason, refusal.message
    if plan.warm:
        return True, Reason.POOL_WARM, "the next agent finds a warm pod"
    if pool.spec.wanted_size == 0:
        return True, Reason.POOL_EMPTY, "size is 0: an agent that names the pool finds no warm pod"
    if plan.unfit is not None:
        pod, (reason, message) = plan.unfit
        return False, reason, f"pod {pod.meta.name} on node {pod.node}: {message}"
    if not plan.hindered:
        return False, Reason.POOL_EMPTY, "its pods are starting"
    found = diagnose(plan.hindered[0], effective)
    return False, found.reason, f"pod {plan.hindered[0].meta.name}: {found.message}"
