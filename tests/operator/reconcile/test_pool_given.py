"""What an agent may ask for of a warm pod: another policy, an end, what only a pod of its own has."""

from typing import Any

import pytest

from ringfence_operator import labels
from ringfence_operator.reconcile.network_verdict import Known
from ringfence_operator.resources.network_probe import Verdict
from tests.operator.reconcile.pool_world import POOLING, PoolWorld
from tests.operator.resources.objects import RUNNING, container_status, policy_body, terminated

Raw = dict[str, Any]
WEB = {"allowedDomains": [{"name": "api.test"}, {"name": "www.test"}]}
LESS = {"allowedDomains": [{"name": "api.test"}]}
MORE = {"allowedDomains": [{"name": "api.test"}, {"name": "other.test"}]}


@pytest.fixture
def world() -> PoolWorld:
    found = PoolWorld()
    for name, network in (("web", WEB), ("less", LESS), ("more", MORE)):
        found.api.add("securitypolicies", policy_body(name, network=network), "team")
    return found


def under(name: str) -> Raw:
    return {"securityPolicyRef": {"name": name}}


def allow(world: PoolWorld, *names: str) -> None:
    world.api.change(
        ("agentpools", "team", "p"), lambda raw: raw["spec"].update(allowedPolicies=list(names)), is_spec=True
    )
    world.deliver()


def set_policy(world: PoolWorld, name: str, **spec: Any) -> None:
    world.api.change(("securitypolicies", "team", name), lambda raw: raw.update(spec=spec), is_spec=True)
    world.deliver()


async def run(world: PoolWorld, agent: str = "a") -> str:
    """Have the starter of the agent's pod hand over; return the pod."""
    (pod,) = world.pods_of(agent)
    world.starters.carry_out(world.uid(pod))
    await world.look(agent)
    world.deliver()
    return pod


def label(world: PoolWorld, pod: str) -> str | None:
    found: str | None = world.raw(pod)["metadata"]["labels"].get(labels.POLICY)
    return found


def message(world: PoolWorld, kind: str = "Ready") -> str:
    found = (each for each in world.status()["conditions"] if each["type"] == kind)
    return str(next(found)["message"])


# --- policies ---


@pytest.mark.parametrize("given", [under("less"), {}])
async def test_a_claimed_pod_is_under_the_agents_own_policy_if_that_is_stricter(world: PoolWorld, given: Raw) -> None:
    await world.warm(1, **under("web"))
    world.agent("a", **given)

    await world.settle()
    pod = await run(world)
    await world.settle()

    assert label(world, pod) == given.get("securityPolicyRef", {}).get("name")
    assert world.condition("Ready") == ("True", "Running")


@pytest.mark.parametrize("template", [under("web"), {}])
async def test_a_looser_policy_takes_no_pod_unless_the_pool_names_it(world: PoolWorld, template: Raw) -> None:
    await world.warm(1, **template)
    world.agent("a", **under("more"))
    await world.settle()
    refused, pods = world.condition("Ready"), world.pods_of("a")

    allow(world, "more")
    await world.settle()

    assert (refused, pods) == (("False", "PoolPolicyLooser"), [])
    assert label(world, await run(world)) == "more"


async def test_a_looser_policy_does_not_start_cold_either(world: PoolWorld) -> None:
    await world.warm(1, **under("web"))
    world.agent("a", onMiss="Cold", **under("more"))

    await world.settle()

    assert world.condition("Ready") == ("False", "PoolPolicyLooser")
    assert "other.test is allowed on port 80" in message(world)
    assert world.pods_of("a") == []


@pytest.mark.parametrize("whose", ["less", "web"])
async def test_a_policy_that_becomes_looser_closes_the_network_of_who_runs_until_it_is_not(
    world: PoolWorld, whose: str
) -> None:
    await world.warm(1, **under("web"))
    world.agent("a", **under("less"))
    await world.settle()
    pod = await run(world)
    await world.settle()

    set_policy(world, whose, network=MORE if whose == "less" else {})
    await world.settle()
    closed, ready = label(world, pod), world.condition("Ready")
    set_policy(world, whose, network=LESS if whose == "less" else WEB)
    await world.settle()

    assert (closed, ready) == (None, ("False", "PoolPolicyLooser"))
    assert (label(world, pod), world.condition("Ready")) == ("less", ("True", "Running"))


async def test_who_names_a_looser_policy_while_it_runs_is_never_under_it(world: PoolWorld) -> None:
    await world.warm(1, **under("web"))
    world.agent("a", **under("less"))
    await world.settle()
    pod = await run(world)
    await world.settle()

    world.set_agent("a", **under("more"))
    await world.settle()

    assert label(world, pod) is None
    assert world.condition("Ready") == ("False", "PoolPolicyLooser")


async def test_without_the_templates_policy_there_is_nothing_to_be_as_strict_as(world: PoolWorld) -> None:
    await world.warm(1, **under("web"))
    world.api.remove(("securitypolicies", "team", "web"))
    world.agent("a", **under("less"))

    world.wait(10)
    await world.settle()

    assert world.condition("Ready") == ("False", "PolicyNotFound")
    assert world.pods_of("a") == []


async def test_the_pools_end_takes_nothing_that_it_has_allowed(world: PoolWorld) -> None:
    await world.warm(1, **under("web"))
    allow(world, "more")
    world.agent("a", **under("more"))
    await world.settle()
    pod = await run(world)
    await world.settle()

    world.api.remove(("agentpools", "team", "p"))
    await world.settle()

    assert label(world, pod) == "more"
    assert world.condition("Ready") == ("True", "Running")


async def test_what_a_policy_asks_of_the_pod_itself_the_pools_pods_have_or_it_is_a_reason(world: PoolWorld) -> None:
    asked: Raw = {"fileSystem": {"writablePaths": [{"path": "/data", "size": "1Gi"}]}}
    world.api.add("securitypolicies", policy_body("data", **asked), "team")
    await world.warm(1, isolation="Basic")
    world.agent("a", isolation="Basic", **under("data"))

    await world.settle()

    assert world.condition("Ready") == ("False", "PoolPodWeaker")
    assert "fileSystem.writablePaths" in message(world)
    assert world.pods_of("a") == []


async def test_what_holds_is_the_pools_pod_and_the_agents_own_time(world: PoolWorld) -> None:
    paths: Raw = {"fileSystem": {"writablePaths": [{"path": "/work", "size": "1Gi"}]}}
    world.api.add("securitypolicies", policy_body("work", **paths), "team")
    world.api.add("securitypolicies", policy_body("short", maxExecutionTime="60s"), "team")
    await world.warm(1, **under("work"))
    world.agent("a", files=[{"path": "/work/x", "content": "y"}], **under("short"))

    await world.settle()

    found = {each["name"]: each["value"] for each in world.status()["effective"]}
    assert (found["writablePaths"], found["maxExecutionTime"]) == ("/work=1Gi", "1m")
    assert "activeDeadlineSeconds" in world.raw(world.pods_of("a")[0])["spec"]


@pytest.mark.parametrize("is_gone", [False, True])
async def test_a_pod_that_does_not_tell_what_it_was_made_from_reaches_nothing(world: PoolWorld, is_gone: bool) -> None:
    await world.warm(1, **under("web"))
    world.agent("a", **under("web"))
    await world.settle()
    pod = await run(world)
    before = label(world, pod)

    if is_gone:
        world.api.remove(("agentpools", "team", "p"))
    unreadable = {labels.TEMPLATE: '{"isolation": "Unheard"}'}
    world.api.change(("pods", "team", pod), lambda raw: raw["metadata"]["annotations"].update(unreadable))
    await world.settle()

    assert (before, label(world, pod)) == ("web", None)
    assert world.condition("Ready") == ("False", "PoolNotFound" if is_gone else "PoolPolicyLooser")


async def lose_policy(world: PoolWorld) -> None:
    world.api.remove(("securitypolicies", "team", "less"))


async def loosen_policy(world: PoolWorld) -> None:
    set_policy(world, "less", network=MORE)


async def find_network_open(world: PoolWorld) -> None:
    world.view.network.known = Known(Verdict(reached=("pod",)))
    await world.look("a")


@pytest.mark.parametrize("change", [lose_policy, loosen_policy, find_network_open])
@pytest.mark.parametrize("has_started", [False, True])
async def test_what_is_found_between_claim_and_start_keeps_the_command_from_starting(
    change: Any, has_started: bool
) -> None:
    world = PoolWorld(POOLING.model_copy(update={"probe_image": "probe:1"}))
    world.view.network.known = Known(Verdict(reached=()))
    for name, network in (("web", WEB), ("less", LESS)):
        world.api.add("securitypolicies", policy_body(name, network=network), "team")
    await world.warm(1, **under("web"))
    world.agent("a", **under("less"))
    await world.settle()
    (pod,) = world.pods_of("a")
    before = world.uid(pod) in world.starters.orders
    if has_started:
        world.starters.carry_out(world.uid(pod))

    await change(world)
    await world.settle()

    assert before
    assert (world.uid(pod) in world.starters.orders) is has_started
    assert world.condition("Ready")[0] == "False"


async def test_an_order_comes_back_once_nothing_is_refused(world: PoolWorld) -> None:
    await world.warm(1, **under("web"))
    world.agent("a", **under("less"))
    await world.settle()
    (pod,) = world.pods_of("a")
    await loosen_policy(world)
    await world.settle()
    before = world.uid(pod) in world.starters.orders

    set_policy(world, "less", network=LESS)
    await world.settle()

    assert (before, world.uid(pod) in world.starters.orders) == (False, True)


async def test_the_order_of_an_earlier_run_is_taken_back(world: PoolWorld) -> None:
    await world.warm(1)
    world.agent("a")
    await world.settle()
    (pod,) = world.pods_of("a")

    world.set_agent(command=["another"])
    await world.look("a")

    assert world.uid(pod) not in world.starters.orders
    assert world.uid(pod) not in world.starters.admitted


# --- an end ---


async def test_a_task_claims_a_pod_that_ends_and_its_result_is_the_agents(world: PoolWorld) -> None:
    (pod,) = await world.warm(1, restartPolicy="Never")
    world.agent("a", mode="Task")
    await world.settle()

    world.set_pod(pod, phase="Succeeded", containerStatuses=container_status(terminated(0)))
    await world.settle()

    assert world.raw(pod)["spec"]["restartPolicy"] == "Never"
    assert world.pods_of("a") == [pod]
    assert world.status()["state"] == "Succeeded"
    assert world.condition("Complete") == ("True", "Succeeded")


async def test_a_task_that_fails_is_tried_again_in_a_fresh_pod(world: PoolWorld) -> None:
    await world.warm(2, restartPolicy="Never")
    world.agent("a", mode="Task", backoff={"limit": 1, "initialDelay": "1s", "maxDelay": "1s"})
    await world.settle()
    tried = []
    for _ in range(2):
        (pod,) = world.pods_of("a")
        tried.append(pod)
        world.set_pod(pod, phase="Failed", containerStatuses=container_status(terminated(3)))
        await world.settle()
        if len(tried) < 2:
            world.stop_pods()
            await world.settle()

    assert tried[0] != tried[1]
    assert world.condition("Ready") == ("False", "BackoffLimitExceeded")
    assert world.status()["lastExit"]["code"] == 3


async def test_a_pool_of_services_that_end_well_is_said_in_its_template(world: PoolWorld) -> None:
    (pod,) = await world.warm(1, restartPolicy="OnFailure")
    world.agent("a", restartPolicy="OnFailure")
    await world.settle()

    world.set_pod(pod, phase="Succeeded", containerStatuses=container_status(terminated(0)))
    await world.settle()

    assert world.status()["state"] == "Succeeded"


async def test_another_restart_policy_rolls_warm_pods(world: PoolWorld) -> None:
    (before,) = await world.warm(1)

    world.set_pool(restartPolicy="Never")
    await world.settle()
    world.start_pods()
    await world.settle()
    world.stop_pods()
    await world.settle()

    (after,) = world.pods
    assert (before != after, world.raw(after)["spec"]["restartPolicy"]) == (True, "Never")


# --- suspend and resume ---


async def test_a_suspended_agent_has_no_pod_says_so_and_goes_on_in_a_fresh_one(world: PoolWorld) -> None:
    await world.warm(1)
    world.agent("a", **under("less"))
    allow(world, "less")
    await world.settle()
    first = await run(world)

    world.set_agent("a", suspend=True)
    await world.settle()
    world.stop_pods()
    await world.settle()
    state, suspended = world.status()["state"], world.condition("Suspended")
    world.start_pods()
    await world.settle()
    waiting = world.free
    world.set_agent("a", suspend=False)
    await world.settle()

    assert (state, suspended) == ("Suspended", ("True", "Suspended"))
    assert first not in world.pods
    assert world.pods_of("a") == waiting
    assert label(world, await run(world)) == "less"


# --- cold, because what is asked for cannot be given ---

COLD: list[Raw] = [
    {"workspace": {"size": "1Gi"}},
    {"envFrom": [{"configMapRef": {"name": "c"}}]},
    {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]},
    {"priorityClassName": "high"},
    {"probes": {"readiness": {"tcpSocket": {"port": 80}}}},
    {"mode": "Task"},
    {"files": [{"path": "/etc/x", "content": "y"}]},
]


@pytest.mark.parametrize("spec", COLD, ids=lambda it: next(iter(it)))
async def test_what_no_warm_pod_can_be_given_starts_cold_where_the_agent_says_so(world: PoolWorld, spec: Raw) -> None:
    (pod,) = await world.warm(1)
    world.agent("a", onMiss="Cold", **spec)

    await world.settle()
    world.start_pods("a")
    await world.settle()

    assert world.pods_of("a") == ["a"]
    assert world.free == [pod]
    assert world.condition("Assigned") == ("True", "StartedCold")
    assert message(world, "Assigned").startswith("pod a was made for the agent: ")
    events = [each for (plural, _, _), each in world.api.objects.items() if plural == "events"]
    assert [each["type"] for each in events if each["reason"] == "StartedCold"] == ["Normal"]


@pytest.mark.parametrize("spec", COLD, ids=lambda it: next(iter(it)))
async def test_what_no_warm_pod_can_be_given_is_a_reason_otherwise(world: PoolWorld, spec: Raw) -> None:
    (pod,) = await world.warm(1)
    world.agent("a", **spec)

    await world.settle()

    assert world.condition("Ready")[1] in {"NotGivenWarm", "PoolRestartsOtherwise", "FileNotWritable"}
    assert world.free == [pod]


async def test_a_cold_start_is_confined_as_the_agent_and_its_policy_ask(world: PoolWorld) -> None:
    asked: Raw = {"fileSystem": {"writablePaths": [{"path": "/data", "size": "1Gi"}]}}
    world.api.add("securitypolicies", policy_body("data", **asked), "team")
    await world.warm(1, isolation="Basic")
    world.agent("a", onMiss="Cold", isolation="Container", **under("data"))

    await world.settle()
    world.start_pods("a")
    await world.settle()

    (container,) = world.raw("a")["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert "/data" in {each["mountPath"] for each in container["volumeMounts"]}
    assert world.condition("Ready") == ("True", "Running")
    assert world.raw("a")["status"]["containerStatuses"] == container_status(RUNNING)


STRICT: Raw = {
    "runtimeClassName": "gvisor",
    "seccompProfile": {"type": "Localhost", "localhostProfile": "strict.json"},
    "fileSystem": {"readOnlyRoot": True, "writablePaths": [{"path": "/work", "size": "1Mi"}]},
}


def strict_pool(world: PoolWorld) -> None:
    world.api.add("runtimeclasses", {"metadata": {"name": "gvisor"}, "handler": "runsc"})
    world.api.add("securitypolicies", policy_body("strict", network=WEB, **STRICT), "team")
    world.pool(0, isolation="Basic", **under("strict"))


@pytest.mark.parametrize("given", [under("less"), {}])
async def test_a_cold_start_keeps_of_the_pools_policy_what_the_agents_own_is_silent_about(
    world: PoolWorld, given: Raw
) -> None:
    strict_pool(world)
    world.agent("a", onMiss="Cold", isolation="Basic", **given)

    await world.settle()

    spec = world.raw("a")["spec"]
    (container,) = spec["containers"]
    context = container["securityContext"]
    assert spec["runtimeClassName"] == "gvisor"
    assert (context["readOnlyRootFilesystem"], spec["securityContext"]["seccompProfile"]) == (
        True,
        STRICT["seccompProfile"],
    )
    assert "/work" in {each["mountPath"] for each in container["volumeMounts"]}
    assert label(world, "a") == given.get("securityPolicyRef", {}).get("name")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"runtimeClassName": "runc"}, "runtimeClassName is not gvisor"),
        ({"seccompProfile": {"type": "RuntimeDefault"}}, "seccompProfile is another one"),
        ({"fileSystem": {"writablePaths": [{"path": "/data", "size": "1Mi"}]}}, "fileSystem.writablePaths are others"),
    ],
)
async def test_what_a_policy_asks_of_a_cold_pod_may_not_be_less_than_the_pools_does(
    world: PoolWorld, asked: Raw, words: str
) -> None:
    strict_pool(world)
    world.api.add("runtimeclasses", {"metadata": {"name": "runc"}, "handler": "runc"})
    world.api.add("securitypolicies", policy_body("own", **asked), "team")
    world.agent("a", onMiss="Cold", isolation="Basic", **under("own"))
    await world.settle()
    refused, said, pods = world.condition("Ready"), message(world), world.pods_of("a")

    allow(world, "own")
    await world.settle(20)

    assert (refused, pods) == (("False", "PoolPolicyLooser"), [])
    assert words in said
    assert world.pods_of("a") == ["a"]


async def test_of_what_may_be_written_a_cold_pod_has_the_less_as_a_warm_one_would(world: PoolWorld) -> None:
    strict_pool(world)
    own: Raw = {"fileSystem": {"writablePaths": [{"path": "/work", "size": "2Mi"}]}}
    world.api.add("securitypolicies", policy_body("own", **own), "team")
    world.agent("a", onMiss="Cold", isolation="Basic", **under("own"))

    await world.settle()
    world.start_pods("a")
    await world.settle()

    found = {each["name"]: each["value"] for each in world.status()["effective"]}
    assert found["writablePaths"] == "/work=1Mi"


async def test_no_cold_pod_is_made_while_the_pools_policy_is_not_there(world: PoolWorld) -> None:
    strict_pool(world)
    allow(world, "more")
    world.api.remove(("securitypolicies", "team", "strict"))
    world.agent("a", onMiss="Cold", isolation="Basic", **under("more"))

    world.wait(10)
    await world.settle()

    assert world.condition("Ready") == ("False", "PolicyNotFound")
    assert world.pods_of("a") == []


async def test_an_agent_that_found_no_warm_pod_says_that_it_started_cold(world: PoolWorld) -> None:
    world.pool(0)
    world.agent("a", onMiss="Cold")

    await world.settle()
    world.start_pods("a")
    await world.settle()

    assert world.condition("Assigned") == ("True", "StartedCold")
    assert "had no warm pod" in message(world, "Assigned")
