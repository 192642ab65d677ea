"""Each field of a SecurityPolicy but the network's, changed; and who wins where the Agent says something, too."""

import pytest

from tests.e2e.kube import Body, address
from tests.e2e.world import World, condition, effective, is_current, message_of, reason_of


def test_a_read_only_root_by_policy_holds_at_basic(world: World) -> None:
    policy = world.policy(fileSystem={"readOnlyRoot": True})
    agent = world.agent(isolation="Basic", securityPolicyRef={"name": policy})
    before = agent.until_ready()
    closed = agent.pod.script("seat", ["/var/tmp", "/tmp"])["writing"]

    world.change_policy(policy, fileSystem=None)
    after = agent.until_pod_replaced(before)

    assert closed == {"/var/tmp": "EROFS", "/tmp": "written"}
    assert agent.pod.script("seat", ["/var/tmp"])["writing"] == {"/var/tmp": "written"}
    assert effective(before, "readOnlyRoot") == ("true", "SecurityPolicy")
    assert effective(after, "readOnlyRoot") == ("false", "Isolation")


def test_a_policy_cannot_make_the_root_writable_where_the_level_closes_it(world: World) -> None:
    policy = world.policy(fileSystem={"readOnlyRoot": False})

    agent = world.agent(isolation="Container", securityPolicyRef={"name": policy})

    found = agent.until_ready()
    assert agent.pod.script("seat", ["/var/tmp"])["writing"] == {"/var/tmp": "EROFS"}
    assert effective(found, "readOnlyRoot") == ("true", "Isolation")


def test_writable_paths_by_policy_are_the_ones_that_are_writable(world: World) -> None:
    policy = world.policy(fileSystem={"writablePaths": [{"path": "/data", "size": "32Mi"}]})
    agent = world.agent(securityPolicyRef={"name": policy})

    found = agent.until_ready()

    assert agent.pod.script("seat", ["/data", "/tmp", "/"])["writing"] == {
        "/data": "written",
        "/tmp": "EROFS",
        "/": "EROFS",
    }
    assert effective(found, "writablePaths") == ("/data=32Mi", "SecurityPolicy")


def test_a_writable_path_beyond_its_size_evicts_the_pod(world: World) -> None:
    policy = world.policy(fileSystem={"writablePaths": [{"path": "/data", "size": "8Mi"}]})
    agent = world.agent(
        securityPolicyRef={"name": policy}, command=["python3", "-c", "import signal\nwhile True: signal.pause()"]
    )
    before = agent.until_ready()

    agent.pod.script("fill", "/data/flood", 32)

    after = agent.until_pod_replaced(before, seconds=140)
    assert [each["reason"] for each in world.events_of(after["metadata"]["uid"])] == ["Evicted"]


@pytest.mark.parametrize(
    ("by_agent", "by_policy", "source"),
    [("4s", "1h", "Agent"), ("1h", "4s", "SecurityPolicy"), (None, "4s", "SecurityPolicy")],
)
def test_the_shorter_execution_time_wins(world: World, by_agent: str | None, by_policy: str, source: str) -> None:
    policy = world.policy(maxExecutionTime=by_policy)
    own: Body = {"maxExecutionTime": by_agent} if by_agent else {}

    agent = world.agent(securityPolicyRef={"name": policy}, **own)

    found = agent.until_reason("DeadlineExceeded")
    assert effective(found, "maxExecutionTime") == ("4s", source)
    assert source in message_of(found)


def test_a_runtime_class_by_policy_is_the_pods(world: World) -> None:
    name = f"e2e-{world.tag}"
    world.make({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": "runc"})
    policy = world.policy(runtimeClassName=name)

    agent = world.agent(securityPolicyRef={"name": policy})

    found = agent.until_ready()
    assert agent.pod.get()["spec"]["runtimeClassName"] == name
    assert effective(found, "runtimeClass") == (name, "SecurityPolicy")


def test_a_runtime_class_that_does_not_exist_says_so_and_the_agent_starts_once_it_is_there(world: World) -> None:
    name = f"late-{world.tag}"
    policy = world.policy(runtimeClassName=name)
    agent = world.agent(securityPolicyRef={"name": policy})

    found = agent.until_reason("RuntimeClassNotFound")
    without = world.kube.get(agent.pod.path)
    world.make({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": "runc"})

    agent.until_ready()
    assert without is None
    assert name in message_of(found)


def test_a_seccomp_profile_that_is_not_on_the_node_says_so(world: World) -> None:
    profile = {"type": "Localhost", "localhostProfile": f"{world.tag}.json"}
    policy = world.policy(seccompProfile=profile)

    agent = world.agent(securityPolicyRef={"name": policy})

    found = agent.until(lambda it: reason_of(it) in ("StartFailed", "ConfigNotFound"))
    assert f"{world.tag}.json" in message_of(found)
    assert effective(found, "seccompProfile") == (f"Localhost/{world.tag}.json", "SecurityPolicy")


def test_a_changed_policy_replaces_the_pod_where_its_pod_depends_on_it(world: World) -> None:
    policy = world.policy(maxExecutionTime="1h")
    agent = world.agent(securityPolicyRef={"name": policy})
    before = agent.until_ready()

    world.change_policy(policy, maxExecutionTime="2h")

    after = agent.until_pod_replaced(before)
    assert effective(after, "maxExecutionTime") == ("2h", "SecurityPolicy")


def test_a_policy_counts_its_agents_and_says_that_it_holds(world: World) -> None:
    name = world.policy()
    path = address("SecurityPolicy", world.namespace, name)
    agents = [world.agent(f"agent-{each}", securityPolicyRef={"name": name}, suspend=True) for each in range(3)]

    counted = world.kube.until(path, lambda it: bool(it and it["status"].get("agents") == 3))
    agents[0].delete()
    world.kube.until(path, lambda it: bool(it and it["status"].get("agents") == 2))

    ready = condition(counted, "Ready")
    assert is_current(counted)
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("True", "InForce")


def test_a_value_above_the_ceiling_is_cut_and_the_status_says_by_whom(world: World) -> None:
    agent = world.agent(resources={"limits": {"memory": "2Gi", "cpu": "300m"}, "requests": {"cpu": "10m"}})

    found = agent.until_ready()

    assert effective(found, "memory") == ("1Gi", "Ceiling")
    assert effective(found, "cpu") == ("300m", "Agent")
    assert effective(found, "ephemeral-storage") == ("1Gi", "Default")
    assert agent.pod.script("limits") == {"memory": 1 << 30, "millicores": 300}
