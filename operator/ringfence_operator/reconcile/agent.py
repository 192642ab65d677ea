"""One pass over an Agent: prepare, make its pod what it should be, report what was seen."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime

import structlog

from ringfence_operator.api.agent import Agent
from ringfence_operator.api.agent_status import AgentState, AgentStatus
from ringfence_operator.api.conditions import ConditionType, Reason, Status, find_condition
from ringfence_operator.errors import NotFoundError
from ringfence_operator.reconcile.claim import apply_reclaim_policy
from ringfence_operator.reconcile.context import NODE_SECONDS, Context, build_context
from ringfence_operator.reconcile.decide import Decision, Step, decide
from ringfence_operator.reconcile.ends import tell_of_ends
from ringfence_operator.reconcile.gateway import SETTLE_SECONDS
from ringfence_operator.reconcile.make_pod import RETRY_SECONDS, make_pod
from ringfence_operator.reconcile.meters import left_to, publish_meter
from ringfence_operator.reconcile.network import Enforced, enforcement, settles_in
from ringfence_operator.reconcile.network_quota import Allowed
from ringfence_operator.reconcile.pause import note_pause
from ringfence_operator.reconcile.pod import ask_why_stuck, confine_pod, delete_pod
from ringfence_operator.reconcile.pool_checks import is_looser
from ringfence_operator.reconcile.pool_double import undo_double
from ringfence_operator.reconcile.ports import RINGFENCE, Kube, path
from ringfence_operator.reconcile.quota_admission import leave_line
from ringfence_operator.reconcile.report import report
from ringfence_operator.reconcile.resize import lagging, resize_again_in, resize_pod, unmetered
from ringfence_operator.reconcile.service import apply_service
from ringfence_operator.reconcile.sidecar import publish_sidecar
from ringfence_operator.reconcile.starter import (
    HANDOVER_SECONDS,
    is_handing_over,
    publish_order,
    read_again,
    within_limits,
)
from ringfence_operator.reconcile.status import agent_status
from ringfence_operator.reconcile.tools import Tools

QUIET_SECONDS = 5.0
"""A pod usually runs before this has passed: the status goes from Pending, its default, to Running in one write."""
POLICY_SECONDS = 2.0
"""A policy or connector that came with its agent is known by then: they are watched apart, and any may be seen first.
So is the control server to a leader that has just begun."""
MISS_SECONDS = 1.0
"""Of a burst beyond what is warm the refill serves most so soon that nothing need be said of their waiting."""
ENDING_SECONDS = 2.0
"""How soon the kubelet must have said the rest of how a pod ended."""
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
    Reason.POOL_NOT_FOUND: POLICY_SECONDS,
    Reason.NO_WARM_POD: MISS_SECONDS,
}
"""For how long after the beginning each is not worth a write."""
_NOT_IN_FORCE = {
    *(Reason.GATEWAY_PENDING, Reason.GATEWAY_REFUSED, Reason.GATEWAY_UNAVAILABLE),
    *(Reason.UNVERIFIED_INSIDE, Reason.WAY_OUT_CLOSED, Reason.CANARY_REACHED),
    *(Reason.STARTER_PENDING, Reason.STARTER_REFUSED),
}
_STARTER = {Reason.STARTER_PENDING, Reason.STARTER_REFUSED}
"""Of these the starter's word is the end, and not time."""
_WORDED = {
    Reason.STARTING,
    Reason.IMAGE_NOT_FOUND,
    Reason.UNSCHEDULABLE,
    Reason.CONFIG_NOT_FOUND,
    Reason.START_FAILED,
}

log = structlog.get_logger()


async def reconcile_agent(agent: Agent, tools: Tools, *, now: datetime) -> float | None:
    """Make what `agent` asks for, then report. Safe to run at any time, any number of times.

    Returns the seconds after which to look again, if time alone will change something.
    """
    if agent.metadata.deletion_timestamp is not None:
        return None
    view, kube = tools.view, tools.kube
    network = left_to(agent, tools.meters)
    double = await undo_double(agent, view, kube)
    context = build_context(agent, view, now=now)
    decision = decide(context)
    if decision.spent is not None:
        note_pause(context, decision.spent, view)
    if decision.step is not Step.CREATE:
        leave_line(agent.key, view)
        view.pooling.withdraw(agent.key, agent.metadata.uid)
    match decision.step:
        case Step.WAIT:
            return ENDING_SECONDS
        case Step.EXPIRE:
            await _expire(agent, kube)
            return None
        case Step.CREATE:
            context, decision = await make_pod(context, tools)
        case Step.DELETE | Step.FORGET:
            await delete_pod(context, decision, view, kube)
            context = build_context(agent, view, now=now)
        case Step.KEEP:
            is_spent = network is not None and network.is_spent
            is_closed = is_spent and tools.meters is not None and tools.meters.is_direct(agent.metadata.uid)
            is_closed = is_closed or is_looser(context)
            await confine_pod(context, view, kube, tools.networks, is_closed=is_closed)
            await resize_pod(context, view, kube)
            context = replace(context, refused_share=view.refused_shares.get(agent.key))
            decision = await ask_why_stuck(context, decision, kube)
    decision = within_limits(context, await read_again(context, decision, tools), tools.starters)
    _publish(context, decision, tools)
    await apply_reclaim_policy(context, view, kube)
    if not decision.is_refused and not await apply_service(context, view, kube):
        decision = _without_service(decision, agent)
    enforced = enforcement(context, view, tools.gateway, tools.sidecars, tools.starters)
    again = await _report(context, _while_in_force(decision, enforced), enforced, network, tools)
    waits = (
        *(again, double, settles_in(context, view, tools.gateway), resize_again_in(context)),
        None if context.is_node_known else NODE_SECONDS,
        SETTLE_SECONDS if network is not None and network.is_told_before else None,
    )
    return min((each for each in waits if each is not None), default=None)


def _publish(context: Context, decision: Decision, tools: Tools) -> None:
    """Have the pod's sidecar, and the gateway's meters, told what holds for it now."""
    view, record = tools.view, tools.view.agents.get(*context.agent.key)
    if tools.sidecars and context.has_authority:
        # Before that, credentials are not known either: a sidecar would be told of ways, and of a Redis, that are gone.
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
    if tools.starters:
        # After what its sidecar is to have: the command that it starts may call at once.
        publish_order(context, decision, tools.starters, view.pooling.given)
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
    if reason in _STARTER:
        return replace(decision, state=AgentState.STARTING, is_ready=False, reason=reason, message=message)
    return replace(decision, is_ready=False, reason=reason, message=message, look_again=SETTLE_SECONDS)


async def _report(
    context: Context, decision: Decision, enforced: Enforced, network: Allowed | None, tools: Tools
) -> float | None:
    """Write the status if it differs, and an Event for a transition that somebody may want to know of."""
    agent = context.agent
    status = agent_status(context, decision, enforced=enforced, network=network)
    tell_of_ends(context, status, tools.view)
    lags = (*lagging(context, context.refused_share), *unmetered(context))
    tools.view.lags.note(agent.key, lags, context.quotas)
    if status == agent.status:
        return decision.look_again
    wait = _patience(context, status)
    if decision.is_claimed and not decision.is_ready and is_handing_over(context, tools.starters):
        # The starter is waiting for its order, and says in a moment that it has been carried out.
        wait = HANDOVER_SECONDS
    if wait is not None:
        return min(wait, decision.look_again or wait)
    if not _is_worth_a_write(agent.status, status):
        return decision.look_again
    with suppress(NotFoundError):
        answer = await report(agent, status, kube=tools.kube, now=context.now)
        # An agent that runs needs no look at what has just been said, nor one that has just claimed its pod, of which
        # the starter speaks next; of all others, time or the next step may.
        is_quiet = (decision.is_ready or decision.is_claimed) and not decision.is_finished
        tools.view.agents.store(answer, wakes=not is_quiet)
        is_claimed = bool(context.own_pod and context.own_pod.claimed)
        tools.view.pooling.times.told(agent, status, is_claimed=is_claimed)
        log.info("agent.status", state=status.state, reason=decision.reason)
    return decision.look_again


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
