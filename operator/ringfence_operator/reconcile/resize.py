"""Quotas on a running pod's cores and memory: changed in place, without a restart."""

from collections.abc import Iterator
from datetime import timedelta

import structlog

from ringfence_operator.api.agent import Isolation
from ringfence_operator.api.agent_status import Source
from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.quota_matrix import Enforcer, Resource, resources_of
from ringfence_operator.errors import ForbiddenError, InvalidError, NotFoundError
from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.limit_lags import Lag
from ringfence_operator.reconcile.ports import CORE, Kube, path
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.resources.present import known_rows
from ringfence_operator.resources.quota_caps import NODE_NAMES
from ringfence_operator.resources.share import RESIZABLE, RefusedShare, Share, in_class, is_less

RETRY_SECONDS = 60.0
"""How soon what others forbid is asked for again: a ResourceQuota may have room then, and nobody says so."""

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
    """Give the agent's container what quotas now leave it.

    A refusal is kept, and the same is not asked for again: where it was forbidden, not for a while.
    """
    pod = _running(context)
    if pod is None or context.is_pod_of_old_run:
        return
    wanted, key = wanted_share(context, pod), context.agent.key
    if wanted is None:
        view.refused_shares.pop(key, None)
        return
    refused = view.refused_shares.get(key)
    if refused and (refused.pod_uid, refused.share) != (pod.meta.uid, wanted):
        refused = None
    if refused and (refused.again is None or context.now < refused.again):
        return
    target = path(CORE, pod.meta.namespace, "pods", pod.meta.name, "resize")
    containers = [{"name": "agent", "resources": wanted.to_body()}]
    try:
        answer = await kube.strategic_patch(
            target, {"metadata": {"uid": pod.meta.uid}, "spec": {"containers": containers}}
        )
    except (ForbiddenError, InvalidError, NotFoundError) as error:
        # A cluster without the subresource says that it is not found; so it does of a pod that has just gone.
        again = context.now + timedelta(seconds=RETRY_SECONDS) if isinstance(error, ForbiddenError) else None
        # The words stay those of the first time: how much others have is in them, and each change would be a write.
        view.refused_shares[key] = RefusedShare(pod.meta.uid, wanted, refused.why if refused else str(error), again)
        log.warning("pod.resize_refused", uid=pod.meta.uid, error=str(error))
        return
    view.refused_shares.pop(key, None)
    log.info("pod.resized", uid=pod.meta.uid, cpu=wanted.cpu, memory=wanted.memory)
    view.pods.store(answer)


def resize_again_in(context: Context) -> float | None:
    """Return the seconds until what was forbidden is asked for again, None where nothing is to be."""
    pod, refused = _running(context), context.refused_share
    if pod is None or refused is None or refused.again is None or refused.pod_uid != pod.meta.uid:
        return None
    return max(1.0, (refused.again - context.now).total_seconds())


def lagging(context: Context, refused: RefusedShare | None) -> tuple[Lag, ...]:
    """Return why quotas' limits are not the running pod's yet."""
    pod = _running(context)
    if pod is None:
        return ()
    resize = resize_lag(context, pod, refused)
    return (*((resize,) if resize else ()), *_needs_pod(context, pod))


def exceeds_quota(context: Context, pod: Pod) -> bool:
    """Return True while the node has not told that the pod has no more cores and memory than quotas leave it.

    What its spec says is not what it has: the kubelet comes to that later, or never.
    """
    limits, has = context.effective.limits, pod.actual_share
    mine = [(name, limits[name].value) for name in RESIZABLE if limits[name].source is Source.QUOTA]
    return any(has is None or is_less(most, has.limit(name)) for name, most in mine)


def unmetered(context: Context) -> tuple[Lag, ...]:
    """Return why nothing keeps limits on the network for the agent, where that is so."""
    if _running(context) is None or context.effective.isolation.value is not Isolation.NONE:
        return ()
    message = "isolation None leads nothing through the gateway, where this is counted: write Basic or a stricter level"
    return (Lag(Reason.NOT_SUPPORTED, message, dict.fromkeys(resources_of(Enforcer.GATEWAY), ""), told=message),)


def _running(context: Context) -> Pod | None:
    pod = context.own_pod
    return None if pod is None or pod.deleting_since or pod.phase in ("Succeeded", "Failed") else pod


def resize_lag(context: Context, pod: Pod, refused: RefusedShare | None) -> Lag | None:
    """Return why the pod does not come to have the cores and memory that quotas leave it."""
    share = pod.actual_share or pod.share
    has = {Resource.CPU: share.cpu, Resource.MEMORY: share.memory} if share else {}
    if refused and refused.pod_uid == pod.meta.uid and wanted_share(context, pod) is not None:
        words = f"the API server refuses cpu {refused.share.cpu}, memory {refused.share.memory}: {refused.why}"
        return Lag(Reason.RESIZE_REFUSED, f"{words}; {_NEXT}", has)
    if pod.resize_trouble:
        reason = Reason.RESIZE_INFEASIBLE if pod.resize_trouble == "Infeasible" else Reason.RESIZE_DEFERRED
        words = f"the kubelet says: {pod.resize_message or pod.resize_trouble}; until then the former limit holds"
        return Lag(reason, words, has)
    return None


def _needs_pod(context: Context, pod: Pod) -> Iterator[Lag]:
    """What can be had by a new pod alone: disk and bandwidth."""
    rows, now = known_rows(context.agent.status, pod), context.effective
    for resource, limit in (
        (Resource.EPHEMERAL_STORAGE, now.limits["ephemeral-storage"]),
        (Resource.NETWORK_BANDWIDTH, now.bandwidth),
    ):
        name = NODE_NAMES[resource]
        row = rows.get(name)
        was_quota = row is not None and row.source is Source.QUOTA
        is_quota = limit is not None and limit.source is Source.QUOTA
        had = row.value if row else ""
        if rows and (was_quota or is_quota) and had != (limit.value if limit else ""):
            wants = (
                f"{limit.value} ({limit.source}{f' {limit.object}' if limit.object else ''})" if limit else "no limit"
            )
            message = f"{name} is {had or 'no limit'} in this pod, and {wants} now; {_NEXT}"
            yield Lag(Reason.NEEDS_NEW_POD, message, {resource: had})
