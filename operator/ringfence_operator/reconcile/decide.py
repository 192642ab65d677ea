"""What to do about an agent's pod: a pure function, which a table of cases tests."""

from dataclasses import dataclass, replace
from enum import Enum, auto

from ringfence_operator.api.agent import Isolation, Mode, RestartPolicy
from ringfence_operator.api.agent_status import AgentState
from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.sidecar import SidecarUpdate
from ringfence_operator.reconcile.checks import refusal
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.diagnose import diagnose, failure_reason, is_disrupted, why_failed
from ringfence_operator.reconcile.pause import spent_allowance, was_paused
from ringfence_operator.reconcile.pod_seconds import Allowance
from ringfence_operator.reconcile.refusal import Refusal
from ringfence_operator.resources.domains import uses_names
from ringfence_operator.resources.observed_pod import Pod

REFUSED_SECONDS = 5.0
"""How soon a refusal that may end by itself is looked at again; that costs no write."""


class Step(Enum):
    """What happens to the pod in this pass."""

    KEEP = auto()
    CREATE = auto()
    DELETE = auto()
    FORGET = auto()
    """Delete the pod's record at once: its node is gone, so nobody will confirm its end."""
    WAIT = auto()
    """Do and say nothing: the kubelet has not said all of it yet."""
    EXPIRE = auto()
    """Delete the agent itself: its time after the end is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The step, and what the status says about it. `look_again` is in seconds."""

    step: Step
    state: AgentState
    reason: str
    message: str
    is_ready: bool = False
    is_stalled: bool = False
    is_finished: bool = False
    failures: int | None = None
    """The new count, where this pass found a failed pod that the status has not counted."""
    look_again: float | None = None
    is_refused: bool = False
    """True if the agent may have nothing, no Service either."""
    is_claimed: bool = False
    """True if the agent has come to its pod in this pass, by a claim."""
    spent: Allowance | None = None
    """The limit on its pods' seconds that leaves it no more."""


def decide(context: Context) -> Decision:
    """Return what to do about the agent's pod now."""
    status = context.agent.status
    if status.finished_at and not context.is_new_run:
        return _finished(context)
    if context.agent.spec.suspend:
        return _suspended(context)
    found = refusal(context)
    if found and (found.stops_pod or context.own_pod is None):
        return _refused(context, found)
    if spent := spent_allowance(context):
        return _paused(context, spent)
    decision = _without_pod(context) if context.pod is None else _with_pod(context, context.pod)
    if decision.is_ready and not decision.is_finished and context.allowances:
        lasts = min(each.lasts for each in context.allowances)
        decision = replace(decision, look_again=min(lasts, decision.look_again or lasts))
    if found and decision.is_ready and not decision.is_finished:
        # It goes on running as it was confined, and would not be started anew.
        return replace(
            decision, is_ready=False, is_stalled=found.is_stalled, reason=found.reason, message=found.message
        )
    return decision


def _finished(context: Context) -> Decision:
    """Nothing happens any more, but that the agent goes when its time after the end is over."""
    agent = context.agent
    succeeded = agent.status.state is AgentState.SUCCEEDED
    ready = next(each for each in agent.status.conditions if each.type == "Ready")
    wait = None
    step = Step.KEEP
    ttl = agent.spec.ttl_after_finished
    if ttl is not None and agent.status.finished_at:
        wait = ttl - (context.now - agent.status.finished_at).total_seconds()
        if wait <= 0:
            step, wait = Step.EXPIRE, None
    elif agent.spec.suspend and context.own_pod and not context.own_pod.deleting_since:
        step = Step.DELETE
    return Decision(
        step=step,
        state=AgentState.SUCCEEDED if succeeded else AgentState.FAILED,
        reason=ready.reason,
        message=ready.message,
        is_ready=succeeded,
        is_stalled=not succeeded,
        is_finished=True,
        look_again=wait,
    )


def _refused(context: Context, found: Refusal) -> Decision:
    pod = context.own_pod
    return Decision(
        step=Step.DELETE if pod and not pod.deleting_since and found.stops_pod else Step.KEEP,
        state=AgentState.PENDING,
        reason=found.reason,
        message=found.message,
        is_stalled=found.is_stalled,
        look_again=None if found.is_stalled else REFUSED_SECONDS,
        is_refused=True,
    )


def _suspended(context: Context) -> Decision:
    pod = context.own_pod
    if pod is None:
        message = "suspended: set spec.suspend to false to go on"
        return Decision(step=Step.KEEP, state=AgentState.SUSPENDED, reason=Reason.SUSPENDED, message=message)
    return _leaving(context, pod, Reason.STOPPING, "the pod is stopping, because the agent is suspended")


def _paused(context: Context, spent: Allowance) -> Decision:
    pod = context.own_pod
    wait = (spent.free_at - context.now).total_seconds()
    return Decision(
        step=Step.KEEP if pod is None or pod.deleting_since else Step.FORGET if context.is_node_gone else Step.DELETE,
        state=AgentState.SUSPENDED,
        reason=Reason.QUOTA_EXCEEDED,
        message=spent.words(),
        look_again=max(wait, 1.0),
        spent=spent,
    )


def _leaving(context: Context, pod: Pod, reason: Reason, message: str) -> Decision:
    """The pod has to go first: delete it, unless it is on its way already."""
    state = AgentState.TERMINATING if reason is Reason.STOPPING else AgentState.RESTARTING
    step = Step.KEEP if pod.deleting_since else Step.DELETE
    if context.is_node_gone:
        step = Step.FORGET
    return Decision(step=step, state=state, reason=reason, message=message)


def _without_pod(context: Context) -> Decision:
    left = context.seconds_left
    if left is not None and left <= 0:
        return _over_time(context)
    retry_at = context.retry_at
    if retry_at is not None and retry_at > context.now:
        return _backing_off(context, (retry_at - context.now).total_seconds())
    return Decision(
        step=Step.CREATE, state=AgentState.STARTING, reason=Reason.STARTING, message="the pod is being made"
    )


def _backing_off(context: Context, seconds: float) -> Decision:
    limit = f" of {context.agent.spec.backoff.limit}" if context.agent.spec.mode is Mode.TASK else ""
    message = f"waiting for the back-off delay after failure {context.failures}{limit}"
    return Decision(
        step=Step.KEEP,
        state=AgentState.RESTARTING,
        reason=Reason.RESTARTING,
        message=message,
        look_again=seconds,
    )


def _with_pod(context: Context, pod: Pod) -> Decision:
    if context.own_pod is None:
        message = f"pod {pod.meta.name} belongs to an earlier agent or somebody else; waiting until it is gone"
        return Decision(step=Step.KEEP, state=AgentState.PENDING, reason=Reason.NAME_TAKEN, message=message)
    is_lost = context.is_node_gone and bool(pod.deleting_since)
    if context.is_counted(pod) and not is_lost:
        return _after_failure(context, pod)
    if pod.deleting_since and was_paused(context):
        return _leaving(context, pod, Reason.REPLACING, "the pod is being deleted; another one follows")
    stale = _why_stale(context, pod)
    if stale:
        return _leaving(context, pod, Reason.REPLACING, stale)
    if pod.phase == "Succeeded" and not pod.disrupted:
        return _ended_well(context, pod)
    # Told to stop, one may exit with 0: that is obedience, and not the end of its work.
    return _failed(context, pod) if pod.phase in ("Succeeded", "Failed") else _alive(context, pod)


def _alive(context: Context, pod: Pod) -> Decision:
    if _is_ending(context, pod):
        return Decision(step=Step.WAIT, state=AgentState.RUNNING, reason=Reason.STOPPING, message="")
    found = diagnose(pod, context.effective, context.memory_limit)
    return Decision(
        step=Step.KEEP, state=found.state, reason=found.reason, message=found.message, is_ready=found.is_ready
    )


def _is_ending(context: Context, pod: Pod) -> bool:
    """True between a container's end and its pod's: the pod's phase follows, and says whether it failed."""
    if pod.exit is None or pod.running_since or pod.waiting:
        return False
    policy = context.agent.spec.effective_restart_policy
    stays_down = context.agent.spec.mode is Mode.TASK or policy is RestartPolicy.NEVER
    return stays_down or (policy is RestartPolicy.ON_FAILURE and pod.exit.code == 0)


def _why_stale(context: Context, pod: Pod) -> str:
    """Return why the pod has to be replaced whatever it does, or nothing."""
    has_ended = pod.phase in ("Succeeded", "Failed")
    if context.is_node_gone and not has_ended:
        return f"node {pod.node} is gone; the pod is being replaced"
    if context.is_pod_of_old_run:
        return "the spec changed; the pod is being replaced"
    if pod.deleting_since and pod.phase != "Succeeded":
        return "the pod is being deleted; another one follows"
    if pod.spec_hash != context.pod_hash and not has_ended and context.missing_policy is None:
        return "the SecurityPolicy changed; the pod is being replaced"
    if _has_wrong_name_server(context, pod) and not has_ended:
        return "names are asked for at another address now; the pod is being replaced"
    # The next warm pod may have a sidecar that is as old: the agent would go from pod to pod.
    is_due = context.agent.spec.sidecar.update is SidecarUpdate.IMMEDIATELY and not has_ended and not pod.claimed
    return f"{context.sidecar_lacks}; the pod is being replaced" if is_due and context.sidecar_lacks else ""


def _has_wrong_name_server(context: Context, pod: Pod) -> bool:
    """True if the pod needs names and was made to ask somewhere else for them, which cannot be changed in place."""
    policy, address = context.policy, context.gateway_address
    if policy is None or address is None or context.effective.isolation.value is Isolation.NONE:
        return False
    return pod.gateway_address != address and uses_names(policy)


def _end(state: AgentState, reason: Reason, message: str, *, failures: int | None = None) -> Decision:
    succeeded = state is AgentState.SUCCEEDED
    return Decision(
        step=Step.KEEP,
        state=state,
        reason=reason,
        message=message,
        is_ready=succeeded,
        is_stalled=not succeeded,
        is_finished=True,
        failures=failures,
    )


def _ended_well(context: Context, pod: Pod) -> Decision:
    spec = context.agent.spec
    if spec.mode is Mode.TASK or spec.effective_restart_policy is not RestartPolicy.ALWAYS:
        return _end(AgentState.SUCCEEDED, Reason.SUCCEEDED, "the command ended with exit code 0")
    return _leaving(context, pod, Reason.REPLACING, "the pod ended; another one follows")


def _over_time(context: Context) -> Decision:
    deadline = context.effective.deadline
    allowed = f"{deadline.value} s that maxExecutionTime ({deadline.source})" if deadline else "time that its pod"
    return _end(AgentState.FAILED, Reason.DEADLINE_EXCEEDED, f"ran for the {allowed} allows")


def _failed(context: Context, pod: Pod) -> Decision:
    """A failed pod is counted first, in the status, and deleted in a later pass: a crash between loses no count."""
    if pod.reason == "DeadlineExceeded":
        return _over_time(context)
    if is_disrupted(pod):
        return _leaving(context, pod, Reason.EVICTED, why_failed(pod, context.memory_limit))
    spec = context.agent.spec
    failures = context.failures_with(pod)
    if spec.effective_restart_policy is RestartPolicy.NEVER:
        return _end(AgentState.FAILED, Reason.FAILED, why_failed(pod, context.memory_limit), failures=failures)
    if spec.mode is Mode.TASK and failures > spec.backoff.limit:
        why = why_failed(pod, context.memory_limit)
        message = f"failed {failures} times, with backoff.limit {spec.backoff.limit}; the last time: {why}"
        return _end(AgentState.FAILED, Reason.BACKOFF_LIMIT_EXCEEDED, message, failures=failures)
    return Decision(
        step=Step.KEEP,
        state=AgentState.RESTARTING,
        reason=failure_reason(pod),
        message=why_failed(pod, context.memory_limit),
        failures=failures,
        look_again=0.0,
    )


def _after_failure(context: Context, pod: Pod) -> Decision:
    """The failure is in the status: the pod goes when its back-off delay is over."""
    left = context.seconds_left
    if left is not None and left <= 0:
        return _over_time(context)
    retry_at = context.retry_at
    wait = (retry_at - context.now).total_seconds() if retry_at else 0.0
    return Decision(
        step=Step.KEEP if wait > 0 or pod.deleting_since else Step.DELETE,
        state=AgentState.RESTARTING,
        reason=failure_reason(pod),
        message=why_failed(pod, context.memory_limit),
        look_again=wait if wait > 0 else None,
    )
