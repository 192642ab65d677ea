"""Kubernetes Events: one for each transition that somebody may want to know of, none for a normal start."""

from datetime import datetime
from typing import Any

from ringfence_operator import labels
from ringfence_operator.api.agent import Agent
from ringfence_operator.api.agent_pool import AgentPool
from ringfence_operator.api.conditions import Condition, Reason, find_condition
from ringfence_operator.api.connector import Connector
from ringfence_operator.api.quota import Quota
from ringfence_operator.api.security_policy import SecurityPolicy

_QUIET = {
    Reason.RUNNING,
    Reason.STARTING,
    Reason.NOT_READY,
    Reason.STOPPING,
    Reason.RESTARTING,
    Reason.IN_FORCE,
    Reason.PENDING,
    Reason.GATEWAY_PENDING,
    Reason.NOT_CONFINED,
    Reason.ENDPOINTS_HEALTHY,
    Reason.NO_AGENTS,
    Reason.ENFORCED,
    Reason.HEALTH_UNKNOWN,
    Reason.REDIS_REACHED,
    Reason.NO_WARM_POD,
    Reason.STARTER_PENDING,
    Reason.POOL_WARM,
    Reason.POOL_EMPTY,
    Reason.POD_ASSIGNED,
    Reason.NO_POD,
}
_NORMAL = {Reason.SUCCEEDED, Reason.SUSPENDED, Reason.REPLACING, Reason.STARTED_COLD}


def transitions(before: tuple[Condition, ...], after: tuple[Condition, ...]) -> list[Condition]:
    """Return the conditions whose reason changed into one that is worth an Event."""
    found = []
    for kind in ("Ready", "Suspended", "Assigned", "Enforced", "CacheReachable", "NetworkClosed"):
        old, new = find_condition(before, kind), find_condition(after, kind)
        if new and new.reason not in _QUIET and (old is None or old.reason != new.reason):
            found.append(new)
    return found


def build_event(
    about: Agent | AgentPool | Connector | Quota | SecurityPolicy, condition: Condition, *, now: datetime, unique: str
) -> dict[str, Any]:
    """Return the core/v1 Event that tells of `condition`; `unique` tells it from others of the same object."""
    is_warning = condition.reason not in _NORMAL
    return build_news(about, condition.reason, condition.message, is_warning=is_warning, now=now, unique=unique)


def build_news(
    about: Agent | AgentPool | Connector | Quota | SecurityPolicy,
    reason: str,
    message: str,
    *,
    is_warning: bool,
    now: datetime,
    unique: str,
) -> dict[str, Any]:
    """Return the core/v1 Event that tells of something that is no condition."""
    moment = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{about.metadata.name}.{unique}", "namespace": about.metadata.namespace},
        "involvedObject": {
            "apiVersion": labels.API_VERSION,
            "kind": about.kind,
            "name": about.metadata.name,
            "namespace": about.metadata.namespace,
            "uid": about.metadata.uid,
        },
        "type": "Warning" if is_warning else "Normal",
        "reason": reason,
        "message": message[:1024],
        "source": {"component": "ringfence-operator"},
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }
