"""An Agent that the API server let pass and this operator cannot read: its CRD is another version's."""

from datetime import datetime
from typing import Any

import orjson
from pydantic import ValidationError

from ringfence_operator.api.agent import Agent, AgentSpec
from ringfence_operator.api.agent_status import AgentStatus
from ringfence_operator.api.conditions import ConditionType, Reason, remove_condition, set_condition
from ringfence_operator.api.metadata import Metadata
from ringfence_operator.errors import InvalidSpecError
from ringfence_operator.reconcile.ports import Kube
from ringfence_operator.reconcile.report import report
from ringfence_operator.reconcile.view import View
from ringfence_operator.resources.record import AgentRecord


async def report_unreadable(
    record: AgentRecord, error: InvalidSpecError, view: View, *, kube: Kube, now: datetime
) -> None:
    """Say in the agent's status what does not fit, once for each of its generations; its pod is left alone."""
    body = orjson.loads(record.body)
    if body["status"].get("observedGeneration") == record.generation:
        return
    metadata = Metadata.model_validate(body["metadata"])
    # What was counted stays: the next operator that can read the agent goes on from there.
    about = Agent(metadata=metadata, spec=AgentSpec(image="unknown"), status=_status(body["status"]))
    message = f"{error}; install the CRDs of this operator's version, or the operator of these CRDs'"
    # Both at once would read as on its way: kstatus goes by the first of them.
    conditions = remove_condition(about.status.conditions, ConditionType.RECONCILING)
    for kind, holds in ((ConditionType.READY, False), (ConditionType.STALLED, True)):
        conditions = set_condition(
            conditions, kind, holds, Reason.INVALID_SPEC, message, now=now, generation=record.generation
        )
    status = about.status.model_copy(update={"observed_generation": record.generation, "conditions": conditions})
    view.agents.store(await report(about, status, kube=kube, now=now))


def _status(body: dict[str, Any]) -> AgentStatus:
    try:
        return AgentStatus.model_validate(body)
    except ValidationError:
        return AgentStatus()
