"""An agent's pod: made, deleted, and kept under what confines it."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote

import structlog

from ringfence_operator import labels
from ringfence_operator.api.agent_status import AgentState
from ringfence_operator.api.conditions import Reason
from ringfence_operator.errors import NotFoundError
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.create import TakenError, create_own, is_owned
from ringfence_operator.reconcile.decide import Decision, Step
from ringfence_operator.reconcile.network import Networks
from ringfence_operator.reconcile.ports import CORE, Kube, Raw, path
from ringfence_operator.reconcile.quotas import counted
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.pod import build_pod, pod_labels
from ringfence_operator.resources.pool import record_template
from ringfence_operator.resources.way_out import WayOut, cluster_dns, way_out

STUCK_SECONDS = 5.0
"""A container that is being made for longer than this has a reason, which the kubelet tells only in Events."""
ASK_SECONDS = 15.0
"""How soon it is asked again; later and later, since each time the API server reads the namespace's Events."""

log = structlog.get_logger()


def cluster_policy_of(context: Context) -> str | None:
    """Return the name of the cluster's policy, if that holds for the agent."""
    if context.policy is None or context.agent.spec.security_policy_ref is not None:
        return None
    return context.policy.metadata.name


def way_out_of(context: Context) -> WayOut | None:
    """Return where the agent's pod finds what its policy opens by name."""
    if context.policy is None or context.gateway_address is None:
        return None
    if context.settings.egress_backend == "cilium":
        namespace = context.agent.metadata.namespace
        return cluster_dns(namespace, context.gateway_address, cluster_domain=context.settings.cluster_domain)
    return way_out(context.policy, context.gateway_address, cluster_domain=context.settings.cluster_domain)


async def create_pod(context: Context, view: View, kube: Kube) -> None:
    """Make the pod. Raises TakenError if its name is somebody else's, and whatever the API server refuses it with."""
    agent = context.agent
    left = context.seconds_left
    body = build_pod(
        agent,
        context.policy,
        context.effective,
        cluster_policy=cluster_policy_of(context),
        seconds_left=None if left is None else int(left),
        way_out=way_out_of(context),
        sidecar=context.sidecar,
        quotas=counted(context.quotas),
        made_from=context.pod_hash,
        template=record_template(context.template) if context.template else "",
    )
    answer = await create_own(agent, path(CORE, agent.metadata.namespace, "pods"), body, kube, is_own=is_owned)
    if answer is None:
        message = f"pod {agent.metadata.name} exists and is not this agent's: delete it, or rename the agent"
        raise TakenError(Reason.NAME_TAKEN, message)
    log.info("pod.created", uid=answer["metadata"]["uid"])
    # Ours, found and not made, may have lost the label that our watch sees it by: putting it back brings it into view.
    await see_again(answer, body["metadata"]["labels"], view, kube)


async def see_again(raw: Raw, wanted: Mapping[str, str], view: View, kube: Kube) -> None:
    """Put a pod of the agent into view as it was answered, with those labels of `wanted` that it has lost."""
    lost = _differing(wanted, raw["metadata"].get("labels", {}))
    view.pods.store(await _relabel(raw["metadata"], lost, kube) if lost else raw, wakes=bool(lost))


def labels_of(context: Context, *, has_sidecar: bool = False, is_claimed: bool = False) -> dict[str, str]:
    """Return the labels that the agent's pod has by what holds for the agent now; `is_claimed`: it is its pool's."""
    ref = context.given.spec.pool_ref
    return pod_labels(
        context.agent,
        context.effective,
        cluster_policy=cluster_policy_of(context),
        connectors=context.bindings.names,
        has_sidecar=has_sidecar,
        quotas=counted(context.quotas),
        pool=ref.name if ref and is_claimed else "",
    )


def _differing(wanted: Mapping[str, str], present: Mapping[str, str]) -> dict[str, str | None]:
    """Return the label changes that make `present` as `wanted`, as a merge patch; others' labels are left alone."""
    changed: dict[str, str | None] = {key: value for key, value in wanted.items() if present.get(key) != value}
    return changed | {key: None for key in present if labels.is_ours(key) and key not in wanted}


async def _relabel(metadata: Mapping[str, str], changed: Mapping[str, str | None], kube: Kube) -> Raw:
    target = path(CORE, metadata["namespace"], "pods", metadata["name"])
    log.info("pod.relabelled", labels=sorted(changed))
    return await kube.merge_patch(target, {"metadata": {"uid": metadata["uid"], "labels": dict(changed)}})


async def delete_pod(context: Context, decision: Decision, view: View, kube: Kube) -> None:
    """Delete the pod; the next one is made once it is gone, so that two never share a workspace."""
    pod = context.pod
    if pod is None:
        return
    grace = 0 if decision.step is Step.FORGET else None
    target = path(CORE, pod.meta.namespace, "pods", pod.meta.name)
    try:
        answer = await kube.delete(target, uid=pod.meta.uid, grace_seconds=grace)
    except NotFoundError:
        return
    log.info("pod.deleted", uid=pod.meta.uid, reason=decision.reason)
    if answer.get("kind") == "Pod" and answer["metadata"].get("deletionTimestamp"):
        view.pods.store(answer)


async def confine_pod(context: Context, view: View, kube: Kube, networks: Networks, *, is_closed: bool = False) -> None:
    """Bring back what confines a running pod: the NetworkPolicies, and the labels that they select by.

    `is_closed`: nothing of the network is left to it, so the label goes by which its policy opens anything.
    """
    pod = context.own_pod
    if pod is None or pod.deleting_since or context.agent.status.finished_at:
        return
    await networks.prepare(context)
    wanted = labels_of(context, has_sidecar=bool(pod.sidecar_hash), is_claimed=bool(pod.claimed))
    if is_closed:
        wanted = {key: value for key, value in wanted.items() if key not in (labels.POLICY, labels.CLUSTER_POLICY)}
    changed = _differing(wanted, pod.labels)
    if changed:
        identity = {"namespace": pod.meta.namespace, "name": pod.meta.name, "uid": pod.meta.uid}
        view.pods.store(await _relabel(identity, changed, kube))


async def ask_why_stuck(context: Context, decision: Decision, kube: Kube) -> Decision:
    """Return the decision with what the kubelet's Events say, if the pod has been starting for long.

    A ConfigMap that does not exist, or a volume that cannot be attached, shows in no field of a pod.
    """
    pod = context.own_pod
    if pod is None or decision.reason is not Reason.STARTING or not pod.node or pod.running_since:
        return decision
    age = context.age_of(pod)
    if age < STUCK_SECONDS:
        return replace(decision, look_again=STUCK_SECONDS - age)
    selector = quote(f"involvedObject.uid={pod.meta.uid},type=Warning")
    events = await kube.get(f"{path(CORE, pod.meta.namespace, 'events')}?fieldSelector={selector}")
    # A probe that fails keeps nothing from starting; a back-off says that something failed, and not why.
    found = [each for each in events["items"] if each.get("reason") not in {"Unhealthy", "BackOff"}]
    told = sorted(found, key=lambda each: each.get("lastTimestamp") or each.get("eventTime") or "")
    if not told:
        return replace(decision, look_again=max(age, ASK_SECONDS))
    message = told[-1].get("message", "")
    is_missing = "not found" in message or "non-existent" in message
    return replace(
        decision,
        state=AgentState.PENDING,
        reason=Reason.CONFIG_NOT_FOUND if is_missing else Reason.START_FAILED,
        message=" ".join(message.split())[:1024],
        look_again=max(age, ASK_SECONDS),
    )
