"""What a change of policy does to agents that run, and what it leaves alone."""

import json
import time

from tests.e2e.escape.ways import tls
from tests.e2e.kube import address
from tests.e2e.world import SCRIPTS, AgentHandle, World, condition, is_true

BOTH = {"allowedDomains": [{"name": "api.test"}, {"name": "files.test"}]}


def reached(agent: AgentHandle, *names: str) -> dict[str, object]:
    """Return for each name the server that answered, or why none did."""
    found = agent.pod.script("fetch", [tls(name) for name in names], seconds=60)
    return {name: answer.get("server") or answer["refused"] for name, answer in zip(names, found, strict=True)}


def until_reached(agent: AgentHandle, name: str, wanted: object, *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while (found := reached(agent, name)[name]) != wanted:
        assert time.monotonic() < deadline, f"{name} came to {found}, not {wanted}"


def until_in_force(world: World, policy: str) -> None:
    path = address("SecurityPolicy", world.namespace, policy)
    world.kube.until(
        path,
        lambda it: bool(
            it
            and it["status"].get("observedGeneration") == it["metadata"]["generation"]
            and is_true(it, "Ready")
            and is_true(it, "Enforced")
        ),
        seconds=30,
    )


def changes(agent: AgentHandle) -> list[tuple[float, str, str]]:
    """Return what `keep` logged: when, which host, and what became of its connection."""
    return [tuple(json.loads(line)) for line in agent.pod.logs().splitlines()]


def until_logged(agent: AgentHandle, count: int, *, seconds: float = 30) -> list[tuple[float, str, str]]:
    deadline = time.monotonic() + seconds
    while len(found := changes(agent)) < count:
        assert time.monotonic() < deadline, f"{count} changes expected, seen: {found}"
    return found


def test_a_name_is_open_once_it_is_on_the_list_without_a_new_pod(world: World) -> None:
    policy = world.policy(network={"allowedDomains": [{"name": "api.test"}]})
    agent = world.agent(securityPolicyRef={"name": policy})
    before = agent.until_ready()
    first = reached(agent, "api.test", "files.test")

    world.change_policy(policy, network=BOTH)
    until_in_force(world, policy)

    assert first == {"api.test": "203.0.113.11", "files.test": "gaierror"}
    assert reached(agent, "api.test", "files.test") == {"api.test": "203.0.113.11", "files.test": "203.0.113.12"}
    assert agent.get()["status"]["podUID"] == before["status"]["podUID"]


def test_a_name_taken_off_the_list_loses_its_connections_within_five_seconds_and_no_other_does(alone: World) -> None:
    policy = alone.policy(network=BOTH)
    script = (SCRIPTS / "keep.py").read_text()
    agent = alone.agent(securityPolicyRef={"name": policy}, command=["python3", "-c", script, "api.test", "files.test"])
    agent.until_ready()
    until_logged(agent, 2)

    changed = time.time()
    alone.change_policy(policy, network={"allowedDomains": [{"name": "files.test"}]})
    when, host, state = until_logged(agent, 3)[2]

    assert (host, state) == ("api.test", "cut")
    assert when - changed < 5
    until_in_force(alone, policy)
    assert reached(agent, "files.test") == {"files.test": "203.0.113.12"}
    assert len(changes(agent)) == 3


def test_plain_http_under_way_from_a_name_taken_off_the_list_ends_within_five_seconds_and_no_other_does(
    alone: World,
) -> None:
    policy, other = alone.policy(network=BOTH), alone.policy("other", network=BOTH)
    command = ["python3", "-c", (SCRIPTS / "download.py").read_text()]
    agent = alone.agent(securityPolicyRef={"name": policy}, command=[*command, "api.test", "files.test"])
    bystander = alone.agent("bystander", securityPolicyRef={"name": other}, command=[*command, "api.test"])
    agent.until_ready()
    bystander.until_ready()
    opened = [*until_logged(agent, 4), *until_logged(bystander, 2)]
    assert {state for _, _, state in opened} == {"open"}

    changed = time.time()
    alone.change_policy(policy, network={"allowedDomains": [{"name": "files.test"}]})
    cut = until_logged(agent, 6)[4:]

    assert {(what, state) for _, what, state in cut} == {("host api.test", "cut"), ("proxy api.test", "cut")}
    assert all(when - changed < 5 for when, _, _ in cut)
    until_in_force(alone, policy)
    assert reached(agent, "files.test") == {"files.test": "203.0.113.12"}
    assert (len(changes(agent)), len(changes(bystander))) == (6, 2)


def test_a_name_that_is_blocked_below_a_wildcard_closes(world: World) -> None:
    wild = [{"name": "*.wild.test"}]
    policy = world.policy(network={"allowedDomains": wild})
    agent = world.agent(securityPolicyRef={"name": policy})
    agent.until_ready()
    before = reached(agent, "a.wild.test", "b.wild.test")

    world.change_policy(policy, network={"allowedDomains": wild, "blockedDomains": [{"name": "b.wild.test"}]})
    until_in_force(world, policy)

    assert before == {"a.wild.test": "203.0.113.13", "b.wild.test": "203.0.113.13"}
    assert reached(agent, "a.wild.test", "b.wild.test") == {"a.wild.test": "203.0.113.13", "b.wild.test": "gaierror"}


def test_a_deleted_policy_closes_its_agents_and_they_say_so(world: World) -> None:
    policy = world.policy(network=BOTH)
    agent = world.agent(securityPolicyRef={"name": policy})
    agent.until_ready()
    assert reached(agent, "api.test") == {"api.test": "203.0.113.11"}

    world.kube.delete(address("SecurityPolicy", world.namespace, policy))

    agent.until_reason("PolicyNotFound")
    until_reached(agent, "api.test", "gaierror")


def test_a_port_set_is_given_back_once_no_pod_can_reach_it(world: World) -> None:
    policy = world.policy(network=BOTH)
    agent = world.agent(securityPolicyRef={"name": policy})
    agent.until_ready()
    path = address("SecurityPolicy", world.namespace, policy)
    found = world.kube.get(path)
    assert found is not None
    service = address("Service", "ringfence-system", found["status"]["gateway"]["service"])

    world.kube.delete(path)
    agent.until_reason("PolicyNotFound")
    held = world.kube.get(service)
    agent.delete()
    agent.pod.until_gone()

    assert held is not None
    world.kube.until(service, lambda it: it is None, seconds=60)


def test_another_policy_means_another_port_set_and_so_another_pod(world: World) -> None:
    one = world.policy("one", network={"allowedDomains": [{"name": "api.test"}]})
    other = world.policy("other", network={"allowedDomains": [{"name": "files.test"}]})
    agent = world.agent(securityPolicyRef={"name": one})
    before = agent.until_ready()

    agent.change(securityPolicyRef={"name": other})

    agent.until_pod_replaced(before)
    assert reached(agent, "api.test", "files.test") == {"api.test": "gaierror", "files.test": "203.0.113.12"}


def test_the_status_says_which_generation_each_replica_has_in_force(world: World) -> None:
    policy = world.policy(network=BOTH)
    until_in_force(world, policy)
    world.change_policy(policy, network={"allowedDomains": [{"name": "api.test"}]})
    until_in_force(world, policy)

    found = world.kube.get(address("SecurityPolicy", world.namespace, policy))

    assert found is not None
    assert [each["generation"] for each in found["status"]["gateway"]["replicas"]] == [2, 2]
    enforced = condition(found, "Enforced")
    assert enforced is not None
    assert enforced["reason"] == "InForce"
