"""Whether the starter of a claimed pod has handed over what its agent is to run, and how it finds the pod's network."""

from ringfence_operator.api.conditions import ConditionType, Reason, Status, find_condition
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.sidecars import Inside
from ringfence_operator.reconcile.starters import Heard, Starters
from ringfence_operator.resources.observed_pod import Pod

Lacking = tuple[Reason, str] | None


def lacking_handover(context: Context, pod: Pod, starters: Starters | None) -> Lacking:
    """Return why the command of an agent with a pool's pod does not run, as far as its starter says."""
    heard = starters.heard(pod.meta.uid) if starters else None
    if heard is None:
        # A new leader has heard of nobody yet.
        return None if _was_in_force(context, pod) else (Reason.STARTER_PENDING, "the pod's starter has not asked yet")
    lacking = _refused(context, heard) or (_found_inside(context, pod, heard.inside) if heard.inside else None)
    if lacking or heard.started:
        return lacking
    return Reason.STARTER_PENDING, "the starter is handing over what the agent is to run"


def _refused(context: Context, heard: Heard) -> Lacking:
    if heard.agent_uid and heard.agent_uid != context.agent.metadata.uid:
        message = f"the pod has been the agent's of UID {heard.agent_uid}, and starts no second one: delete the pod"
        return Reason.STARTER_REFUSED, message
    return (Reason.STARTER_REFUSED, f"the pod's starter says: {heard.refused}") if heard.refused else None


def _found_inside(context: Context, pod: Pod, inside: Inside) -> Lacking:
    if not inside.closed and not context.settings.allow_unenforced_network:
        message = "the starter reached the API server from inside the pod, which no policy permits"
        return Reason.CANARY_REACHED, f"{message}: see what enforces NetworkPolicies on its node"
    if inside.way_out is False:
        message = f"from inside the pod its policy's port set at {pod.gateway_address} does not answer"
        return Reason.WAY_OUT_CLOSED, f"{message}: see the gateway's pods, and what enforces NetworkPolicies there"
    return None


def _was_in_force(context: Context, pod: Pod) -> bool:
    before = find_condition(context.agent.status.conditions, ConditionType.ENFORCED)
    is_same = context.agent.status.pod_uid == pod.meta.uid
    return is_same and before is not None and before.status == Status.TRUE
