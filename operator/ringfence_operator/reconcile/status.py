"""What an Agent's status says: a pure function of what was known and what was decided."""

from datetime import datetime

from ringfence_operator.api.agent_status import AgentState, AgentStatus, LastExit, LastFailure
from ringfence_operator.api.conditions import Condition, ConditionType, Reason, remove_condition, set_condition
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.decide import Decision, Step
from ringfence_operator.reconcile.network_quota import Allowed
from ringfence_operator.reconcile.resize import lagging
from ringfence_operator.reconcile.run_time import run_time
from ringfence_operator.resources.observed_pod import Exit
from ringfence_operator.resources.present import present_rows
from ringfence_operator.resources.volumes import claim_name


def agent_status(
    context: Context, decision: Decision, *, enforced: tuple[bool, Reason, str] | None, network: Allowed | None = None
) -> AgentStatus:
    """Return the status after this pass.

    `enforced` is what is known about the confinement of the pod: whether it holds, reason and message; None without
    a pod. `network` is what quotas leave it of the network; None where none limits it.
    """
    before = context.agent.status
    pod = context.own_pod if not context.is_pod_of_old_run else None
    is_suspended = decision.reason is Reason.SUSPENDED
    failures = decision.failures if decision.failures is not None else (0 if is_suspended else context.failures)
    return AgentStatus(
        observed_generation=context.agent.metadata.generation,
        conditions=_conditions(context, decision, enforced, network),
        state=decision.state,
        pod_name=pod.meta.name if pod else None,
        pod_uid=pod.meta.uid if pod else None,
        node_name=pod.node or None if pod else None,
        started_at=None if is_suspended else context.started_at,
        finished_at=_finished_at(context, decision),
        restarts=(pod.restarts if pod else 0) + failures,
        failures=failures,
        last_failure=_last_failure(context, decision),
        last_exit=_last_exit(context),
        workspace_claim=claim_name(context.agent),
        # A pod keeps what it was made with: a setting changed since then holds for the next one.
        effective=present_rows(before, context.effective, pod)
        if pod and before.pod_uid == pod.meta.uid and before.effective
        else context.effective.rows(),
        run_time=run_time(before.run_time, context.own_pod, context.quotas, context.now),
        spec_hash=context.spec_hash,
    )


def _finished_at(context: Context, decision: Decision) -> datetime | None:
    if not decision.is_finished:
        return None
    before = context.agent.status.finished_at
    return before if before and not context.is_new_run else context.now


def _last_failure(context: Context, decision: Decision) -> LastFailure | None:
    if decision.failures is not None and context.pod:
        return LastFailure(pod_uid=context.pod.meta.uid, time=context.now)
    if context.is_new_run or decision.reason is Reason.SUSPENDED:
        return None
    return context.agent.status.last_failure


def _last_exit(context: Context) -> LastExit | None:
    found = context.own_pod.exit if context.own_pod else None
    if found is None:
        return context.agent.status.last_exit
    last = _exit(found)
    return last.model_copy(update={"memory_limit": context.memory_limit}) if last.oom_killed else last


def _exit(found: Exit) -> LastExit:
    return LastExit(
        code=found.code,
        signal=found.signal or None,
        reason=found.reason,
        oom_killed=found.oom_killed,
        time=datetime.fromisoformat(found.time) if found.time else None,
        message=found.message or None,
    )


def _conditions(
    context: Context, decision: Decision, enforced: tuple[bool, Reason, str] | None, network: Allowed | None
) -> tuple[Condition, ...]:
    generation = context.agent.metadata.generation
    conditions: tuple[Condition, ...] = context.agent.status.conditions

    def say(kind: ConditionType, status: bool | None, reason: str, message: str) -> None:
        nonlocal conditions
        if status is None:
            conditions = remove_condition(conditions, kind)
        else:
            conditions = set_condition(
                conditions, kind, status, reason, message, now=context.now, generation=generation
            )

    reason, message = decision.reason, decision.message
    is_suspended = reason is Reason.SUSPENDED
    # Suspended is what was asked for, and not readiness: with no Ready condition kstatus calls it current.
    say(ConditionType.READY, None if is_suspended else decision.is_ready, reason, message)
    is_moving = not (decision.is_ready or decision.is_stalled or decision.is_finished or is_suspended)
    say(ConditionType.RECONCILING, is_moving or None, reason, message)
    say(ConditionType.STALLED, decision.is_stalled or None, reason, message)
    lacks = "" if is_suspended or decision.is_finished else context.sidecar_lacks
    advice = "it stays so until the pod is replaced; write spec.sidecar.update: Immediately to replace it now"
    say(ConditionType.SIDECAR_OUTDATED, bool(lacks) or None, Reason.SIDECAR_OUTDATED, f"{lacks}; {advice}")
    is_closed = network is not None and network.is_spent and context.own_pod is not None
    say(ConditionType.NETWORK_CLOSED, is_closed or None, Reason.QUOTA_EXCEEDED, network.words if network else "")
    lags = lagging(context, context.refused_share)
    outdated = (lags[0].reason, lags[0].message) if lags else (Reason.IN_FORCE, "")
    say(ConditionType.LIMITS_OUTDATED, bool(lags) or None, *outdated)
    say(ConditionType.SUSPENDED, decision.state is AgentState.SUSPENDED or None, reason, message)
    complete = decision.state is AgentState.SUCCEEDED if decision.is_finished else None
    say(ConditionType.COMPLETE, complete, reason, message)
    has_pod = context.own_pod is not None and decision.step is not Step.FORGET
    name = context.own_pod.meta.name if context.own_pod else ""
    assigned = (Reason.POD_ASSIGNED, f"pod {name}") if has_pod else (Reason.NO_POD, "")
    if has_pod and context.is_cold:
        why = (
            context.not_warm.message if context.not_warm else "its AgentPool had no warm pod for it, and onMiss is Cold"
        )
        assigned = Reason.STARTED_COLD, f"pod {name} was made for the agent: {why}"
    say(ConditionType.ASSIGNED, has_pod, *assigned)
    say(ConditionType.ENFORCED, *(enforced if enforced and has_pod else (None, Reason.NO_POD, "")))
    return conditions
