"""How what was seen reaches the object: its status, and an Event for a transition worth knowing of."""

import random
from datetime import datetime

import structlog

from ringfence_operator import labels
from ringfence_operator.api.agent import Agent
from ringfence_operator.api.agent_pool import AgentPool, AgentPoolStatus
from ringfence_operator.api.agent_status import AgentStatus
from ringfence_operator.api.connector import Connector, ConnectorStatus
from ringfence_operator.api.quota import Quota
from ringfence_operator.api.quota_status import QuotaStatus
from ringfence_operator.api.security_policy import SecurityPolicy, SecurityPolicyStatus
from ringfence_operator.errors import KubeError
from ringfence_operator.reconcile.events import build_event, transitions
from ringfence_operator.reconcile.ports import CORE, RINGFENCE, Kube, Raw, path

log = structlog.get_logger()


async def report(
    about: Agent | AgentPool | Connector | Quota | SecurityPolicy,
    status: AgentStatus | AgentPoolStatus | ConnectorStatus | QuotaStatus | SecurityPolicyStatus,
    *,
    kube: Kube,
    now: datetime,
) -> Raw:
    """Replace the status, tell of transitions, and return the object as stored.

    Raises ConflictError if the object changed since it was read, and NotFoundError if it is gone.
    """
    namespace, name = about.key
    meta = about.metadata
    body = {
        "apiVersion": labels.API_VERSION,
        "kind": about.kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": meta.uid,
            "resourceVersion": meta.resource_version,
        },
        "status": status.to_body(),
    }
    answer = await kube.replace(path(RINGFENCE, namespace, about.plural, name, "status"), body)
    for condition in transitions(about.status.conditions, status.conditions):
        unique = f"{random.getrandbits(64):016x}"
        try:
            await kube.create(path(CORE, namespace, "events"), build_event(about, condition, now=now, unique=unique))
        except KubeError as error:
            # The condition says it already, and trying again would tell it twice.
            log.warning("event.lost", reason=condition.reason, error=str(error))
    return answer
