"""What a claim changes of a warm pod: whose it is, and what that agent is under."""

from collections.abc import Mapping
from datetime import UTC, datetime
from math import ceil
from typing import Any

from ringfence_operator import labels
from ringfence_operator.api.agent import Agent
from ringfence_operator.api.model import format_timestamp
from ringfence_operator.resources.observed_pod import Pod
from ringfence_operator.resources.pod import owner_reference
from ringfence_operator.resources.way_out import WayOut


def build_claim(
    agent: Agent,
    pod: Pod,
    *,
    pod_labels: Mapping[str, str],
    made_from: str,
    way_out: WayOut | None,
    seconds_left: int | None,
    now: datetime,
) -> dict[str, Any]:
    """Return the merge patch by which `pod` becomes the agent's, if nobody has changed it meanwhile.

    The list of owners is replaced as a whole: the pool's end is none of the pod's from then on. `seconds_left` is what
    remains of the agent's execution time; the kubelet counts from when the pod started. Who has set which field is
    forgotten (https://kubernetes.io/docs/reference/using-api/server-side-apply/#clearing-managedfields).
    """
    annotations = {
        **agent.spec.pod_metadata.annotations,
        labels.SPEC_HASH: made_from,
        labels.CLAIMED_AT: format_timestamp(now),
        **({labels.GATEWAY_ADDRESS: way_out.address} if way_out else {}),
    }
    patch: dict[str, Any] = {
        "metadata": {
            "uid": pod.meta.uid,
            "resourceVersion": pod.meta.resource_version,
            "ownerReferences": [owner_reference(agent)],
            "labels": dict(pod_labels),
            "annotations": annotations,
            # Half of a pod's bytes, and compared at each write. Nobody applies to it: that is for what users write.
            "managedFields": [{}],
        }
    }
    if seconds_left is not None:
        patch["spec"] = {"activeDeadlineSeconds": _since_start(pod, now) + max(1, seconds_left)}
    return patch


def _since_start(pod: Pod, now: datetime) -> int:
    if not pod.started:
        return 0
    return max(0, ceil((now.astimezone(UTC) - datetime.fromisoformat(pod.started)).total_seconds()))
