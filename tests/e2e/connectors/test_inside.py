"""What an agent's sidecar finds when it looks at the pod's network from inside."""

import json

from tests.e2e.connectors.backend import reason, using, usual
from tests.e2e.world import AgentHandle, World

OPEN = {"podSelector": {"matchLabels": {"app": "mine"}}, "policyTypes": ["Egress"], "egress": [{}]}


def found(agent: AgentHandle) -> list[tuple[bool, bool | None]]:
    """Return what the sidecar has found, one after the other: whether the pod is closed, and its way out open."""
    lines = [json.loads(line) for line in agent.kube.log(agent.pod.path, "sidecar").splitlines() if '"closed"' in line]
    return [(line["closed"], line["way_out"]) for line in lines]


def test_an_agent_is_ready_once_its_sidecar_has_found_the_pod_closed_and_its_way_out_open(world: World) -> None:
    policy = world.policy(network={"allowedDomains": [{"name": "api.test"}]})
    agent = using(world, usual(world), securityPolicyRef={"name": policy})

    ready = agent.until_ready()

    assert reason(ready, "Enforced") == ("True", "InForce")
    assert found(agent)[-1] == (True, True)


def test_a_sidecar_finds_out_that_somebody_else_has_opened_its_pod(alone: World) -> None:
    with World(alone.kube, alone.new_namespace("opened")) as world:
        # Before the first agent: later, the API server would refuse it.
        world.named("NetworkPolicy", "open", api="networking.k8s.io/v1", spec=OPEN)
        agent = using(world, usual(world), podMetadata={"labels": {"app": "mine"}})

        agent.until(lambda _: agent.kube.get(agent.pod.path) is not None and bool(found(agent)))

        assert found(agent)[0] == (False, None)
