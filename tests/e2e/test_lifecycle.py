"""An agent's life: started, lost, brought back, and ended."""

from tests.e2e.world import World, condition, is_true


def test_an_agent_becomes_a_running_pod(world: World) -> None:
    agent = world.agent()

    found = agent.until_ready()

    pod = agent.pod.get()
    assert found["status"]["state"] == "Running"
    assert found["status"]["podName"] == agent.name
    assert found["status"]["podUID"] == pod["metadata"]["uid"]
    assert found["status"]["nodeName"] == pod["spec"]["nodeName"]
    assert is_true(found, "Assigned")
    assert is_true(found, "Enforced")
    assert condition(found, "Reconciling") is None
    assert condition(found, "Stalled") is None


def test_a_pod_deleted_by_hand_comes_back(world: World) -> None:
    agent = world.agent()
    first = agent.until_ready()["status"]["podUID"]

    agent.pod.delete()

    agent.until(lambda found: is_true(found, "Ready") and found is not None and found["status"]["podUID"] != first)
    assert agent.pod.get()["metadata"]["uid"] != first


def test_a_task_runs_to_completion(world: World) -> None:
    agent = world.agent(mode="Task", command=["python3", "-c", "print(6 * 7)"])

    found = agent.until_reason("Succeeded")

    assert found["status"]["state"] == "Succeeded"
    assert found["status"]["lastExit"]["code"] == 0
    assert is_true(found, "Ready")
    assert is_true(found, "Complete")
