"""An agent's life: started, lost, brought back, suspended and ended."""

from datetime import datetime
from itertools import pairwise

from tests.e2e.kube import Body, address
from tests.e2e.world import NO_REGISTRY, World, condition, is_true, message_of, reason_of

QUICK = {"initialDelay": "1s", "maxDelay": "1s"}
DIARY = "echo start >> /workspace/diary; trap 'sleep 0.5; echo stop >> /workspace/diary; exit 0' TERM; "
DIARIST = ["sh", "-c", DIARY + "while :; do sleep 3600 & wait $!; done"]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


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
    before = agent.until_ready()

    agent.pod.delete()

    after = agent.until_pod_replaced(before)
    assert agent.pod.get()["metadata"]["uid"] == after["status"]["podUID"]


def test_a_pod_that_is_evicted_comes_back(world: World) -> None:
    agent = world.agent()
    before = agent.until_ready()
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": agent.name}}

    world.kube.request("POST", f"{agent.pod.path}/eviction", eviction)

    agent.until_pod_replaced(before)


def test_everything_of_a_deleted_agent_goes(world: World) -> None:
    ports = [{"name": "http", "port": 8080}]
    agent = world.agent(workspace={"size": "16Mi"}, ports=ports)
    claim = agent.until_ready()["status"]["workspaceClaim"]

    agent.delete()

    agent.until_gone()
    for kind, name in (("Pod", agent.name), ("Service", agent.name), ("PersistentVolumeClaim", claim)):
        world.kube.until(address(kind, agent.namespace, name), lambda it: it is None, seconds=60)


def test_a_task_runs_to_completion(world: World) -> None:
    agent = world.agent(mode="Task", command=["python3", "-c", "print(6 * 7)"])

    found = agent.until_reason("Succeeded")

    assert found["status"]["state"] == "Succeeded"
    assert found["status"]["lastExit"]["code"] == 0
    assert "42" in agent.pod.logs()
    assert is_true(found, "Ready")
    assert is_true(found, "Complete")


def test_a_task_is_tried_again_until_it_succeeds(world: World) -> None:
    twice = "test -f /workspace/tried && exit 0; touch /workspace/tried; exit 3"
    agent = world.agent(mode="Task", command=["sh", "-c", twice], workspace={"size": "16Mi"}, backoff=QUICK)

    found = agent.until_reason("Succeeded")

    assert found["status"]["failures"] == 1
    assert found["status"]["restarts"] == 1
    assert found["status"]["lastExit"]["code"] == 0


def test_a_task_that_keeps_failing_is_given_up(world: World) -> None:
    backoff = {"limit": 2, "initialDelay": "2s", "maxDelay": "4s"}
    starts = "date +%s.%N >> /workspace/starts; exit 3"
    agent = world.agent(
        mode="Task",
        command=["sh", "-c", starts],
        workspace={"size": "16Mi", "reclaimPolicy": "Retain"},
        backoff=backoff,
    )

    found = agent.until_reason("BackoffLimitExceeded", seconds=120)

    assert found["status"]["state"] == "Failed"
    assert found["status"]["failures"] == 3
    assert found["status"]["lastExit"]["code"] == 3
    assert is_true(found, "Stalled")
    assert "3" in message_of(found)
    first, second = (later - earlier for earlier, later in pairwise(_starts(world, found)))
    assert first >= 2
    assert second >= 4


def _starts(world: World, agent: Body) -> list[float]:
    """Read back, by another agent, what a task left in its workspace; delete the claim then."""
    claim = agent["status"]["workspaceClaim"]
    world.kube.delete(address("Agent", agent["metadata"]["namespace"], agent["metadata"]["name"]))
    world.kube.until(address("Pod", agent["metadata"]["namespace"], agent["metadata"]["name"]), lambda it: it is None)
    reader = world.agent("reader", workspace={"claimName": claim})
    reader.until_ready()
    lines = reader.pod.output("cat", "/workspace/starts").split()
    world.kube.delete(address("PersistentVolumeClaim", reader.namespace, claim))
    return [float(line) for line in lines]


def test_a_service_whose_command_ends_is_started_again(world: World) -> None:
    agent = world.agent(command=["sh", "-c", "exit 4"])

    found = agent.until(lambda it: it is not None and reason_of(it) == "Crashed" and it["status"]["restarts"] >= 1)

    assert found["status"]["state"] == "Restarting"
    assert found["status"]["lastExit"]["code"] == 4
    assert "4" in message_of(found)


def test_a_suspended_agent_has_no_pod_and_keeps_its_workspace(world: World) -> None:
    agent = world.agent(workspace={"size": "16Mi"})
    agent.until_ready()
    agent.pod.output("sh", "-c", "echo kept > /workspace/memory")

    agent.change(suspend=True)
    suspended = agent.until_reason("Suspended")
    gone = world.kube.get(agent.pod.path)
    agent.change(suspend=False)
    agent.until_ready()

    assert gone is None
    assert suspended["status"]["state"] == "Suspended"
    assert is_true(suspended, "Suspended")
    assert condition(suspended, "Ready") is None
    assert agent.pod.output("cat", "/workspace/memory") == "kept\n"


def test_an_agent_created_suspended_gets_no_pod(world: World) -> None:
    agent = world.agent(suspend=True)

    agent.until_reason("Suspended")

    assert world.kube.get(agent.pod.path) is None


def test_an_agent_past_its_execution_time_is_stopped(world: World) -> None:
    agent = world.agent(maxExecutionTime="3s")

    found = agent.until_reason("DeadlineExceeded")

    assert found["status"]["state"] == "Failed"
    assert is_true(found, "Stalled")
    ran = moment(found["status"]["finishedAt"]) - moment(found["status"]["startedAt"])
    assert 2 <= ran.total_seconds() <= 60
    world.kube.until(agent.pod.path, lambda it: it is None or it["status"]["phase"] == "Failed")


def test_execution_time_counts_over_all_pods(world: World) -> None:
    agent = world.agent(maxExecutionTime="10m")
    before = agent.until_ready()
    first = agent.pod.get()["spec"]["activeDeadlineSeconds"]
    # The kubelet's clock has whole seconds.
    agent.pod.output("sleep", "2.1")

    agent.pod.delete()
    after = agent.until_pod_replaced(before)

    second = agent.pod.get()["spec"]["activeDeadlineSeconds"]
    assert first == 600
    assert 300 < second <= 598
    assert after["status"]["startedAt"] == before["status"]["startedAt"]


def test_a_task_killed_for_its_memory_says_so(world: World) -> None:
    hog = "hog = []\nwhile True: hog.append(bytearray(8 * 2**20))"
    resources = {"limits": {"memory": "48Mi"}, "requests": {"cpu": "10m"}}
    agent = world.agent(mode="Task", command=["python3", "-c", hog], resources=resources, restartPolicy="Never")

    found = agent.until(lambda it: it is not None and it["status"].get("state") == "Failed")

    assert found["status"]["lastExit"]["oomKilled"] is True
    assert "memory" in message_of(found)


def test_an_image_that_does_not_exist_says_so(world: World) -> None:
    agent = world.agent(image=f"{NO_REGISTRY}/no-such-image:1")

    found = agent.until_reason("ImageNotFound")

    assert found["status"]["state"] == "Pending"
    assert "no-such-image" in message_of(found)


def test_a_missing_secret_says_so_and_starts_once_it_is_there(world: World) -> None:
    name = f"late-{world.tag}"
    agent = world.agent(env=[{"name": "WORD", "valueFrom": {"secretKeyRef": {"name": name, "key": "key"}}}])

    found = agent.until_reason("ConfigNotFound")
    world.named("Secret", "late", stringData={"key": "here"})

    agent.until_ready()
    assert name in message_of(found)


def test_a_missing_config_map_of_files_says_so_and_starts_once_it_is_there(world: World) -> None:
    name = f"late-{world.tag}"
    agent = world.agent(files=[{"path": "/late", "configMap": {"name": name}}])

    found = agent.until_reason("ConfigNotFound")
    world.named("ConfigMap", "late", data={"key": "here"})

    # The kubelet tries a mount again after at most two minutes; a new pod mounts at once.
    agent.pod.delete()
    agent.until_ready()
    assert name in message_of(found)


def test_a_command_that_does_not_exist_says_so(world: World) -> None:
    agent = world.agent(command=["/no/such/command"])

    found = agent.until_reason("StartFailed")

    assert "/no/such/command" in message_of(found)


def test_a_task_whose_command_does_not_exist_says_so(world: World) -> None:
    agent = world.agent(command=["/no/such/command"], mode="Task", backoff={"limit": 0})

    found = agent.until(lambda it: it is not None and it["status"].get("state") == "Failed")

    assert "/no/such/command" in message_of(found)


def test_a_quota_refuses_the_pod_and_the_agent_starts_once_there_is_room(world: World) -> None:
    namespace = world.new_namespace("quota")
    world.named("ResourceQuota", "few", namespace=namespace, spec={"hard": {"pods": "1"}})
    world.kube.until(
        address("ResourceQuota", namespace, f"few-{world.tag}"),
        lambda it: bool((it or {}).get("status", {}).get("hard")),
    )
    first = world.agent("first", namespace=namespace)
    first.until_ready()

    second = world.agent("second", namespace=namespace)
    found = second.until_reason("QuotaExceeded")
    first.delete()

    second.until_ready()
    assert f"few-{world.tag}" in message_of(found)


def test_an_admission_check_that_refuses_the_pod_is_quoted(world: World) -> None:
    namespace = world.new_namespace("limits")
    world.named(
        "LimitRange", "small", namespace=namespace, spec={"limits": [{"type": "Container", "max": {"memory": "64Mi"}}]}
    )

    agent = world.agent(namespace=namespace)

    found = agent.until_reason("AdmissionRefused")
    assert "64Mi" in message_of(found)


def test_an_agent_that_no_node_can_take_says_so(world: World) -> None:
    agent = world.agent(resources={"requests": {"cpu": "500"}, "limits": {"cpu": "500"}})

    found = agent.until_reason("Unschedulable")

    assert "cpu" in message_of(found)
    assert found["status"]["state"] == "Pending"


def test_a_name_that_is_taken_waits_until_it_is_free(world: World) -> None:
    stranger = world.pod("agent")

    agent = world.agent("agent")
    agent.until_reason("NameTaken")
    still = stranger.get()["metadata"]
    stranger.delete()

    agent.until_ready()
    assert "deletionTimestamp" not in still


def test_a_missing_policy_says_so_and_the_agent_starts_once_it_is_there(world: World) -> None:
    agent = world.agent(securityPolicyRef={"name": f"late-{world.tag}"})

    found = agent.until_reason("PolicyNotFound")
    without = world.kube.get(agent.pod.path)
    world.policy("late")

    agent.until_ready()
    assert without is None
    assert f"late-{world.tag}" in message_of(found)


def test_a_changed_spec_replaces_the_pod_and_two_never_share_the_workspace(world: World) -> None:
    agent = world.agent(command=DIARIST, workspace={"size": "16Mi"})
    before = agent.until_ready()

    agent.change(env=[{"name": "EDITION", "value": "second"}])

    agent.until_pod_replaced(before)
    assert agent.pod.output("cat", "/workspace/diary").split() == ["start", "stop", "start"]
    assert agent.pod.output("printenv", "EDITION") == "second\n"


def test_a_changed_spec_starts_a_finished_task_again(world: World) -> None:
    agent = world.agent(mode="Task", command=["sh", "-c", "exit 0"])
    before = agent.until_reason("Succeeded")

    agent.change(command=["sh", "-c", "exit 5"], restartPolicy="Never")

    after = agent.until_reason("Failed")
    assert after["status"]["lastExit"]["code"] == 5
    assert moment(after["status"]["finishedAt"]) >= moment(before["status"]["finishedAt"])


def test_an_agents_pod_goes_to_another_node_when_its_node_is_gone(world: World) -> None:
    lost, other = _fake_node(world, "lost"), _fake_node(world, "other", unschedulable=True)
    agent = world.agent(nodeSelector={"ringfence-e2e": world.tag}, tolerations=[{"operator": "Exists"}])
    before = world.kube.until(agent.pod.path, lambda it: bool(it and it["spec"].get("nodeName")))
    assert before is not None

    world.kube.merge(address("Node", name=other), {"spec": {"unschedulable": None}})
    world.kube.delete(address("Node", name=lost))

    world.kube.until(agent.pod.path, lambda it: bool(it and it["spec"].get("nodeName") == other))
    agent.pod.delete(gracePeriodSeconds=0)


def _fake_node(world: World, name: str, *, unschedulable: bool = False) -> str:
    """Make a node that the scheduler believes in, and that has no kubelet."""
    capacity = {"cpu": "4", "memory": "8Gi", "ephemeral-storage": "64Gi", "pods": "10"}
    body = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"{name}-{world.tag}", "labels": {"ringfence-e2e": world.tag}},
        "spec": {
            "unschedulable": unschedulable,
            "taints": [{"key": "ringfence-e2e", "value": "fake", "effect": "NoSchedule"}],
        },
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Test", "message": ""}],
        },
    }
    return str(world.make(body)["metadata"]["name"])


def test_a_finished_agent_goes_when_its_time_is_over(world: World) -> None:
    kept = world.agent("kept", mode="Task", command=["true"])
    short = world.agent("short", mode="Task", command=["true"], ttlAfterFinished="0s")

    short.until_gone()

    kept.until_reason("Succeeded")
