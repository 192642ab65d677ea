"""Ways past the gateway under a Hard limit on bytes: closed while nobody says what goes through them."""

from ringfence_operator import labels
from ringfence_operator.api.agent import Isolation
from ringfence_operator.api.conditions import ConditionType, Reason, find_condition
from ringfence_operator.api.quota import Limit, Quota
from ringfence_operator.api.quota_matrix import Enforcer
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.meters import Meters
from ringfence_operator.reconcile.network_quota import Allowed, is_hard_on_bytes
from ringfence_operator.reconcile.quotas import limits_of
from ringfence_operator.resources.observed_pod import Pod

Closed = tuple[Reason, str] | None
_ENDED = ("Succeeded", "Failed")


def is_to_be_counted(context: Context) -> bool:
    """Return True if the agent's policy opens ways past the gateway, and a Hard limit holds for their bytes."""
    return _hard_limit(context) is not None


def why_closed(network: Allowed | None) -> Closed:
    """Return why nothing goes out of the agent's pod, if quotas leave it nothing of the network; else None."""
    return (Reason.QUOTA_EXCEEDED, network.words) if network is not None and network.is_spent else None


def why_uncounted(context: Context, meters: Meters | None) -> Closed:
    """Return why nothing goes out of the agent's pod, if its kubelet does not say what it moves; else None.

    Of a pod that is young for whoever asks nobody can have said anything. It is made closed, and stays so; one that is
    open, since another replica led or no such limit held, stays as it is until figures are late.
    """
    pod, hard = context.own_pod, _hard_limit(context)
    if meters is None or hard is None or pod is None or pod.deleting_since or pod.phase in _ENDED:
        return None
    is_counted, whose = meters.is_counted(pod.meta.uid), f"networkBytes of Quota {hard[0].metadata.name}"
    is_closed = not pod.labels.keys() & {labels.POLICY, labels.CLUSTER_POLICY}
    if is_counted is None and is_closed and not _was_unavailable(context, pod):
        message = f"the kubelet has not said yet what the pod moves to destinations and cidrs, which counts for {whose}"
        return (
            Reason.COUNT_PENDING,
            f"{message}; nothing goes out until it has, within half a minute of the pod's start",
        )
    if is_counted or (is_counted is None and not is_closed):
        return None
    return Reason.COUNT_UNAVAILABLE, (
        f"the kubelet does not say what the pod moves to destinations and cidrs, which counts for {whose}; nothing "
        "goes out until it does: have the container runtime tell the network statistics of pods, reach these "
        "destinations by name (allowedDomains) and take them out of the policy, or write enforcement Warn into the "
        "limit"
    )


def _was_unavailable(context: Context, pod: Pod) -> bool:
    """Return True if that is what was last said of the pod: who begins has to hear figures before it says otherwise."""
    status = context.agent.status
    before = find_condition(status.conditions, ConditionType.NETWORK_CLOSED)
    return before is not None and before.reason == Reason.COUNT_UNAVAILABLE and status.pod_uid == pod.meta.uid


def _hard_limit(context: Context) -> tuple[Quota, Limit] | None:
    policy = context.policy
    if policy is None or not context.quotas or context.settings.egress_backend != "envoy":
        return None
    network = policy.spec.network
    is_direct = network.enabled and bool(network.destinations or network.cidrs)
    if not is_direct or context.effective.isolation.value is Isolation.NONE:
        return None
    held = limits_of(context.quotas, Enforcer.GATEWAY)
    return next((it for it in held if is_hard_on_bytes(it[1])), None)
