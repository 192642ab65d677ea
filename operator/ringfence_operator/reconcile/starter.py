"""What the starter of a claimed pod is to hand over, told to the control process."""

from dataclasses import replace

from ringfence_operator.api.agent_status import AgentState
from ringfence_operator.reconcile.checks import refusal
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.decide import Decision
from ringfence_operator.reconcile.given_files import GivenFiles, read_files
from ringfence_operator.reconcile.pod import way_out_of
from ringfence_operator.reconcile.refusal import Refusal
from ringfence_operator.reconcile.resize import exceeds_quota, resize_lag
from ringfence_operator.reconcile.starters import Starters
from ringfence_operator.reconcile.tools import Tools
from ringfence_operator.resources.start_order import build_start_order, versioned

HANDOVER_SECONDS = 0.25
"""How long the status of a claim waits for the starter's word, where one is waiting for its order."""
READ_SECONDS = 15.0
"""How soon a ConfigMap that was not there is looked for again."""


def publish_order(context: Context, decision: Decision, starters: Starters, given: GivenFiles) -> None:
    """Have the starter of the agent's pod told what to run; nothing, if it may have no pod at all.

    Whatever keeps an agent from a pod keeps it from its first command, too: it may have come to be so since the claim.
    So do cores and memory of its pool's that a quota does not leave it, until the node has taken them away.
    """
    pod, agent = context.own_pod, context.given
    if pod is None or not pod.claimed:
        given.forget(agent.metadata.uid)
        return
    if decision.is_refused or pod.deleting_since or context.is_pod_of_old_run or context.template is None:
        given.forget(agent.metadata.uid)
        starters.withdraw(pod.meta.uid)
    elif pod.address:
        heard = starters.heard(pod.meta.uid)
        has_started = heard is not None and heard.started
        if decision.is_finished or has_started:
            # They may be large, and whoever has started takes no other order.
            given.forget(agent.metadata.uid)
        files = given.of(agent)
        if files is None or (not has_started and (refusal(context) is not None or exceeds_quota(context, pod))):
            starters.admit(pod.meta.uid, pod.address, agent.key)
            return
        order = versioned(build_start_order(agent, context.template, way_out_of(context), files))
        starters.order(pod.meta.uid, pod.address, agent.key, order)


async def read_again(context: Context, decision: Decision, tools: Tools) -> Decision:
    """Read files for an agent whose pod another leader has claimed, where the pod's starter waits for them."""
    pod, starters, given = context.own_pod, tools.starters, tools.view.pooling.given
    if pod is None or starters is None or not pod.claimed or pod.deleting_since or decision.is_refused:
        return decision
    heard = starters.heard(pod.meta.uid)
    if heard is None or heard.started or decision.is_finished or given.of(context.given) is not None:
        return decision
    found = await read_files(context.given, tools.kube)
    if not isinstance(found, Refusal):
        given.keep(context.given, found)
        return decision
    return replace(
        decision,
        is_ready=False,
        state=AgentState.STARTING,
        reason=found.reason,
        message=found.message,
        look_again=READ_SECONDS,
    )


def within_limits(context: Context, decision: Decision, starters: Starters | None) -> Decision:
    """Return the decision for an agent whose command waits for a quota's limits: not ready, if the node has none."""
    pod = context.own_pod
    if pod is None or not pod.claimed or not decision.is_ready or not is_handing_over(context, starters):
        return decision
    lag = resize_lag(context, pod, context.refused_share) if exceeds_quota(context, pod) else None
    if lag is None or decision.is_finished:
        return decision
    message = f"the command waits until a Quota's limits hold: {lag.message}"
    return replace(decision, is_ready=False, state=AgentState.STARTING, reason=lag.reason, message=message)


def is_handing_over(context: Context, starters: Starters | None) -> bool:
    """Return True if the starter of the agent's pod is there, and has not said what became of its order."""
    pod = context.own_pod
    heard = starters.heard(pod.meta.uid) if pod and starters else None
    return heard is not None and not heard.started and not heard.refused
