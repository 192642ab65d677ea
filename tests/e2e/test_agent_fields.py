"""Each field of an Agent, changed: the table says what is seen of the field before and after."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.doors import LISTENING
from tests.e2e.kube import Body, address
from tests.e2e.world import NO_REGISTRY, SMALL, AgentHandle, World, condition, message_of, reason_of

Observe = Callable[[AgentHandle], object]


@dataclass(frozen=True, slots=True)
class Change:
    """A spec, what is seen of it, the change to it, and what is seen then."""

    name: str
    before: dict[str, Any]
    after: dict[str, Any]
    observe: Observe
    was: object
    becomes: object


def printed(*argv: str) -> Observe:
    return lambda agent: agent.pod.output(*argv).strip()


def on_pod(*path: str) -> Observe:
    def observe(agent: AgentHandle) -> object:
        found: Any = agent.pod.get()
        for key in path:
            found = found.get(key)
        return found

    return observe


def limit(name: str) -> Observe:
    return lambda agent: agent.pod.script("limits")[name]


def fills(path: str) -> Observe:
    """Whether 32 MiB fit into a file at `path`."""
    return lambda agent: agent.pod.script("fill", path, 32)["error"] or "fits"


def writes(path: str) -> Observe:
    return lambda agent: agent.pod.script("seat", [path])["writing"][path]


def resources(**limits: str) -> dict[str, Any]:
    return {"resources": {**SMALL, "limits": {name.replace("_", "-"): value for name, value in limits.items()}}}


PATIENT = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"
ARGUMENTS = printed("sh", "-c", "tr '\\0' '|' < /proc/1/cmdline")
CHANGES = [
    Change(
        "command",
        {"command": ["sh", "-c", PATIENT]},
        {"command": ["sh", "-e", "-c", PATIENT]},
        ARGUMENTS,
        f"sh|-c|{PATIENT}|",
        f"sh|-e|-c|{PATIENT}|",
    ),
    Change(
        "args",
        {"command": ["sh"], "args": ["-c", PATIENT, "one"]},
        {"args": ["-c", PATIENT, "two"]},
        ARGUMENTS,
        f"sh|-c|{PATIENT}|one|",
        f"sh|-c|{PATIENT}|two|",
    ),
    Change(
        "workingDir", {"workingDir": "/usr"}, {"workingDir": "/etc"}, printed("readlink", "/proc/1/cwd"), "/usr", "/etc"
    ),
    Change(
        "env",
        {"env": [{"name": "WORD", "value": "one"}]},
        {"env": [{"name": "WORD", "value": "two"}]},
        printed("printenv", "WORD"),
        "one",
        "two",
    ),
    Change(
        "files",
        {"files": [{"path": "/inputs/word", "content": "one"}]},
        {"files": [{"path": "/inputs/word", "content": "two"}]},
        printed("cat", "/inputs/word"),
        "one",
        "two",
    ),
    Change("limits.memory", resources(memory="64Mi"), resources(memory="96Mi"), limit("memory"), 64 << 20, 96 << 20),
    Change("limits.cpu", resources(cpu="200m"), resources(cpu="500m"), limit("millicores"), 200, 500),
    Change("isolation", {"isolation": "Basic"}, {"isolation": "Container"}, writes("/var/tmp"), "written", "EROFS"),
    Change(
        "workspace.mountPath",
        {"workspace": {"size": "16Mi"}},
        {"workspace": {"size": "16Mi", "mountPath": "/work"}},
        printed("sh", "-c", "grep -c ' /work ' /proc/mounts || true"),
        "0",
        "1",
    ),
    Change(
        "podMetadata.labels",
        {"podMetadata": {"labels": {"team": "one"}}},
        {"podMetadata": {"labels": {"team": "two"}}},
        on_pod("metadata", "labels", "team"),
        "one",
        "two",
    ),
    Change(
        "podMetadata.annotations",
        {"podMetadata": {"annotations": {"example.com/note": "one"}}},
        {"podMetadata": {"annotations": {"example.com/note": "two"}}},
        on_pod("metadata", "annotations", "example.com/note"),
        "one",
        "two",
    ),
    Change(
        "imagePullSecrets",
        {"imagePullSecrets": [{"name": "one"}]},
        {"imagePullSecrets": [{"name": "two"}]},
        on_pod("spec", "imagePullSecrets"),
        [{"name": "one"}],
        [{"name": "two"}],
    ),
    Change(
        "restartPolicy",
        {"restartPolicy": "Always"},
        {"restartPolicy": "OnFailure"},
        on_pod("spec", "restartPolicy"),
        "Always",
        "OnFailure",
    ),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_changing_the_field_changes_the_pod(world: World, change: Change) -> None:
    agent = world.agent(**change.before)
    before = agent.until_ready()
    was = change.observe(agent)

    agent.change(**change.after)
    agent.until_pod_replaced(before)
    becomes = change.observe(agent)

    assert (was, becomes) == (change.was, change.becomes)


def test_changing_the_image_changes_what_is_pulled(world: World) -> None:
    agent = world.agent()
    before = agent.until_ready()

    agent.change(image=f"{NO_REGISTRY}/no-such-image:2")
    broken = agent.until_reason("ImageNotFound")
    agent.change(image=before["spec"]["image"])

    agent.until_pod_replaced(before)
    assert "no-such-image:2" in message_of(broken)


def test_a_bigger_workspace_holds_more(world: World) -> None:
    small, large = (
        world.agent("small", workspace={"size": "16Mi"}),
        world.agent("large", workspace={"size": "64Mi"}),
    )
    small.until_ready()
    large.until_ready()

    outcomes = [fills("/workspace/flood")(agent) for agent in (small, large)]

    assert outcomes == ["ENOSPC", "fits"]


def test_env_from_takes_every_key_and_puts_its_prefix_before(world: World) -> None:
    data = world.named("ConfigMap", "data", data={"ONE": "1"})["metadata"]["name"]
    secret = world.named("Secret", "secret", stringData={"TWO": "2"})["metadata"]["name"]
    sources = [{"configMapRef": {"name": data}}, {"secretRef": {"name": secret}, "prefix": "MY_"}]

    agent = world.agent(envFrom=sources)

    agent.until_ready()
    assert agent.pod.output("printenv", "ONE", "MY_TWO").split() == ["1", "2"]


def test_a_variable_takes_its_value_from_a_config_map(world: World) -> None:
    data = world.named("ConfigMap", "data", data={"one": "1"})["metadata"]["name"]

    agent = world.agent(env=[{"name": "ONE", "valueFrom": {"configMapKeyRef": {"name": data, "key": "one"}}}])

    agent.until_ready()
    assert agent.pod.output("printenv", "ONE") == "1\n"


def test_a_storage_class_that_does_not_exist_keeps_the_agent_waiting(world: World) -> None:
    agent = world.agent(workspace={"size": "16Mi", "storageClassName": "no-such-class"})

    found = agent.until_reason("Unschedulable")

    assert "PersistentVolumeClaim" in message_of(found)


def test_a_workspace_goes_with_its_agent_or_stays_as_asked(world: World) -> None:
    gone = world.agent("gone", workspace={"size": "16Mi"})
    kept = world.agent("kept", workspace={"size": "16Mi", "reclaimPolicy": "Retain"})
    claims = [agent.until_ready()["status"]["workspaceClaim"] for agent in (gone, kept)]

    for agent in (gone, kept):
        agent.delete()
        world.kube.until(agent.pod.path, lambda it: it is None)

    paths = [address("PersistentVolumeClaim", world.namespace, claim) for claim in claims]
    world.kube.until(paths[0], lambda it: it is None)
    assert world.kube.get(paths[1]) is not None
    world.kube.delete(paths[1])


def test_changing_the_reclaim_policy_holds_for_the_claim_that_is_there(world: World) -> None:
    agent = world.agent(workspace={"size": "16Mi"})
    claim = agent.until_ready()["status"]["workspaceClaim"]
    path = address("PersistentVolumeClaim", world.namespace, claim)

    agent.change(workspace={"reclaimPolicy": "Retain"})

    world.kube.until(path, lambda it: bool(it and not it["metadata"].get("ownerReferences")))
    agent.delete()
    world.kube.until(agent.pod.path, lambda it: it is None)
    assert "deletionTimestamp" not in (world.kube.get(path) or {})["metadata"]
    world.kube.delete(path)


def test_a_retained_workspace_is_adopted_only_by_name(world: World) -> None:
    first = world.agent("keeper", workspace={"size": "16Mi", "reclaimPolicy": "Retain"})
    claim = first.until_ready()["status"]["workspaceClaim"]
    first.pod.output("sh", "-c", "echo kept > /workspace/memory")
    first.delete()
    world.kube.until(first.pod.path, lambda it: it is None)

    namesake = world.agent("keeper", workspace={"size": "16Mi"})
    refused = namesake.until_reason("WorkspaceExists")
    namesake.delete()
    heir = world.agent("heir", workspace={"claimName": claim})

    heir.until_ready()
    assert claim in message_of(refused)
    assert heir.pod.output("cat", "/workspace/memory") == "kept\n"
    heir.delete()
    world.kube.until(heir.pod.path, lambda it: it is None)
    path = address("PersistentVolumeClaim", world.namespace, claim)
    assert world.kube.get(path) is not None
    world.kube.delete(path)


def test_two_agents_never_use_one_workspace(world: World) -> None:
    first = world.agent("first", workspace={"size": "16Mi", "reclaimPolicy": "Retain"})
    claim = first.until_ready()["status"]["workspaceClaim"]

    second = world.agent("second", workspace={"claimName": claim})
    found = second.until_reason("WorkspaceInUse")
    without = world.kube.get(second.pod.path)
    first.delete()

    second.until_ready()
    assert without is None
    assert first.name in message_of(found)
    world.kube.delete(address("PersistentVolumeClaim", world.namespace, claim))


@pytest.mark.parametrize(
    ("policy", "code", "reason"), [("OnFailure", 0, "Succeeded"), ("Never", 0, "Succeeded"), ("Never", 7, "Failed")]
)
def test_a_services_restart_policy_decides_whether_it_ends(world: World, policy: str, code: int, reason: str) -> None:
    agent = world.agent(command=["sh", "-c", f"exit {code}"], restartPolicy=policy)

    found = agent.until_reason(reason)

    assert found["status"]["lastExit"]["code"] == code
    assert found["status"]["restarts"] in (0, 1)


def test_the_backoff_limit_is_how_often_a_task_is_tried_again(world: World) -> None:
    never = world.agent("never", mode="Task", command=["false"], backoff={"limit": 0})
    once = world.agent(
        "once", mode="Task", command=["false"], backoff={"limit": 1, "initialDelay": "1s", "maxDelay": "1s"}
    )

    failures = [agent.until_reason("BackoffLimitExceeded")["status"]["failures"] for agent in (never, once)]

    assert failures == [1, 2]


def test_a_task_whose_restart_policy_is_never_fails_at_once(world: World) -> None:
    agent = world.agent(mode="Task", command=["sh", "-c", "exit 9"], restartPolicy="Never")

    found = agent.until_reason("Failed")

    assert found["status"]["failures"] == 1
    assert "9" in message_of(found)


def test_a_service_may_end_in_time_and_a_task_may_too(world: World) -> None:
    task = world.agent("task", mode="Task", maxExecutionTime="4s")
    free = world.agent("free")

    task.until_reason("DeadlineExceeded")

    free.until_ready()
    assert "activeDeadlineSeconds" not in free.pod.get()["spec"]


def test_a_longer_execution_time_holds_for_the_next_run(world: World) -> None:
    agent = world.agent(maxExecutionTime="3s")
    agent.until_reason("DeadlineExceeded")

    agent.change(maxExecutionTime="1h")

    agent.until_ready()


def test_an_agent_stays_for_its_time_after_the_end(world: World) -> None:
    agent = world.agent(mode="Task", command=["true"], ttlAfterFinished="6s")

    agent.until_reason("Succeeded")
    agent.until(lambda it: it is not None, seconds=1)

    agent.until_gone(seconds=30)


def test_a_node_selector_keeps_the_agent_to_nodes_that_match(world: World) -> None:
    agent = world.agent(nodeSelector={"no-such-label": "x"})
    found = agent.until_reason("Unschedulable")

    agent.change(nodeSelector={"no-such-label": None, "kubernetes.io/os": "linux"})

    agent.until_ready()
    assert "node" in message_of(found)


def test_a_toleration_lets_the_agent_onto_a_tainted_node(world: World) -> None:
    node: Body = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"tainted-{world.tag}", "labels": {"ringfence-e2e": world.tag}},
        "spec": {"taints": [{"key": "ringfence-e2e", "value": "fake", "effect": "NoSchedule"}]},
        "status": {
            "capacity": {"cpu": "4", "memory": "8Gi", "ephemeral-storage": "64Gi", "pods": "10"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Test", "message": ""}],
        },
    }
    world.make(node)
    agent = world.agent(nodeSelector={"ringfence-e2e": world.tag})
    found = agent.until_reason("Unschedulable")

    agent.change(tolerations=[{"key": "ringfence-e2e", "value": "fake", "effect": "NoSchedule"}])

    world.kube.until(agent.pod.path, lambda it: bool(it and it["spec"].get("nodeName") == node["metadata"]["name"]))
    agent.pod.delete(gracePeriodSeconds=0)
    assert "taint" in message_of(found)


def test_a_priority_class_gives_the_pod_its_priority(world: World) -> None:
    name = f"e2e-{world.tag}"
    world.make(
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name},
            "value": 1234,
            "preemptionPolicy": "Never",
        }
    )
    plain, preferred = world.agent("plain"), world.agent("preferred", priorityClassName=name)
    plain.until_ready()
    preferred.until_ready()

    priorities = [agent.pod.get()["spec"]["priority"] for agent in (plain, preferred)]

    assert priorities == [0, 1234]


def test_a_priority_class_that_does_not_exist_says_so(world: World) -> None:
    agent = world.agent(priorityClassName="no-such-class")

    found = agent.until(lambda it: reason_of(it) in ("AdmissionRefused", "PodInvalid"))

    assert "no-such-class" in message_of(found)


def test_a_readiness_probe_decides_when_the_agent_is_ready(world: World) -> None:
    check = {"exec": {"command": ["test", "-f", "/tmp/ready"]}, "periodSeconds": 1}
    agent = world.agent(probes={"readiness": check})
    agent.until_reason("NotReady")

    agent.pod.output("touch", "/tmp/ready")
    agent.until_ready()
    agent.pod.output("rm", "/tmp/ready")

    agent.until_reason("NotReady")


def test_an_http_probe_asks_for_its_path(world: World) -> None:
    check = {"httpGet": {"path": "/missing", "port": 8080}, "periodSeconds": 1, "timeoutSeconds": 5}
    agent = world.agent(command=LISTENING, probes={"readiness": check})
    agent.until_reason("NotReady")

    agent.change(probes={"readiness": {"httpGet": {"path": "/"}}})

    agent.until_ready()


def test_a_liveness_probe_restarts_the_agent(world: World) -> None:
    check = {"exec": {"command": ["test", "!", "-f", "/tmp/sick"]}, "periodSeconds": 1, "failureThreshold": 1}
    recovering = ["sh", "-c", "rm -f /tmp/sick; " + PATIENT]
    agent = world.agent(probes={"liveness": {**check, "timeoutSeconds": 30}}, command=recovering)
    agent.until_ready()

    agent.pod.exec("touch", "/tmp/sick")

    agent.until(lambda it: bool(it and it["status"]["restarts"] == 1 and reason_of(it) == "Running"))


def test_a_startup_probe_restarts_an_agent_that_does_not_come_up(world: World) -> None:
    check = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 2}

    agent = world.agent(probes={"startup": check})

    agent.until(lambda it: bool(it and it["status"].get("restarts", 0) >= 1))


def test_isolation_none_is_refused_unless_the_operator_allows_it(world: World) -> None:
    agent = world.agent(isolation="None")

    found = agent.until_reason("IsolationNotAllowed")

    assert world.kube.get(agent.pod.path) is None
    assert condition(found, "Stalled") is not None
    assert "Basic" in message_of(found)


def test_a_label_under_our_domain_on_the_agent_itself_is_refused(world: World) -> None:
    labels = {"ringfence.dev/confined": "false"}

    agent = world.agent(metadata={"labels": labels})

    agent.until_reason("LabelReserved")
    assert world.kube.get(agent.pod.path) is None


def test_an_agent_in_the_operators_namespace_is_refused(world: World) -> None:
    agent = world.agent(namespace="ringfence-system")

    agent.until_reason("NamespaceReserved")

    assert world.kube.get(agent.pod.path) is None
