"""When an agent's pod has to wait, because its quotas leave it no more time."""

from ringfence_operator.api.agent_status import AgentState
from ringfence_operator.api.conditions import Reason
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.pod_index import is_live
from ringfence_operator.reconcile.pod_seconds import Allowance
from ringfence_operator.reconcile.view import View


def spent_allowance(context: Context) -> Allowance | None:
    """Return the limit on pods' seconds that is used up, of several the one that is so longest.

    A pod that has ended by itself is dealt with first.
    """
    pod = context.own_pod
    if pod and not is_live(pod) and not pod.deleting_since:
        return None
    spent = [each for each in context.allowances if each.is_spent]
    return max(spent, key=lambda each: each.free_at, default=None)


def note_pause(context: Context, spent: Allowance, view: View) -> None:
    """Count it once where a limit on pods' seconds ends an agent's pod, or keeps it from having one."""
    quota = view.quotas.get(context.agent.metadata.namespace, spent.quota)
    if quota is not None and not was_paused(context):
        view.places.refused(quota, spent.limit, context.agent, context.now)


def was_paused(context: Context) -> bool:
    """Return True if the pod that is going was ended by a quota, whatever it makes of that."""
    status = context.agent.status
    reasons = {each.reason for each in status.conditions}
    return status.state is AgentState.SUSPENDED and Reason.QUOTA_EXCEEDED in reasons
