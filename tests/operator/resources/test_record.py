from typing import Any

import pytest

from ringfence_operator.api.agent import Agent
from ringfence_operator.errors import InvalidSpecError
from ringfence_operator.resources.record import AgentRecord
from ringfence_operator.resources.volumes import claim_name
from tests.operator.resources.objects import agent_body


@pytest.mark.parametrize(
    "spec",
    [{}, {"workspace": {"size": "1Gi"}}, {"workspace": {"claimName": "kept"}}, {"securityPolicyRef": {"name": "p"}}],
)
def test_a_record_gives_the_same_agent_back_and_knows_what_others_look_for(spec: dict[str, Any]) -> None:
    body = agent_body(status={"state": "Running", "failures": 2}, **spec)
    body["metadata"]["managedFields"] = [{"manager": "kubectl"}]

    record = AgentRecord.of(body)

    agent = record.parse()
    assert agent == Agent.from_body(body)
    assert record.claim == (claim_name(agent) or "")
    assert record.policy == (agent.spec.security_policy_ref.name if agent.spec.security_policy_ref else "")
    assert (record.namespace, record.name, record.generation, record.state) == ("team", "a", 1, "Running")
    assert b"managedFields" not in record.body


def test_an_agent_that_nobody_has_looked_at_is_pending() -> None:
    assert AgentRecord.of(agent_body()).state == "Pending"


def test_an_agent_that_does_not_fit_is_kept_and_fails_when_it_is_read() -> None:
    record = AgentRecord.of(agent_body(mode="Daemon"))

    with pytest.raises(InvalidSpecError, match=r"spec\.mode"):
        record.parse()
