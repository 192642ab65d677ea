"""`ringfence policy suggest`: the list that it writes lets through what was seen, and nothing else."""

from pathlib import Path

import yaml

from tests.e2e.cli.program import Program
from tests.e2e.egress.test_audit import seen
from tests.e2e.egress.test_changes import reached
from tests.e2e.kube import address
from tests.e2e.world import World


def test_a_suggested_policy_lets_through_what_was_seen_and_nothing_else(alone: World, kubeconfig: Path) -> None:
    policy = alone.policy(network={"mode": "Audit"})
    agent = alone.agent(securityPolicyRef={"name": policy})
    agent.until_ready()
    reached(agent, "api.test", "files.test")
    seen(alone, policy, observedDomains={("api.test", 443), ("files.test", 443)})

    ran = Program(kubeconfig, alone.namespace).run("policy", "suggest", agent.name)
    alone.kube.apply(yaml.safe_load(ran.out))
    alone.kube.until(
        address("SecurityPolicy", alone.namespace, policy),
        lambda it: bool(it and [e["generation"] for e in it["status"]["gateway"].get("replicas", ())] == [2, 2]),
        seconds=30,
    )

    answers = reached(agent, "api.test", "files.test", "web.example")
    assert answers == {"api.test": "203.0.113.11", "files.test": "203.0.113.12", "web.example": "gaierror"}
