"""What people and programs read from a status: columns, conditions, Events."""

from tests.e2e.kube import TABLE, Body, address
from tests.e2e.world import World, condition, is_current, reason_of


def kstatus(body: Body) -> str:
    """Return what kstatus (sigs.k8s.io/cli-utils, used by Flux and kpt) computes of any object's conditions."""
    if body["metadata"].get("deletionTimestamp"):
        return "Terminating"
    if not is_current(body):
        return "InProgress"
    found = {each["type"]: each["status"] for each in body["status"].get("conditions", [])}
    if found.get("Reconciling") == "True":
        return "InProgress"
    if found.get("Stalled") == "True":
        return "Failed"
    return "Current" if found.get("Ready", "True") == "True" else "InProgress"


def test_kstatus_reads_every_state(world: World) -> None:
    suspended = world.agent("suspended", suspend=True)
    refused = world.agent("refused", isolation="None")
    waiting = world.agent("waiting", securityPolicyRef={"name": f"no-{world.tag}"})
    running = world.agent("running")
    succeeded = world.agent("succeeded", mode="Task", command=["true"])
    failed = world.agent("failed", mode="Task", command=["false"], restartPolicy="Never")
    expired = world.agent("expired", maxExecutionTime="3s")

    found = {
        "suspended": kstatus(suspended.until_reason("Suspended")),
        "refused": kstatus(refused.until_reason("IsolationNotAllowed")),
        "waiting": kstatus(waiting.until_reason("PolicyNotFound")),
        "running": kstatus(running.until_ready()),
        "succeeded": kstatus(succeeded.until_reason("Succeeded")),
        "failed": kstatus(failed.until_reason("Failed")),
        "expired": kstatus(expired.until_reason("DeadlineExceeded")),
    }

    assert found == {
        "suspended": "Current",
        "refused": "Failed",
        "waiting": "InProgress",
        "running": "Current",
        "succeeded": "Current",
        "failed": "Failed",
        "expired": "Failed",
    }


def test_kubectl_wait_sees_the_end_of_a_task(world: World) -> None:
    succeeded = world.agent("succeeded", mode="Task", command=["true"])
    failed = world.agent("failed", mode="Task", command=["false"], restartPolicy="Never")

    ended = [succeeded.until_reason("Succeeded"), failed.until_reason("Failed")]

    complete = [condition(each, "Complete") for each in ended]
    assert [each["status"] for each in complete if each] == ["True", "False"]


def test_an_agent_that_nobody_has_looked_at_is_in_progress(world: World) -> None:
    agent = world.named(
        "Agent", "fresh", api="ringfence.dev/v1alpha1", spec={"image": "example.com/none:1", "suspend": True}
    )

    assert agent["status"]["observedGeneration"] == -1
    assert kstatus(agent) == "InProgress"


def test_the_columns_say_how_the_agent_does(world: World) -> None:
    policy = world.policy()
    agent = world.agent(securityPolicyRef={"name": policy})
    found = agent.until_ready()

    table = world.kube.request("GET", agent.path, accept=TABLE)

    names = [column["name"] for column in table["columnDefinitions"]]
    row = dict(zip(names, table["rows"][0]["cells"], strict=True))
    assert names[:5] == ["Name", "State", "Reason", "Restarts", "Age"]
    assert (row["State"], row["Reason"], row["Restarts"]) == ("Running", "Running", 0)
    assert (row["Pod"], row["Node"]) == (agent.name, found["status"]["nodeName"])
    assert (row["Isolation"], row["Policy"], row["Mode"]) == ("Container", policy, "Service")
    assert row["Message"].startswith("running")


def test_an_uneventful_life_makes_no_events(world: World) -> None:
    agent = world.agent()
    found = agent.until_ready()

    agent.change(podMetadata={"labels": {"edition": "2"}})
    agent.until_pod_replaced(found)

    reasons = [each["reason"] for each in world.events_of(found["metadata"]["uid"])]
    assert set(reasons) <= {"Replacing"}
    assert len(reasons) <= 1


def test_a_transition_makes_one_event_however_long_the_state_lasts(world: World) -> None:
    agent = world.agent(securityPolicyRef={"name": f"late-{world.tag}"})
    found = agent.until_reason("PolicyNotFound")
    for word in ("one", "two"):
        agent.change(podMetadata={"labels": {"edition": word}})
        agent.until(is_current)

    events = world.events_of(found["metadata"]["uid"])

    assert [each["reason"] for each in events] == ["PolicyNotFound"]
    assert events[0]["type"] == "Warning"
    assert events[0]["involvedObject"]["kind"] == "Agent"
    assert f"late-{world.tag}" in events[0]["message"]


def test_a_crash_loop_makes_few_events(world: World) -> None:
    agent = world.agent(command=["sh", "-c", "exit 2"])

    found = agent.until(lambda it: bool(it and it["status"].get("restarts", 0) >= 2), seconds=60)

    reasons = [each["reason"] for each in world.events_of(found["metadata"]["uid"])]
    assert reasons.count("Crashed") <= 2


def test_nobody_but_the_operator_writes_a_status(world: World) -> None:
    agent = world.agent()
    found = agent.until_ready()

    world.kube.merge(agent.path, {"status": {"state": "Failed"}})

    # The main resource ignores a status; the subresource is the operator's by RBAC (tests/cluster/test_user_roles.py).
    assert agent.get()["status"]["state"] == found["status"]["state"]


def test_restarts_and_the_last_exit_are_counted(world: World) -> None:
    agent = world.agent(command=["sh", "-c", "echo good-bye >&2; exit 3"])

    found = agent.until(lambda it: bool(it and reason_of(it) == "Crashed" and it["status"].get("restarts", 0) >= 1))

    last = found["status"]["lastExit"]
    assert (last["code"], last["reason"], last["oomKilled"]) == (3, "Error", False)
    assert "good-bye" in last["message"]


def test_a_policys_columns_say_how_it_does(world: World) -> None:
    name = world.policy(network={"enabled": False})
    path = address("SecurityPolicy", world.namespace, name)
    world.kube.until(path, is_current)

    table = world.kube.request("GET", path, accept=TABLE)

    names = [column["name"] for column in table["columnDefinitions"]]
    row = dict(zip(names, table["rows"][0]["cells"], strict=True))
    assert names == ["Name", "Ready", "Agents", "Mode", "Network", "Age"]
    assert (row["Ready"], row["Agents"], row["Mode"], row["Network"]) == ("True", 0, "Enforce", False)
