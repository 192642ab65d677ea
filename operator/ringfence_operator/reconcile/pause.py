"""When an agent's pod has to wait, because its quotas leave it no more time."""

from ringfence_operator.api.agent_status import AgentState
from ringfence_operator.api.conditions import Reason
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.pod_index import is_live
from ringfence_operator.reconcile.pod_seconds import Allowance


def spent_allowance(context: Context) -> Allowance | None:
    """Return the limit on pods' seconds that is used up, of several the one that is so longest.

    A pod that has ended by itself is dealt with first.
    """
    pod = context.own_pod
    if pod and not is_live(pod) and not pod.deleting_since:
        return None
    spent = [each for each in context.allowances if each.is_spent]
    return max(spent, key=lambda each: each.free_at, default=None)


def was_paused(context: Context) -> bool:
    """Return True if the pod that is going was ended by a quota, whatever it makes of that."""
    status = context.agent.status
    reasons = {each.reason for each in status.conditions}
    return status.state is AgentState.SUSPENDED and Reason.QUOTA_EXCEEDED in reasons
