"""What changes the confinement of a running pod, and how fast; each test has the operator to itself."""

import json
import time
from collections.abc import Callable
from typing import Any

from tests.e2e.doors import cluster_doors, opened, outside_doors
from tests.e2e.kube import address
from tests.e2e.world import AgentHandle, World, condition

OUTSIDE = outside_doors("203.0.113.10")
OPEN = {"cidrs": [{"cidr": "203.0.113.0/24"}]}
KNOCKING = (
    "import json, signal, socket, sys, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
    "before = None\n"
    "while True:\n"
    "    try:\n"
    "        socket.create_connection(('203.0.113.10', 80), 0.1).close()\n"
    "        now = 'open'\n"
    "    except OSError:\n"
    "        now = 'shut'\n"
    "    if now != before:\n"
    "        print(json.dumps([time.time(), now]), flush=True)\n"
    "    before = now\n"
    "    time.sleep(0.02)\n"
)
"""A command that knocks without a pause, and logs each change."""


def knocking_agent(world: World, **spec: Any) -> AgentHandle:
    agent = world.agent("knocking", command=["python3", "-c", KNOCKING], **spec)
    agent.until_ready()
    return agent


def changes(agent: AgentHandle) -> list[tuple[float, str]]:
    """Return when the outside became open or shut, by the agent's own log."""
    return [tuple(json.loads(line)) for line in agent.pod.logs().splitlines()]


def until_changed(agent: AgentHandle, count: int, *, seconds: float = 10) -> list[tuple[float, str]]:
    deadline = time.monotonic() + seconds
    while len(found := changes(agent)) < count:
        assert time.monotonic() < deadline, f"{count} changes expected, seen: {found}"
        time.sleep(0.05)
    return found


def test_a_changed_policy_opens_and_closes_within_a_second_without_a_new_pod(alone: World) -> None:
    policy = alone.policy(network={})
    agent = knocking_agent(alone, securityPolicyRef={"name": policy})
    before = agent.get()["status"]["podUID"]
    until_changed(agent, 1)

    opened_at = time.time()
    alone.change_policy(policy, network=OPEN)
    until_changed(agent, 2)
    closed_at = time.time()
    alone.change_policy(policy, network={"cidrs": None})
    found = until_changed(agent, 3)

    assert [state for _, state in found] == ["shut", "open", "shut"]
    assert found[1][0] - opened_at < 1
    assert found[2][0] - closed_at < 1
    assert agent.get()["status"]["podUID"] == before


def test_naming_another_policy_takes_effect_within_a_second_without_a_new_pod(alone: World) -> None:
    policy = alone.policy(network=OPEN)
    agent = knocking_agent(alone)
    before = agent.get()["status"]["podUID"]
    until_changed(agent, 1)

    named_at = time.time()
    agent.change(securityPolicyRef={"name": policy})
    until_changed(agent, 2)
    dropped_at = time.time()
    agent.change(securityPolicyRef=None)
    found = until_changed(agent, 3)

    assert [state for _, state in found] == ["shut", "open", "shut"]
    assert found[1][0] - named_at < 1
    assert found[2][0] - dropped_at < 1
    assert agent.until_ready()["status"]["podUID"] == before


def test_a_deleted_policy_closes_what_it_had_opened_within_a_second(alone: World) -> None:
    policy = alone.policy(network=OPEN)
    agent = knocking_agent(alone, securityPolicyRef={"name": policy})
    until_changed(agent, 1)

    deleted_at = time.time()
    alone.kube.delete(address("SecurityPolicy", alone.namespace, policy))

    found = until_changed(agent, 2)
    assert [state for _, state in found] == ["open", "shut"]
    assert found[1][0] - deleted_at < 1


def test_the_default_deny_comes_back_within_a_second_when_somebody_deletes_it(alone: World) -> None:
    namespace = alone.new_namespace("deny")
    agent = knocking_agent(alone, namespace=namespace)
    path = address("NetworkPolicy", namespace, "ringfence-default-deny")
    before = alone.kube.get(path)
    assert before is not None

    deleted_at = time.time()
    alone.kube.delete(path)
    alone.kube.until(path, lambda it: bool(it and it["metadata"]["uid"] != before["metadata"]["uid"]), seconds=5)
    took = time.time() - deleted_at

    assert took < 1
    assert opened(agent.pod, OUTSIDE | cluster_doors(alone.kube)) == set()
    assert [moment - deleted_at < 1 for moment, state in changes(agent) if state == "shut"][-1:] == [True]


def test_a_changed_default_deny_is_put_right(alone: World) -> None:
    namespace = alone.new_namespace("deny")
    agent = alone.agent(namespace=namespace)
    agent.until_ready()
    path = address("NetworkPolicy", namespace, "ringfence-default-deny")
    before = alone.kube.get(path)
    assert before is not None

    alone.kube.merge(path, {"spec": {"egress": [{}]}})

    alone.kube.until(path, lambda it: bool(it and "egress" not in it["spec"]), seconds=5)
    assert opened(agent.pod, OUTSIDE) == set()


def test_a_policys_network_policy_stripped_of_our_label_is_put_right(alone: World) -> None:
    policy = alone.policy(network=OPEN)
    agent = alone.agent(securityPolicyRef={"name": policy})
    agent.until_ready()
    path = address("NetworkPolicy", alone.namespace, f"ringfence-policy-{policy}")
    everything = {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}, "spec": {"egress": [{}]}}

    alone.kube.merge(path, everything)

    alone.kube.until(path, lambda it: bool(it and it["spec"]["egress"] != [{}]), seconds=5)
    assert opened(agent.pod, outside_doors()) == {"203.0.113.10"}


def test_a_pod_relabelled_out_of_its_confinement_is_put_back(alone: World) -> None:
    policy = alone.policy(network=OPEN)
    agent = alone.agent()
    agent.until_ready()
    stolen = {"ringfence.dev/confined": None, "ringfence.dev/policy": policy}

    alone.kube.merge(agent.pod.path, {"metadata": {"labels": stolen}})

    found = agent.pod.until(lambda it: bool(it and it["metadata"]["labels"].get("ringfence.dev/confined")), seconds=5)
    assert "ringfence.dev/policy" not in found["metadata"]["labels"]
    assert opened(agent.pod, OUTSIDE) == set()


def test_a_pod_that_loses_its_agents_label_is_found_again(alone: World) -> None:
    agent = alone.agent()
    agent.until_ready()

    alone.kube.merge(agent.pod.path, {"metadata": {"labels": {"ringfence.dev/agent": None}}})

    found = agent.pod.until(lambda it: bool(it and it["metadata"]["labels"].get("ringfence.dev/agent")), seconds=60)
    assert found["metadata"]["labels"]["ringfence.dev/agent"] == agent.name
    agent.until_ready()


def test_a_foreign_policy_that_opens_egress_shows_and_its_end_shows(alone: World) -> None:
    namespace = alone.new_namespace("foreign")
    agent = alone.agent(namespace=namespace, podMetadata={"labels": {"app": "mine"}})
    other = alone.agent("other", namespace=namespace)
    agent.until_ready()
    other.until_ready()
    spec = {"podSelector": {"matchLabels": {"app": "mine"}}, "policyTypes": ["Egress"], "egress": [{}]}

    foreign = alone.named("NetworkPolicy", "open", namespace=namespace, api="networking.k8s.io/v1", spec=spec)
    found = agent.until(_is_enforced("False"), seconds=10)
    untouched = condition(other.get(), "Enforced")
    alone.kube.delete(address("NetworkPolicy", namespace, foreign["metadata"]["name"]))
    agent.until(_is_enforced("True"), seconds=10)

    enforced = condition(found, "Enforced")
    assert enforced is not None
    assert enforced["reason"] == "ForeignNetworkPolicy"
    assert foreign["metadata"]["name"] in enforced["message"]
    assert untouched is not None
    assert untouched["status"] == "True"


def _is_enforced(status: str) -> Callable[[object], bool]:
    def holds(body: object) -> bool:
        found = condition(body if isinstance(body, dict) else None, "Enforced")
        return found is not None and found["status"] == status

    return holds


def test_no_pod_is_ever_open_before_its_namespaces_default_deny_holds(alone: World) -> None:
    namespace = alone.new_namespace("first")

    agent = alone.agent("knocking", namespace=namespace, command=["python3", "-c", KNOCKING])
    agent.until_ready()
    until_changed(agent, 1)

    assert [state for _, state in changes(agent)] == ["shut"]
