"""What the agent's container can and cannot do, from the attacker's seat."""

import pytest

from tests.e2e.kube import RefusedError
from tests.e2e.world import World, effective, message_of, reason_of

OOM = ["python3", "-c", "hog = []\nwhile True: hog.append(bytearray(8 * 2**20))"]
UNMOVED = ["python3", "-c", "import signal\nwhile True: signal.pause()"]
"""Does not end by itself when the kubelet evicts it: a pod whose command ends well counts as succeeded."""
READ_ONLY, SCRATCH, EVERYBODYS = "/usr", "/tmp", "/var/tmp"


def test_an_agent_has_no_privilege_and_no_token(world: World) -> None:
    agent = world.agent(isolation="Basic")
    agent.until_ready()

    seat = agent.pod.script("seat", [READ_ONLY])

    assert (seat["uid"], seat["gid"]) == (65532, 65532)
    assert seat["no_new_privs"] == "1"
    assert seat["capabilities"] == [0, 0, 0, 0]
    assert seat["seccomp"] == "2"
    assert seat["tokens"] == []
    assert seat["writing"] == {READ_ONLY: "EACCES"}


def test_no_variable_tells_an_agent_of_other_services(world: World) -> None:
    agent = world.agent()
    agent.until_ready()

    names = agent.pod.script("seat", [])["environment"]

    # The kubelet adds those of the API server's own Service to every pod; the network policy closes what they name.
    assert [each for each in names if "_SERVICE_" in each and not each.startswith("KUBERNETES_")] == []


def test_root_is_read_only_from_container_up_and_the_scratch_directory_is_writable(world: World) -> None:
    basic, container = world.agent("basic", isolation="Basic"), world.agent("container", isolation="Container")
    basic.until_ready()
    container.until_ready()

    at_basic = basic.pod.script("seat", [SCRATCH, EVERYBODYS])["writing"]
    at_container = container.pod.script("seat", ["/", READ_ONLY, SCRATCH, EVERYBODYS])["writing"]

    assert at_basic == {SCRATCH: "written", EVERYBODYS: "written"}
    assert at_container == {"/": "EROFS", READ_ONLY: "EROFS", SCRATCH: "written", EVERYBODYS: "EROFS"}


def test_the_status_says_truly_whether_root_in_the_container_is_root_on_the_node(world: World) -> None:
    agent = world.agent()
    found = agent.until_ready()

    uid_map = agent.pod.script("seat", [])["uid_map"]

    is_mapped = uid_map[:2] != ["0", "0"]
    assert effective(found, "userNamespace") == (str(is_mapped).lower(), "Cluster")


def test_memory_beyond_the_limit_kills_the_agent_and_no_neighbour(world: World) -> None:
    neighbour = world.agent("neighbour")
    before = neighbour.until_ready()["status"]
    agent = world.agent(command=OOM, resources={"limits": {"memory": "48Mi"}, "requests": {"cpu": "10m"}})

    found = agent.until(lambda it: reason_of(it) == "OutOfMemory" and it is not None and it["status"]["restarts"] > 0)

    assert found["status"]["lastExit"]["oomKilled"] is True
    assert found["status"]["lastExit"]["reason"] == "OOMKilled"
    assert found["status"]["state"] == "Restarting"
    after = neighbour.get()["status"]
    assert (after["restarts"], after["podUID"]) == (0, before["podUID"])


def test_forking_without_end_is_refused_and_neighbours_can_still_fork(world: World) -> None:
    agent, neighbour = world.agent(), world.agent("neighbour")
    agent.until_ready()
    neighbour.until_ready()

    forks = agent.pod.script("fork", 2000, seconds=90)

    assert forks["error"] == "EAGAIN"
    assert forks["forked"] < 1024
    assert neighbour.pod.script("fork", 20) == {"forked": 20, "error": ""}


def test_scratch_beyond_its_size_evicts_the_pod_and_another_one_follows(world: World) -> None:
    agent = world.agent(command=UNMOVED)
    before = agent.until_ready()

    agent.pod.script("fill", "/tmp/flood", 100)

    after = agent.until_pod_replaced(before, seconds=140)
    events = world.events_of(after["metadata"]["uid"])
    told = [each["message"] for each in events if each["reason"] == "Evicted"]
    assert len(told) == 1
    assert "64Mi" in told[0]


def test_disk_beyond_the_limit_evicts_the_pod_and_another_one_follows(world: World) -> None:
    limits = {"limits": {"ephemeral-storage": "32Mi"}, "requests": {"cpu": "10m"}}
    agent = world.agent(command=UNMOVED, isolation="Basic", resources=limits)
    before = agent.until_ready()

    agent.pod.script("fill", "/var/tmp/flood", 100)

    after = agent.until_pod_replaced(before, seconds=140)
    events = world.events_of(after["metadata"]["uid"])
    assert [each["reason"] for each in events] == ["Evicted"]


def test_a_task_evicted_for_its_own_disk_has_failed(world: World) -> None:
    flood = "import signal\nopen('/tmp/flood', 'wb').write(bytes(100 * 2**20))\nwhile True: signal.pause()"
    agent = world.agent(mode="Task", command=["python3", "-c", flood], backoff={"limit": 0})

    found = agent.until_reason("BackoffLimitExceeded", seconds=140)

    assert "64Mi" in message_of(found)


def test_a_full_workspace_is_full(world: World) -> None:
    agent = world.agent(workspace={"size": "16Mi"})
    agent.until_ready()

    filled = agent.pod.script("fill", "/workspace/flood", 64)

    assert filled["error"] == "ENOSPC"
    assert 8 <= filled["written"] <= 16


def test_files_cannot_be_written(world: World) -> None:
    data = world.named("ConfigMap", "data", data={"one.txt": "1", "two.txt": "2"})["metadata"]["name"]
    files = [
        {"path": "/inputs/inline.txt", "content": "inline"},
        {"path": "/inputs/one.txt", "configMap": {"name": data, "key": "one.txt"}},
        {"path": "/directory", "configMap": {"name": data}},
    ]
    agent = world.agent(files=files, isolation="Basic")
    agent.until_ready()
    paths = ("/inputs/inline.txt", "/inputs/one.txt", "/directory/two.txt")

    contents = [agent.pod.output("cat", path) for path in paths]
    refusals = [agent.pod.script("fill", path, 1) for path in paths]
    linked = agent.pod.exec("sh", "-c", "echo 3 > /directory/three.txt")

    assert contents == ["inline", "1", "2"]
    assert [each["error"] for each in refusals] == ["EROFS"] * 3
    assert linked.code != 0


def test_a_secret_reaches_the_environment_and_the_operators_own_do_not(world: World) -> None:
    secret = world.named("Secret", "mine", stringData={"key": "open sesame"})["metadata"]["name"]
    reserved = world.named("Secret", "ringfence-connector", stringData={"key": "not yours"})["metadata"]["name"]
    agent = world.agent(env=[{"name": "WORD", "valueFrom": {"secretKeyRef": {"name": secret, "key": "key"}}}])
    agent.until_ready()

    word = agent.pod.output("printenv", "WORD").strip()

    assert word == "open sesame"
    with pytest.raises(RefusedError, match="ringfence-"):
        world.agent("thief", envFrom=[{"secretRef": {"name": reserved}}])
