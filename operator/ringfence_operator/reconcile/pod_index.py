"""By which quotas pods are looked for."""

from collections.abc import Iterable

from ringfence_operator import labels
from ringfence_operator.resources.observed_pod import Pod

BY_POD_QUOTA = "podQuota"


def is_live(pod: Pod) -> bool:
    """Return True if a pod runs, or is to run, or is on its way out."""
    return pod.phase not in ("Succeeded", "Failed")


def quotas_on(pod: Pod) -> set[str]:
    """Return the names of the quotas that a pod counts for while it runs."""
    return {key.removeprefix(labels.QUOTAS) for key in pod.labels if key.startswith(labels.QUOTAS)}


def index_by_pod_quota(pod: Pod) -> Iterable[tuple[str, str, bool]]:
    """Yield the quotas that a pod counts for, by namespace and name, and whether it has not ended."""
    for name in quotas_on(pod):
        yield pod.meta.namespace, name, is_live(pod)
