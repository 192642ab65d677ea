"""What happens while a part is away: nothing opens, and what was in force stays."""

from tests.e2e.egress.test_changes import BOTH, reached, until_in_force, until_reached
from tests.e2e.installation import DEPLOYMENTS, GATEWAY, OPERATOR, Installation, is_rolled_out
from tests.e2e.kube import address
from tests.e2e.world import World, is_pod_ready


def scale(world: World, name: str, replicas: int) -> None:
    """Have so many replicas of a Deployment, and wait until it is so."""
    path = DEPLOYMENTS[name]
    world.kube.merge(path, {"spec": {"replicas": replicas}})
    if replicas:
        world.kube.until(path, is_rolled_out, seconds=120)
        return
    for pod in world.kube.items(address("Pod", "ringfence-system"), labelSelector=f"app.kubernetes.io/name={name}"):
        world.kube.until(address("Pod", "ringfence-system", pod["metadata"]["name"]), lambda it: it is None, seconds=90)


def test_without_the_operator_the_gateway_goes_on_and_a_new_one_serves_nothing(
    alone: World, installed: Installation
) -> None:
    policy = alone.policy(network=BOTH)
    agent = alone.agent(securityPolicyRef={"name": policy})
    agent.until_ready()
    until_in_force(alone, policy)

    scale(alone, OPERATOR, 0)
    try:
        kept = reached(agent, "api.test")
        for pod in installed.pods(GATEWAY):
            pod.delete(gracePeriodSeconds=0)
        alone.kube.until(
            DEPLOYMENTS[GATEWAY], lambda it: bool(it and not it["status"].get("readyReplicas")), seconds=30
        )
        new = reached(agent, "api.test")
        ready = [pod for pod in installed.pods(GATEWAY) if is_pod_ready(pod.get())]
    finally:
        scale(alone, OPERATOR, 2)

    assert kept == {"api.test": "203.0.113.11"}
    assert new["api.test"] != "203.0.113.11"
    assert ready == []
    until_reached(agent, "api.test", "203.0.113.11", seconds=90)


def test_without_a_gateway_nothing_leaves_and_agents_say_so(alone: World) -> None:
    policy = alone.policy(network=BOTH)
    agent = alone.agent(securityPolicyRef={"name": policy})
    agent.until_ready()

    scale(alone, GATEWAY, 0)
    try:
        answers = reached(agent, "api.test")
        agent.until_reason("GatewayUnavailable", seconds=60)
    finally:
        scale(alone, GATEWAY, 2)

    assert answers["api.test"] != "203.0.113.11"
    agent.until_ready(seconds=60)
    assert reached(agent, "api.test") == {"api.test": "203.0.113.11"}


def test_a_restarted_operator_changes_nothing(alone: World, installed: Installation) -> None:
    policy = alone.policy(network=BOTH)
    agent = alone.agent(securityPolicyRef={"name": policy})
    before = agent.until_ready()
    until_in_force(alone, policy)

    scale(alone, OPERATOR, 0)
    scale(alone, OPERATOR, 2)
    alone.agent("later", securityPolicyRef={"name": policy}).until_ready()

    assert agent.get()["status"]["podUID"] == before["status"]["podUID"]
    assert agent.get()["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert reached(agent, "api.test") == {"api.test": "203.0.113.11"}
