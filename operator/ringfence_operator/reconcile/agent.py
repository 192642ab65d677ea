"""One pass over an Agent: prepare, make its pod what it should be, report what was seen."""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.agent_status import AgentState, AgentStatus
from ringfence_operator.api.conditions import ConditionType, Reason, Status, find_condition
from ringfence_operator.api.model import format_timestamp
from ringfence_operator.errors import ForbiddenError, InvalidError, NotFoundError
from ringfence_operator.reconcile.claim import apply_reclaim_policy, create_claim
from ringfence_operator.reconcile.context import NODE_SECONDS, Context, build_context
from ringfence_operator.reconcile.create import TakenError
from ringfence_operator.reconcile.decide import Decision, Step, decide
from ringfence_operator.reconcile.gateway import SETTLE_SECONDS, Gateway
from ringfence_operator.reconcile.locks import Locks
from ringfence_operator.reconcile.memory_use import Kill
from ringfence_operator.reconcile.meters import Meters, left_to, publish_meter
from ringfence_operator.reconcile.network import Enforced, Networks, enforcement, settles_in
from ringfence_operator.reconcile.network_quota import Allowed
from ringfence_operator.reconcile.pause import note_pause
from ringfence_operator.reconcile.pod import ask_why_stuck, confine_pod, create_pod, delete_pod
from ringfence_operator.reconcile.ports import RINGFENCE, Kube, path
from ringfence_operator.reconcile.quota_admission import ask_for_place, leave_line, wake_next
from ringfence_operator.reconcile.report import report
from ringfence_operator.reconcile.resize import lagging, resize_again_in, resize_pod, unmetered
from ringfence_operator.reconcile.service import apply_service
from ringfence_operator.reconcile.sidecar import SharedCache, Telemetry, publish_sidecar
from ringfence_operator.reconcile.sidecars import Sidecars
from ringfence_operator.reconcile.status import agent_status
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.volumes import claim_name

QUIET_SECONDS = 5.0
"""A pod usually runs before this has passed: the status goes from Pending, its default, to Running in one write."""
POLICY_SECONDS = 2.0
"""A policy or connector that came with its agent is known by then: they are watched apart, and any may be seen first.
So is the control server to a leader that has just begun."""
ENDING_SECONDS = 2.0
"""How soon the kubelet must have said the rest of how a pod ended."""
RETRY_SECONDS = 15.0
"""How soon something that the API server refused is tried again."""

_QUIET: dict[str, float] = {
    Reason.STARTING: QUIET_SECONDS,
    Reason.NOT_READY: QUIET_SECONDS,
    Reason.GATEWAY_PENDING: QUIET_SECONDS,
    Reason.NETWORK_UNVERIFIED: QUIET_SECONDS,
    Reason.UNVERIFIED_INSIDE: QUIET_SECONDS,
    Reason.WAY_OUT_CLOSED: QUIET_SECONDS,
    Reason.CANARY_REACHED: QUIET_SECONDS,
    Reason.POLICY_NOT_FOUND: POLICY_SECONDS,
    Reason.CONNECTOR_NOT_FOUND: POLICY_SECONDS,
    Reason.QUOTA_NOT_FOUND: POLICY_SECONDS,
    Reason.SIDECAR_UNAVAILABLE: POLICY_SECONDS,
}
"""For how long after the beginning each is not worth a write."""
_NOT_IN_FORCE = {
    *(Reason.GATEWAY_PENDING, Reason.GATEWAY_REFUSED, Reason.GATEWAY_UNAVAILABLE),
    *(Reason.UNVERIFIED_INSIDE, Reason.WAY_OUT_CLOSED, Reason.CANARY_REACHED),
}
_WORDED = {
    Reason.STARTING,
    Reason.IMAGE_NOT_FOUND,
    Reason.UNSCHEDULABLE,
    Reason.CONFIG_NOT_FOUND,
    Reason.START_FAILED,
}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Tools:
    """What a pass over an agent works with."""

    view: View
    kube: Kube
    networks: Networks
    claims: Locks
    gateway: Gateway | None = None
    sidecars: Sidecars | None = None
    """None where no control process is fed."""
    meters: Meters | None = None
    """None without an egress gateway."""
    shared_cache: SharedCache = lambda _: None
    telemetry: Telemetry = dict


async def reconcile_agent(agent: Agent, tools: Tools, *, now: datetime) -> float | None:
    """Make what `agent` asks for, then report. Safe to run at any time, any number of times.

    Returns the seconds after which to look again, if time alone will change something.
    """
    if agent.metadata.deletion_timestamp is not None:
        return None
    view, kube = tools.view, tools.kube
    network = left_to(agent, tools.meters)
    context = build_context(agent, view, now=now)
    decision = decide(context)
    if decision.spent is not None:
        note_pause(context, decision.spent, view)
    if decision.step is not Step.CREATE:
        leave_line(agent.key, view)
    match decision.step:
        case Step.WAIT:
            return ENDING_SECONDS
        case Step.EXPIRE:
            await _expire(agent, kube)
            return None
        case Step.CREATE:
            context, decision = await _create(context, tools)
        case Step.DELETE | Step.FORGET:
            await delete_pod(context, decision, view, kube)
            context = build_context(agent, view, now=now)
        case Step.KEEP:
            is_spent = network is not None and network.is_spent
            is_closed = is_spent and tools.meters is not None and tools.meters.is_direct(agent.metadata.uid)
            await confine_pod(context, view, kube, tools.networks, is_closed=is_closed)
            await resize_pod(context, view, kube)
            context = replace(context, refused_share=view.refused_shares.get(agent.key))
            decision = await ask_why_stuck(context, decision, kube)
    _publish(context, decision, tools)
    await apply_reclaim_policy(context, view, kube)
    if not decision.is_refused and not await apply_service(context, view, kube):
        decision = _without_service(decision, agent)
    enforced = enforcement(context, view, tools.gateway, tools.sidecars)
    again = await _report(context, _while_in_force(decision, enforced), enforced, network, tools)
    waits = (
        *(again, settles_in(context, view, tools.gateway), resize_again_in(context)),
        None if context.is_node_known else NODE_SECONDS,
        SETTLE_SECONDS if network is not None and network.is_told_before else None,
    )
    return min((each for each in waits if each is not None), default=None)


def _publish(context: Context, decision: Decision, tools: Tools) -> None:
    """Have the pod's sidecar, and the gateway's meters, told what holds for it now."""
    view, record = tools.view, tools.view.agents.get(*context.agent.key)
    if tools.sidecars:
        ways = tools.networks.sidecars.ways
        publish_sidecar(
            context,
            decision,
            view,
            sidecars=tools.sidecars,
            ways=ways,
            shared=tools.shared_cache,
            telemetry=tools.telemetry,
        )
    if tools.meters and record is not None:
        publish_meter(record, view, tools.meters)


async def _expire(agent: Agent, kube: Kube) -> None:
    namespace, name = agent.key
    log.info("agent.expired", ttl=agent.spec.ttl_after_finished)
    with suppress(NotFoundError):
        # With its version: who changes a finished agent at this moment, to run it again, does not lose it.
        meta = agent.metadata
        target = path(RINGFENCE, namespace, "agents", name)
        await kube.delete(target, uid=meta.uid, resource_version=meta.resource_version)


async def _create(context: Context, tools: Tools) -> tuple[Context, Decision]:
    """Make the pod, and before it everything that must be there first; a refusal becomes the decision."""
    agent, view = context.agent, tools.view
    waits = await ask_for_place(context, view, tools.kube)
    if waits is not None:
        return context, waits
    try:
        with view.places.held(agent.key):
            await tools.networks.prepare(context)
            claim = claim_name(agent)
            if claim is None:
                await create_pod(context, view, tools.kube)
            else:
                await _create_with_claim(context, claim, tools)
    except (TakenError, ForbiddenError, InvalidError) as error:
        wake_next(agent.metadata.namespace, view)
        return context, _refusal(error)
    if agent.status.observed_generation < 0:
        # A new agent's status waits for what becomes of the pod: nothing of it is worth a look now.
        return context, decide(context)
    context = build_context(agent, view, now=context.now)
    return context, decide(context)


async def _create_with_claim(context: Context, claim: str, tools: Tools) -> None:
    agent = context.agent
    async with tools.claims.held((agent.metadata.namespace, claim)):
        # Another agent may have taken the claim while this one waited.
        context = build_context(agent, tools.view, now=context.now)
        if decide(context).step is Step.CREATE:
            await create_claim(context, tools.view, tools.kube)
            await create_pod(context, tools.view, tools.kube)


def _refusal(error: TakenError | ForbiddenError | InvalidError) -> Decision:
    match error:
        case TakenError():
            return _refused(error.taken, str(error), is_stalled=False)
        case ForbiddenError():
            return _refused(_why_forbidden(str(error)), str(error), is_stalled=False)
        case _:
            return _refused(Reason.POD_INVALID, str(error), is_stalled=True)


def _refused(reason: Reason, message: str, *, is_stalled: bool) -> Decision:
    return Decision(
        step=Step.KEEP,
        state=AgentState.PENDING,
        reason=reason,
        message=message[:2048],
        is_stalled=is_stalled,
        look_again=RETRY_SECONDS,
        is_refused=True,
    )


def _why_forbidden(message: str) -> Reason:
    return (
        Reason.QUOTA_EXCEEDED if "exceeded quota" in message or "failed quota" in message else Reason.ADMISSION_REFUSED
    )


def _without_service(decision: Decision, agent: Agent) -> Decision:
    """Return the decision for an agent whose Service's name is taken: not ready, if it would be."""
    if not decision.is_ready or decision.is_finished:
        return decision
    message = f"Service {agent.metadata.name} exists and is not this agent's: delete it, or rename the agent"
    return replace(decision, is_ready=False, reason=Reason.NAME_TAKEN, message=message, look_again=RETRY_SECONDS)


def _while_in_force(decision: Decision, enforced: Enforced) -> Decision:
    """Return the decision for an agent that is not confined as it should be: not ready, if it would be."""
    if not enforced or enforced[1] not in _NOT_IN_FORCE or not decision.is_ready or decision.is_finished:
        return decision
    _, reason, message = enforced
    return replace(decision, is_ready=False, reason=reason, message=message, look_again=SETTLE_SECONDS)


async def _report(
    context: Context, decision: Decision, enforced: Enforced, network: Allowed | None, tools: Tools
) -> float | None:
    """Write the status if it differs, and an Event for a transition that somebody may want to know of."""
    agent = context.agent
    status = agent_status(context, decision, enforced=enforced, network=network)
    _tell_of_kill(agent, status, tools.view)
    lags = (*lagging(context, context.refused_share), *unmetered(context))
    tools.view.lags.note(agent.key, lags, context.quotas)
    if status == agent.status:
        return decision.look_again
    wait = _patience(context, status)
    if wait is not None:
        return min(wait, decision.look_again or wait)
    if not _is_worth_a_write(agent.status, status):
        return decision.look_again
    with suppress(NotFoundError):
        answer = await report(agent, status, kube=tools.kube, now=context.now)
        # An agent that runs needs no look at what has just been said; of all others, time or the next step may.
        tools.view.agents.store(answer, wakes=not decision.is_ready or decision.is_finished)
        log.info("agent.status", state=status.state, reason=decision.reason)
    return decision.look_again


def _tell_of_kill(agent: Agent, status: AgentStatus, view: View) -> None:
    """A quota whose memory limit killed the agent says so, too."""
    last, before = status.last_exit, agent.status.last_exit
    limit = last.memory_limit if last else None
    if last and limit and limit.object:
        kill = Kill(agent.metadata.name, format_timestamp(last.time) if last.time else "")
        is_new = before is None or before.time != last.time
        view.memory.killed((agent.metadata.namespace, limit.object), agent.metadata.uid, kill, is_new=is_new)


def _patience(context: Context, status: AgentStatus) -> float | None:
    """Return how long a status that a moment may well change can wait; None to write it now."""
    ready = find_condition(status.conditions, ConditionType.READY)
    before = find_condition(context.agent.status.conditions, ConditionType.READY)
    quiet = _QUIET.get(ready.reason) if ready else None
    if quiet is None or (before is not None and before.status == Status.TRUE):
        return None
    began = context.agent.metadata.creation_timestamp or context.now
    age = context.age_of(context.own_pod) if context.own_pod else (context.now - began).total_seconds()
    return quiet - age if age < quiet else None


def _is_worth_a_write(before: AgentStatus, after: AgentStatus) -> bool:
    """Return False between two statuses that say the same and differ only in how far it has come.

    Scheduler and kubelet word what keeps a pod from starting a little differently each time, for as long as it does.
    """
    if before.observed_generation != after.observed_generation:
        return True
    said = [(each.type, each.status, each.reason) for each in before.conditions]
    says = [(each.type, each.status, each.reason) for each in after.conditions]
    ready = find_condition(after.conditions, ConditionType.READY)
    return said != says or ready is None or ready.reason not in _WORDED
