"""The operator's own death, restart and succession, with agents that must not notice."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.kube import Body, Kube, address
from tests.e2e.operator_slot import SETTINGS, OperatorSlot
from tests.e2e.replica import SYSTEM_NAMESPACE, Replica
from tests.e2e.world import World, is_ready
from tests.e2e.writes import AuditLog, versions

LEASE = address("Lease", SYSTEM_NAMESPACE, "ringfence-operator")
MakeReplica = Callable[[str], Replica]


@pytest.fixture
def crowd(kube: Kube, operator_slot: OperatorSlot) -> Iterator[World]:
    """A world in a namespace of its own, and no operator yet."""
    operator_slot.stop()
    with World(kube, "") as world:
        world.namespace = world.new_namespace("crowd")
        yield world


@pytest.fixture
def replica(kubeconfig: Path, crowd: World) -> Iterator[MakeReplica]:
    """Starts replicas that end with the test."""
    started: list[Replica] = []

    def start(name: str) -> Replica:
        made = Replica(kubeconfig, f"{name}-{crowd.tag}", **SETTINGS)
        made.start()
        started.append(made)
        return made

    yield start
    for each in started:
        each.kill()
    crowd.kube.delete(LEASE)


@pytest.fixture
def audit(kubeconfig: Path) -> AuditLog:
    return AuditLog(kubeconfig)


def agents_of(world: World) -> list[Body]:
    return world.kube.items(address("Agent", world.namespace))


def until_all(world: World, count: int, *, seconds: float) -> None:
    """Return once `count` agents are ready."""
    deadline = time.monotonic() + seconds
    while (ready := sum(is_ready(each) for each in agents_of(world))) < count:
        assert time.monotonic() < deadline, f"{ready} of {count} agents are ready after {seconds} s"
        time.sleep(0.2)


def until_settled(world: World, audit: AuditLog, *, quiet: float = 7) -> None:
    """Return once the operator has written nothing for `quiet` seconds: a policy's count may come late."""
    seen, since = versions(world.kube), time.monotonic()
    deadline = since + 60
    while time.monotonic() - since < quiet:
        assert time.monotonic() < deadline, f"not settled: {audit.writes_since(0)[-5:]}"
        time.sleep(0.5)
        now = versions(world.kube)
        if now != seen:
            seen, since = now, time.monotonic()


def test_a_restart_of_a_settled_fleet_writes_nothing(crowd: World, replica: MakeReplica, audit: AuditLog) -> None:
    policy = crowd.policy(network={"cidrs": [{"cidr": "203.0.113.0/24"}]})
    first = replica("first")
    first.until_leader()
    for each in range(4):
        crowd.agent(f"service-{each}", ports=[{"name": "http", "port": 8080}])
        crowd.agent(f"bound-{each}", securityPolicyRef={"name": policy})
    crowd.agent("worker", workspace={"size": "16Mi"})
    crowd.agent("done", mode="Task", command=["true"])
    crowd.agent("resting", suspend=True)
    crowd.agent("refused", isolation="None")
    until_all(crowd, 10, seconds=90)
    until_settled(crowd, audit)
    first.stop()
    before, mark = versions(crowd.kube), audit.mark()

    second = replica("second")
    second.until_leader()
    until_settled(crowd, audit)

    assert audit.writes_since(mark) == []
    assert versions(crowd.kube) == before


def test_a_leader_killed_among_fifty_agents_loses_and_doubles_nothing(
    crowd: World, replica: MakeReplica, audit: AuditLog
) -> None:
    first = replica("first")
    first.until_leader()
    second = replica("second")
    second.until_ready()
    mark = audit.mark()

    with ThreadPoolExecutor(4) as pool:
        made = [pool.submit(crowd.agent, f"agent-{each:02d}") for each in range(50)]
        crowd.kube.until(f"{address('Pod', crowd.namespace)}/agent-20-{crowd.tag}", lambda it: it is not None)
        first.kill()
        killed = time.monotonic()
        second.until_leader(seconds=15)
        took = time.monotonic() - killed
        [each.result() for each in made]
    until_all(crowd, 50, seconds=150)

    pods = crowd.kube.items(address("Pod", crowd.namespace))
    owners = [pod["metadata"]["ownerReferences"][0]["uid"] for pod in pods]
    agents = {agent["metadata"]["uid"]: agent["status"]["podUID"] for agent in agents_of(crowd)}
    on_pods = [(write.verb, write.code) for write in audit.writes_since(mark) if "/pods" in write.path]
    assert took <= 15
    assert sorted(owners) == sorted(agents)
    assert {pod["metadata"]["uid"] for pod in pods} == set(agents.values())
    assert all(agent["status"]["restarts"] == 0 for agent in agents_of(crowd))
    # Whom nobody is left to answer, the audit log does not show as created: what each worker had just sent.
    assert on_pods.count(("create", 201)) <= 50
    assert [verb for verb, _ in on_pods if verb != "create"] == []


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_leaders_killed_over_and_over_lose_and_double_nothing(crowd: World, replica: MakeReplica) -> None:
    chance = random.Random(20)
    leader = replica("leader-0")
    leader.until_leader()
    for each in range(1, 13):
        heir = replica(f"leader-{each}")
        heir.until_ready()
        pods = crowd.kube.items(address("Pod", crowd.namespace))
        for pod in chance.sample(pods, min(2, len(pods))):
            crowd.kube.delete(f"{address('Pod', crowd.namespace)}/{pod['metadata']['name']}")
        for number in range(3):
            crowd.agent(f"agent-{each}-{number}")
        time.sleep(chance.random() / 2)
        leader.kill()
        heir.until_leader(seconds=15)
        leader = heir

    until_all(crowd, 36, seconds=150)
    pods = crowd.kube.items(address("Pod", crowd.namespace))
    owners = [pod["metadata"]["ownerReferences"][0]["uid"] for pod in pods]
    assert sorted(owners) == sorted(agent["metadata"]["uid"] for agent in agents_of(crowd))
    assert all(agent["status"]["failures"] == 0 for agent in agents_of(crowd))


def test_two_replicas_never_write_at_the_same_time(crowd: World, replica: MakeReplica) -> None:
    first = replica("first")
    first.until_leader()
    second = replica("second")
    second.until_ready()
    for each in range(10):
        crowd.agent(f"agent-{each}", suspend=True)

    first.stop()
    second.until_leader(seconds=5)
    for each in range(10, 20):
        crowd.agent(f"agent-{each}", suspend=True)
    _until_suspended(crowd, 20)
    # A status is in the API before its Event is written, and in the log after it.
    deadline = time.monotonic() + 5
    while len(second.logged("agent.status")) < 10 and time.monotonic() < deadline:
        time.sleep(0.05)

    ended = max(str(record["time"]) for record in first.logged("agent.status"))
    began = min(str(record["time"]) for record in second.logged("agent.status"))
    assert len(first.logged("agent.status")) + len(second.logged("agent.status")) == 20
    assert ended < began


def test_a_clean_shutdown_hands_over_at_once(crowd: World, replica: MakeReplica) -> None:
    first = replica("first")
    first.until_leader()
    second = replica("second")
    second.until_ready()

    asked = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(first.stop)
        second.until_leader(seconds=10)
        took = time.monotonic() - asked
        lasted = stopped.result()

    assert took < 3
    assert lasted < 3
    holder = crowd.kube.get(LEASE)
    assert holder is not None
    assert holder["spec"]["holderIdentity"].startswith(second.identity)


def test_a_follower_is_ready_and_does_nothing(crowd: World, replica: MakeReplica) -> None:
    first = replica("first")
    first.until_leader()

    second = replica("second")

    second.until_ready()
    agent = crowd.agent(suspend=True)
    agent.until_reason("Suspended")
    assert not second.is_leader
    assert second.logged("agent.status") == []


def test_what_happened_while_no_operator_ran_is_made_good(crowd: World, replica: MakeReplica) -> None:
    first = replica("first")
    first.until_leader()
    lost, changed = crowd.agent("lost"), crowd.agent("changed")
    policy = crowd.policy(network={"cidrs": [{"cidr": "203.0.113.0/24"}]})
    befores = [each.until_ready() for each in (lost, changed)]
    first.stop()

    lost.pod.delete()
    crowd.kube.until(lost.pod.path, lambda it: it is None)
    changed.change(env=[{"name": "EDITION", "value": "second"}])
    crowd.kube.delete(address("NetworkPolicy", crowd.namespace, "ringfence-default-deny"))
    crowd.kube.delete(address("SecurityPolicy", crowd.namespace, policy))
    late = crowd.agent("late")
    replica("second").until_leader()

    lost.until_pod_replaced(befores[0])
    changed.until_pod_replaced(befores[1])
    late.until_ready()
    crowd.kube.until(address("NetworkPolicy", crowd.namespace, "ringfence-default-deny"), lambda it: it is not None)
    crowd.kube.until(address("NetworkPolicy", crowd.namespace, f"ringfence-policy-{policy}"), lambda it: it is None)


def test_a_cold_agent_costs_three_writes_at_most(crowd: World, replica: MakeReplica, audit: AuditLog) -> None:
    if not audit.exists:
        pytest.skip("this cluster keeps no audit log to count in")
    replica("only").until_leader()
    crowd.agent("first").until_ready()
    until_settled(crowd, audit, quiet=3)
    mark = audit.mark()

    agent = crowd.agent("second")
    agent.until_ready()
    until_settled(crowd, audit, quiet=3)

    writes = audit.writes_since(mark)
    assert 1 <= len(writes) <= 3, writes


def _until_suspended(world: World, count: int) -> None:
    deadline = time.monotonic() + 20
    while (found := [each["status"].get("state") for each in agents_of(world)]).count("Suspended") < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
