"""What the starter of a claimed pod is to hand over, told to the control process."""

from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.decide import Decision
from ringfence_operator.reconcile.pod import way_out_of
from ringfence_operator.reconcile.starters import Starters
from ringfence_operator.resources.start_order import build_start_order, versioned

HANDOVER_SECONDS = 0.25
"""How long the status of a claim waits for the starter's word, where one is waiting for its order."""


def publish_order(context: Context, decision: Decision, starters: Starters) -> None:
    """Have the starter of the agent's pod told what to run; nothing, if it may have no pod at all."""
    pod = context.own_pod
    if pod is None or not pod.claimed or context.template is None or context.is_pod_of_old_run:
        return
    if decision.is_refused or pod.deleting_since:
        starters.withdraw(pod.meta.uid)
    elif pod.address:
        order = versioned(build_start_order(context.given, context.template, way_out_of(context)))
        starters.order(pod.meta.uid, pod.address, context.agent.key, order)


def is_handing_over(context: Context, starters: Starters | None) -> bool:
    """Return True if the starter of the agent's pod is there, and has not said what became of its order."""
    pod = context.own_pod
    heard = starters.heard(pod.meta.uid) if pod and starters else None
    return heard is not None and not heard.started and not heard.refused
