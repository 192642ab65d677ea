"""Agents that ask of their pool for what no pod that runs can be given, and those that come back to it."""

from tests.e2e.pools.pools import Claimed, claimant, claimed, lines, pool
from tests.e2e.world import World, condition, effective, message_of


def test_a_workspace_is_had_by_a_cold_start_where_the_agent_says_so(world: World) -> None:
    of = pool(world, 1, env=[{"name": "GREETING", "value": "from the template"}])
    warm = of.pods()
    script = "echo $GREETING; echo kept > /workspace/file && cat /workspace/file"

    agent = claimant(world, of, script, onMiss="Cold", workspace={"size": "16Mi"})
    got = Claimed(agent, agent.until_ready())

    assigned = condition(got.body, "Assigned")
    assert assigned is not None
    assert (assigned["status"], assigned["reason"]) == ("True", "StartedCold")
    assert "workspace" in assigned["message"]
    assert got.pod.name == agent.name
    assert lines(got, 2) == ["from the template", "kept"]
    assert of.pods() == warm
    world.until_event(got.body["metadata"]["uid"], lambda event: event["reason"] == "StartedCold")


def test_a_task_starts_cold_beside_a_pool_of_services(world: World) -> None:
    of = pool(world, 1)
    warm = of.pods()

    agent = claimant(world, of, command=["true"], mode="Task", onMiss="Cold")
    agent.until_reason("Succeeded")

    assert of.pods() == warm


def test_an_agent_whose_isolation_no_warm_pod_has_starts_cold_with_it(world: World) -> None:
    of = pool(world, 1, isolation="Basic")

    agent = claimant(world, of, onMiss="Cold", isolation="Container")
    got = Claimed(agent, agent.until_ready())

    (container,) = got.pod.get()["spec"]["containers"]
    assert got.pod.name == agent.name
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert [value for value, _ in filter(None, [effective(got.body, "isolation")])] == ["Container"]


def test_a_cold_start_keeps_what_the_pools_policy_asks_of_a_pod(world: World) -> None:
    places = [{"path": "/work", "size": "1Mi"}]
    strict = world.policy("strict", fileSystem={"readOnlyRoot": True, "writablePaths": places})
    of = pool(world, 1, isolation="Basic", securityPolicyRef={"name": strict})
    script = "touch /work/file && echo written; touch /opt/file 2>/dev/null || echo kept out"

    agent = claimant(world, of, script, onMiss="Cold", isolation="Basic", workspace={"size": "16Mi"})
    got = Claimed(agent, agent.until_ready())

    assert got.pod.name == agent.name
    assert lines(got, 2) == ["written", "kept out"]


def test_a_suspended_agent_gives_its_pod_up_and_goes_on_in_a_fresh_one(world: World) -> None:
    of = pool(world, 1)
    got = claimed(world, of, "echo hello; touch /tmp/mine && ls /tmp")
    of.until_warm(1)

    got.agent.change(suspend=True)
    suspended = got.agent.until_reason("Suspended")
    got.pod.until_gone()
    warm = of.pods()
    got.agent.change(suspend=False)
    after = got.agent.until_ready()

    assert suspended["status"]["state"] == "Suspended"
    assert message_of(suspended).startswith("suspended")
    assert "podName" not in suspended["status"]
    assert got.body["status"]["podUID"] not in warm.values()
    assert warm.get(after["status"]["podName"]) == after["status"]["podUID"]
    assert lines(Claimed(got.agent, after), 2) == ["hello", "mine"]
