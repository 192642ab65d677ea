"""One pass over an Agent: prepare, make its pod what it should be, report what was seen."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from ringfence_operator import labels
from ringfence_operator.api.agent import Agent
from ringfence_operator.api.agent_status import AgentState, AgentStatus
from ringfence_operator.api.conditions import Reason
from ringfence_operator.errors import ForbiddenError, InvalidError, NotFoundError
from ringfence_operator.reconcile.context import NODE_SECONDS, Context, build_context
from ringfence_operator.reconcile.create import TakenError, create_own
from ringfence_operator.reconcile.decide import Decision, Step, decide
from ringfence_operator.reconcile.network import Networks, enforcement
from ringfence_operator.reconcile.ports import CORE, RINGFENCE, Kube, Raw, path
from ringfence_operator.reconcile.report import report
from ringfence_operator.reconcile.status import agent_status, is_routine
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.observed import service_digest
from ringfence_operator.resources.pod import build_pod, pod_labels
from ringfence_operator.resources.service import build_service
from ringfence_operator.resources.workspace import build_claim

QUIET_SECONDS = 2.0
"""A new agent's pod usually runs before this has passed: the status skips "Starting" then, and a write is saved."""
RETRY_SECONDS = 15.0
"""How soon a pod that the API server refused is tried again."""

log = structlog.get_logger()


async def reconcile_agent(agent: Agent, view: View, *, kube: Kube, networks: Networks, now: datetime) -> float | None:
    """Make what `agent` asks for, then report. Safe to run at any time, any number of times.

    Returns the seconds after which to look again, if time alone will change something.
    """
    if agent.metadata.deletion_timestamp is not None:
        return None
    context = build_context(agent, view, now=now)
    decision = decide(context)
    if decision.step is Step.WAIT:
        return QUIET_SECONDS
    if decision.step is Step.EXPIRE:
        await _expire(agent, kube)
        return None
    if decision.step is Step.CREATE:
        context, decision = await _create(context, view, kube, networks)
    elif decision.step in (Step.DELETE, Step.FORGET):
        context = await _delete(context, decision, view, kube)
    elif context.own_pod is not None:
        await _repair(context, view, kube, networks)
    if not await _apply_service(context, view, kube):
        message = f"Service {agent.metadata.name} exists and is not this agent's: delete it, or rename the agent"
        decision = replace(
            decision, is_ready=False, reason=Reason.NAME_TAKEN, message=message, look_again=RETRY_SECONDS
        )
    again = await _report(context, decision, view, kube)
    if context.is_node_known:
        return again
    return min(again, NODE_SECONDS) if again is not None else NODE_SECONDS


async def _expire(agent: Agent, kube: Kube) -> None:
    namespace, name = agent.key
    log.info("agent.expired", ttl=agent.spec.ttl_after_finished)
    await kube.delete(path(RINGFENCE, namespace, "agents", name), uid=agent.metadata.uid)


async def _create(context: Context, view: View, kube: Kube, networks: Networks) -> tuple[Context, Decision]:
    """Make the pod, and before it everything that must be there first; a refusal becomes the decision."""
    agent = context.agent
    try:
        await networks.prepare(context)
        await _create_claim(context, view, kube)
        await _create_pod(context, view, kube)
    except TakenError as error:
        return context, _refused(error.taken, str(error), is_stalled=False)
    except ForbiddenError as error:
        return context, _refused(_why_forbidden(str(error)), str(error), is_stalled=False)
    except InvalidError as error:
        return context, _refused(Reason.POD_INVALID, str(error), is_stalled=True)
    context = build_context(agent, view, now=context.now)
    return context, decide(context)


async def _create_pod(context: Context, view: View, kube: Kube) -> None:
    agent = context.agent
    left = context.seconds_left
    body = build_pod(
        agent,
        context.policy,
        context.effective,
        cluster_policy=_cluster_policy(context),
        seconds_left=None if left is None else int(left),
    )
    answer = await create_own(agent, path(CORE, agent.metadata.namespace, "pods"), body, kube, is_own=_is_owned)
    if answer is None:
        message = f"pod {agent.metadata.name} exists and is not this agent's: delete it, or rename the agent"
        raise TakenError(Reason.NAME_TAKEN, message)
    view.pods.store(answer)
    log.info("pod.created", uid=answer["metadata"]["uid"])


async def _create_claim(context: Context, view: View, kube: Kube) -> None:
    agent = context.agent
    desired = build_claim(agent)
    if desired is None or context.claim is not None:
        return
    collection = path(CORE, agent.metadata.namespace, "persistentvolumeclaims")
    answer = await create_own(agent, collection, desired, kube, is_own=_is_labelled)
    if answer is None:
        name = desired["metadata"]["name"]
        message = f"claim {name} exists and is not this agent's: write workspace.claimName: {name} to adopt it"
        raise TakenError(Reason.WORKSPACE_EXISTS, message)
    view.claims.store(answer)


def _is_owned(raw: Raw, agent: Agent) -> bool:
    owners = raw["metadata"].get("ownerReferences", ())
    return any(owner["uid"] == agent.metadata.uid for owner in owners)


def _is_labelled(raw: Raw, agent: Agent) -> bool:
    return bool(raw["metadata"].get("labels", {}).get(labels.AGENT_UID) == agent.metadata.uid)


def _cluster_policy(context: Context) -> str | None:
    if context.policy is None or context.agent.spec.security_policy_ref is not None:
        return None
    return context.policy.metadata.name


def _refused(reason: Reason, message: str, *, is_stalled: bool) -> Decision:
    return Decision(
        step=Step.KEEP,
        state=AgentState.PENDING,
        reason=reason,
        message=message[:2048],
        is_stalled=is_stalled,
        look_again=RETRY_SECONDS,
    )


def _why_forbidden(message: str) -> Reason:
    return (
        Reason.QUOTA_EXCEEDED if "exceeded quota" in message or "failed quota" in message else Reason.ADMISSION_REFUSED
    )


async def _delete(context: Context, decision: Decision, view: View, kube: Kube) -> Context:
    """Delete the pod; the next one is made once it is gone, so that two never share a workspace."""
    pod = context.pod
    if pod is None:
        return context
    grace = 0 if decision.step is Step.FORGET else None
    target = path(CORE, pod.meta.namespace, "pods", pod.meta.name)
    try:
        answer = await kube.delete(target, uid=pod.meta.uid, grace_seconds=grace)
    except NotFoundError:
        return context
    log.info("pod.deleted", uid=pod.meta.uid, reason=decision.reason)
    if answer.get("kind") == "Pod" and answer["metadata"].get("deletionTimestamp"):
        view.pods.store(answer)
    return build_context(context.agent, view, now=context.now)


async def _repair(context: Context, view: View, kube: Kube, networks: Networks) -> None:
    """Bring back what confines a running pod: the NetworkPolicies, and the labels that they select by."""
    pod = context.own_pod
    if pod is None or pod.deleting_since or context.agent.status.finished_at:
        return
    await networks.prepare(context)
    wanted = pod_labels(context.agent, context.effective, cluster_policy=_cluster_policy(context))
    ours = {key: None for key in pod.labels if key.startswith(f"{labels.GROUP}/") and key not in wanted}
    changed = {key: value for key, value in wanted.items() if pod.labels.get(key) != value} | ours
    if not changed:
        return
    target = path(CORE, pod.meta.namespace, "pods", pod.meta.name)
    patch: dict[str, Any] = {"metadata": {"uid": pod.meta.uid, "labels": changed}}
    view.pods.store(await kube.merge_patch(target, patch))
    log.info("pod.relabelled", labels=sorted(changed))


async def _apply_service(context: Context, view: View, kube: Kube) -> bool:
    """Have the agent's Service as its ports say, and none without ports. Returns False if its name is taken."""
    agent = context.agent
    namespace, name = agent.key
    present = view.services.get(namespace, name)
    is_ours = present is not None and present.owner_uid == agent.metadata.uid
    desired = build_service(agent)
    if desired is None:
        if present is not None and is_ours:
            await kube.delete(path(CORE, namespace, "services", name), uid=present.meta.uid)
        return True
    if present is None:
        answer = await create_own(agent, path(CORE, namespace, "services"), desired, kube, is_own=_is_owned)
        if answer is None:
            return False
        view.services.store(answer)
    elif is_ours and present.digest != service_digest(desired["spec"]):
        view.services.store(await kube.apply(path(CORE, namespace, "services", name), desired))
    return present is None or is_ours


async def _report(context: Context, decision: Decision, view: View, kube: Kube) -> float | None:
    """Write the status if it differs, and an Event for a transition that somebody may want to know of."""
    agent = context.agent
    status = agent_status(context, decision, enforced=enforcement(context, view))
    if status == agent.status:
        return decision.look_again
    wait = _patience(context, status)
    if wait is not None:
        return wait or decision.look_again
    try:
        answer = await report(agent, status, kube=kube, now=context.now)
    except NotFoundError:
        return None
    view.agents.store(answer)
    log.info("agent.status", state=status.state, reason=decision.reason)
    return decision.look_again


def _patience(context: Context, status: AgentStatus) -> float | None:
    """Return how long a status that says no more than "starting" can wait, 0 for ever; None to write it now.

    A pod usually runs before anybody could have read such a status, and each costs a write.
    """
    before = context.agent.status
    if not is_routine(status):
        return None
    if is_routine(before) and before.observed_generation == status.observed_generation:
        return 0.0
    if any(each.type == "Ready" and each.status == "True" for each in before.conditions):
        return None
    age = (context.now - _began(context)).total_seconds()
    return QUIET_SECONDS - age if age < QUIET_SECONDS else None


def _began(context: Context) -> datetime:
    """Return when the pod was made, or else the agent."""
    if context.own_pod:
        return datetime.fromisoformat(context.own_pod.created)
    return context.agent.metadata.creation_timestamp or context.now
