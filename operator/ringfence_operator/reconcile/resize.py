"""Quotas on a running pod's cores and memory: changed in place, without a restart."""

import structlog

from ringfence_operator.api.agent_status import Source
from ringfence_operator.api.conditions import Reason
from ringfence_operator.errors import ForbiddenError, InvalidError, NotFoundError
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.ports import CORE, Kube, path
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.resources.present import known_rows
from ringfence_operator.resources.share import RESIZABLE, RefusedShare, Share, in_class, is_less

log = structlog.get_logger()

_NEXT = "it holds from the next pod on: delete the pod to have it now"


def wanted_share(context: Context, pod: Pod) -> Share | None:
    """Return the share that quotas now leave the pod; None where its own is as good.

    Only a quota changes a running pod: what is below it was somebody else's doing, and stays.
    """
    have = pod.share
    if have is None:
        return None
    rows, now = known_rows(context.agent.status, pod), context.effective
    found = {}
    for name in RESIZABLE:
        limit, row = now.limits[name], rows.get(name)
        was_quota = row is not None and row.source is Source.QUOTA
        is_over = limit.source is Source.QUOTA and is_less(limit.value, have.limit(name))
        found[name] = (
            (now.requests[name], limit.value) if was_quota or is_over else (have.request(name), have.limit(name))
        )
    (cpu_request, cpu), (memory_request, memory) = found["cpu"], found["memory"]
    if (cpu, memory) == (have.cpu, have.memory):
        return None
    return in_class(Share(cpu_request, memory_request, cpu, memory), pod.quality)


async def resize_pod(context: Context, view: View, kube: Kube) -> None:
    """Give the agent's container what quotas now leave it. A refusal is kept, and the same not asked for again."""
    pod = context.own_pod
    if pod is None or pod.deleting_since or pod.phase in ("Succeeded", "Failed") or context.is_pod_of_old_run:
        return
    wanted, key = wanted_share(context, pod), context.agent.key
    if wanted is None:
        view.refused_shares.pop(key, None)
        return
    refused = view.refused_shares.get(key)
    if refused and (refused.pod_uid, refused.share) == (pod.meta.uid, wanted):
        return
    target = path(CORE, pod.meta.namespace, "pods", pod.meta.name, "resize")
    containers = [{"name": "agent", "resources": wanted.to_body()}]
    try:
        answer = await kube.strategic_patch(
            target, {"metadata": {"uid": pod.meta.uid}, "spec": {"containers": containers}}
        )
    except (ForbiddenError, InvalidError, NotFoundError) as error:
        # A cluster without the subresource says that it is not found; so it does of a pod that has just gone.
        view.refused_shares[key] = RefusedShare(pod.meta.uid, wanted, str(error))
        log.warning("pod.resize_refused", uid=pod.meta.uid, error=str(error))
        return
    view.refused_shares.pop(key, None)
    log.info("pod.resized", uid=pod.meta.uid, cpu=wanted.cpu, memory=wanted.memory)
    view.pods.store(answer)


def lagging(context: Context, refused: RefusedShare | None) -> tuple[Reason, str] | None:
    """Return why a quota's limit is not the running pod's yet, or None."""
    pod = context.own_pod
    if pod is None or pod.deleting_since or pod.phase in ("Succeeded", "Failed"):
        return None
    if refused and refused.pod_uid == pod.meta.uid and wanted_share(context, pod) is not None:
        words = f"the API server refuses cpu {refused.share.cpu}, memory {refused.share.memory}: {refused.why}"
        return Reason.RESIZE_REFUSED, f"{words}; {_NEXT}"
    if pod.resize_trouble:
        reason = Reason.RESIZE_INFEASIBLE if pod.resize_trouble == "Infeasible" else Reason.RESIZE_DEFERRED
        return (
            reason,
            f"the kubelet says: {pod.resize_message or pod.resize_trouble}; until then the former limit holds",
        )
    return _needs_pod(context, pod)


def _needs_pod(context: Context, pod: Pod) -> tuple[Reason, str] | None:
    """What can be had by a new pod alone: disk and bandwidth."""
    rows, now = known_rows(context.agent.status, pod), context.effective
    for name, limit in (("ephemeral-storage", now.limits["ephemeral-storage"]), ("network-bandwidth", now.bandwidth)):
        row = rows.get(name)
        was_quota = row is not None and row.source is Source.QUOTA
        is_quota = limit is not None and limit.source is Source.QUOTA
        had = row.value if row else "no limit"
        if rows and (was_quota or is_quota) and had != (limit.value if limit else "no limit"):
            wants = (
                f"{limit.value} ({limit.source}{f' {limit.object}' if limit.object else ''})" if limit else "no limit"
            )
            return Reason.NEEDS_NEW_POD, f"{name} is {had} in this pod, and {wants} now; {_NEXT}"
    return None
