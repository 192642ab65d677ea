"""What a quota leaves an agent of its node: in force in the kernel, and changed in place."""

from typing import Any

import pytest

from tests.e2e.kube import Body, Holds, RefusedError
from tests.e2e.world import AgentHandle, World, condition, is_ready, is_true, limit_row, message_of, reason_of

MEBI = 2**20
HOLDING = (
    "import time\nheld = bytearray(%d << 20)\nfor page in range(0, len(held), 4096): held[page] = 1\ntime.sleep(100000)"
)
HOG = ["python3", "-c", "import time; time.sleep(5); hog = []\nwhile True: hog.append(bytearray(2**20))"]


def limit(resource: str, most: str | int, **more: object) -> Body:
    return {"resource": resource, "max": most, **more}


def in_force(agent: AgentHandle) -> tuple[int, float]:
    """Return bytes of memory and thousandths of a core, as the kernel has them for the agent's container."""
    found = agent.pod.script("limits")
    return found["memory"], found["millicores"]


def identity(agent: AgentHandle) -> tuple[str, int]:
    """Return the pod's UID, and how often its container was started again."""
    pod = agent.pod.get()
    return pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]


def row(body: Body | None, name: str) -> tuple[str, str, str | None]:
    rows = (body or {}).get("status", {}).get("effective") or ()
    found = next(each for each in rows if each["name"] == name)
    return found["value"], found["source"], found.get("object")


def has_row(name: str, value: str, source: str) -> Holds:
    return lambda body: body is not None and is_ready(body) and row(body, name)[:2] == (value, source)


def test_a_quota_is_in_force_in_a_new_agents_cgroup(world: World) -> None:
    quota = world.quota(limit("memory", "96Mi"), limit("cpu", "250m"))
    agent = world.agent(quotaRef=quota.ref)

    found = agent.until_ready()

    assert in_force(agent) == (96 * MEBI, 250)
    assert row(found, "memory") == ("96Mi", "Quota", quota.name)
    assert row(found, "cpu") == ("250m", "Quota", quota.name)


def test_memory_and_cores_of_a_running_agent_change_in_place_without_a_restart(world: World) -> None:
    quota = world.quota(limit("memory", "256Mi"), limit("cpu", "500m"))
    agent = world.agent(quotaRef=quota.ref)
    agent.until_ready()
    before = identity(agent)
    found = []

    for memory, cpu in (("128Mi", "250m"), ("320Mi", "750m")):
        quota.change(limit("memory", memory), limit("cpu", cpu))
        agent.until(has_row("memory", memory, "Quota"))
        agent.until(has_row("cpu", cpu, "Quota"))
        found.append(in_force(agent))

    assert found == [(128 * MEBI, 250), (320 * MEBI, 750)]
    assert identity(agent) == before


def test_without_the_quota_the_agent_has_what_it_asked_for_again(world: World) -> None:
    quota = world.quota(limit("memory", "96Mi"), selector={"matchLabels": {"tag": world.tag}})
    agent = world.agent(metadata={"labels": {"tag": world.tag}})
    agent.until(has_row("memory", "96Mi", "Quota"))
    before = identity(agent)

    quota.delete()

    agent.until(has_row("memory", "512Mi", "Default"))
    assert in_force(agent)[0] == 512 * MEBI
    assert identity(agent) == before


def test_a_quota_that_comes_later_holds_for_an_agent_that_runs(world: World) -> None:
    agent = world.agent(metadata={"labels": {"tag": world.tag}})
    agent.until_ready()
    before = identity(agent)

    world.quota(limit("memory", "96Mi"), selector={"matchLabels": {"tag": world.tag}})

    agent.until(has_row("memory", "96Mi", "Quota"))
    assert in_force(agent)[0] == 96 * MEBI
    assert identity(agent) == before


def test_memory_that_is_in_use_is_not_taken_away_and_the_agent_says_so(world: World) -> None:
    quota = world.quota(limit("memory", "256Mi"))
    agent = world.agent(quotaRef=quota.ref, command=["python3", "-c", HOLDING % 160])
    agent.until_ready()
    before = identity(agent)
    agent.pod.until(lambda pod: pod is not None and _uses(agent, 150), seconds=60)

    quota.change(limit("memory", "64Mi"))

    found = agent.until(lambda body: is_true(body, "LimitsOutdated"))
    told = condition(found, "LimitsOutdated")
    assert told is not None
    assert told["reason"].startswith("Resize")
    assert "usage" in told["message"]
    said = quota.until(lambda body: reason_of(body) == told["reason"])
    assert f"agent {agent.name}: " in message_of(said)
    assert row(found, "memory") == ("256Mi", "Quota", quota.name)
    assert in_force(agent)[0] == 256 * MEBI
    assert identity(agent) == before


def _uses(agent: AgentHandle, mebibytes: int) -> bool:
    status = agent.pod.output("cat", "/proc/1/status")
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(resident.split()[1]) >= mebibytes * 1024


def test_disk_changes_with_the_next_pod_and_the_agent_says_so(world: World) -> None:
    quota = world.quota(limit("ephemeralStorage", "512Mi"))
    agent = world.agent(quotaRef=quota.ref)
    before = agent.until_ready()
    uid = identity(agent)

    quota.change(limit("ephemeralStorage", "128Mi"))
    found = agent.until(lambda body: is_true(body, "LimitsOutdated"))
    quota.until(lambda body: reason_of(body) == "NeedsNewPod")
    kept = identity(agent)
    agent.pod.delete()
    after = agent.until_pod_replaced(before)

    told = condition(found, "LimitsOutdated")
    assert told is not None
    assert told["reason"] == "NeedsNewPod"
    assert row(found, "ephemeral-storage") == ("512Mi", "Quota", quota.name)
    assert kept == uid
    assert row(after, "ephemeral-storage") == ("128Mi", "Quota", quota.name)
    assert condition(after, "LimitsOutdated") is None


def test_an_agent_that_passes_its_quotas_disk_is_evicted_and_says_why(world: World) -> None:
    quota = world.quota(limit("ephemeralStorage", "32Mi"))
    flood = "import signal\nopen('/var/tmp/flood', 'wb').write(bytes(64 * 2**20))\nwhile True: signal.pause()"
    task: dict[str, Any] = {"mode": "Task", "isolation": "Basic", "backoff": {"limit": 0}}
    agent = world.agent(quotaRef=quota.ref, command=["python3", "-c", flood], **task)

    found = agent.until_reason("BackoffLimitExceeded", seconds=140)

    assert "32Mi" in message_of(found)
    said = quota.until(lambda body: "lastRefusal" in limit_row(body, "ephemeralStorage"))
    told = limit_row(said, "ephemeralStorage")
    assert (told["refusals"], told["lastRefusal"]["agent"]) == (1, agent.name)


def test_use_near_the_limit_is_told_before_the_kernel_kills(world: World) -> None:
    quota = world.quota(limit("memory", "200Mi", warnAt=[70]))
    agent = world.agent(quotaRef=quota.ref, command=["python3", "-c", HOLDING % 150])
    agent.until_ready()

    found = quota.until(lambda body: limit_row(body, "memory").get("warned") == 70)

    told = limit_row(found, "memory")
    assert told["percent"] >= 70
    assert told["topAgents"][0]["name"] == agent.name
    assert identity(agent)[1] == 0
    uid = found["metadata"]["uid"]
    world.until_event(uid, lambda event: "memory" in event["message"] and "70 %" in event["message"])


def test_each_agent_that_comes_near_the_limit_is_told_of(world: World) -> None:
    quota = world.quota(limit("memory", "200Mi", warnAt=[70]))
    first = world.agent(quotaRef=quota.ref, command=["python3", "-c", HOLDING % 160])
    uid = quota.until(lambda body: limit_row(body, "memory").get("warned") == 70)["metadata"]["uid"]
    second = world.agent("second", quotaRef=quota.ref, command=["python3", "-c", HOLDING % 150])

    quota.until(lambda body: limit_row(body, "memory").get("lastWarning", {}).get("agent") == second.name)

    world.until_event(uid, lambda event: f"70 % is reached by agent {first.name}" in event["message"])
    world.until_event(uid, lambda event: f"70 % is reached by agent {second.name}" in event["message"])


def test_an_agent_whose_own_limit_is_less_is_warned_of_that(world: World) -> None:
    resources = {"limits": {"memory": "200Mi"}, "requests": {"cpu": "10m", "memory": "16Mi"}}
    quota = world.quota(limit("memory", "1Gi", warnAt=[70]))
    agent = world.agent(quotaRef=quota.ref, command=["python3", "-c", HOLDING % 150], resources=resources)

    found = quota.until(lambda body: "lastWarning" in limit_row(body, "memory"))

    told = limit_row(found, "memory")
    assert told["percent"] < 70
    assert told["lastWarning"]["agent"] == agent.name
    words = f"/200Mi: 70 % is reached by agent {agent.name}"
    world.until_event(found["metadata"]["uid"], lambda event: words in event["message"])


def test_of_an_agent_that_the_kernel_killed_both_say_whose_limit_that_was(world: World) -> None:
    quota = world.quota(limit("memory", "64Mi", warnAt=[90]))
    agent = world.agent(quotaRef=quota.ref, command=HOG)

    found = agent.until(lambda body: reason_of(body) == "OutOfMemory")

    last = found["status"]["lastExit"]
    assert last["oomKilled"] is True
    assert last["memoryLimit"] == {"name": "memory", "value": "64Mi", "source": "Quota", "object": quota.name}
    assert f"64Mi (Quota {quota.name})" in message_of(found)
    told = quota.until(lambda body: limit_row(body, "memory").get("refusals", 0) > 0)
    assert limit_row(told, "memory")["lastRefusal"]["agent"] == agent.name


def test_of_an_agent_that_was_killed_at_its_own_limit_it_says_that(world: World) -> None:
    resources = {"limits": {"memory": "48Mi"}, "requests": {"cpu": "10m", "memory": "16Mi"}}
    quota = world.quota(limit("memory", "256Mi"))
    agent = world.agent(quotaRef=quota.ref, command=HOG, resources=resources)

    found = agent.until(lambda body: reason_of(body) == "OutOfMemory")

    last = found["status"]["lastExit"]["memoryLimit"]
    assert (last["value"], last["source"], last.get("object")) == ("48Mi", "Agent", None)


def test_processes_are_refused_as_a_limit_with_the_reason(world: World) -> None:
    with pytest.raises(RefusedError, match="podPidsLimit in the kubelet's configuration"):
        world.quota(limit("pids", 100))


def test_bandwidth_is_refused_where_nobody_says_that_the_network_keeps_it(world: World) -> None:
    quota = world.quota(limit("networkBandwidth", "10M"))
    agent = world.agent(quotaRef=quota.ref)

    found = agent.until_reason("NotSupported")

    assert "RINGFENCE_OPERATOR_BANDWIDTH_ANNOTATIONS" in message_of(found)
    assert world.kube.get(agent.pod.path) is None
    told = quota.until(lambda body: reason_of(body) == "NotSupported")
    assert is_true(told, "Stalled")
