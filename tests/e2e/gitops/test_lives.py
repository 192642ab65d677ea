"""From creation to end, kstatus and Argo CD see each kind as it is, at every version that a watch delivers.

Objects are deleted in the foreground, as Argo CD does, so that there is a moment at which they are on their way out.
"""

from tests.e2e.connectors.backend import rabbitmq, secret
from tests.e2e.gitops.history import History, Life
from tests.e2e.kube import Body, address
from tests.e2e.pools.pools import pool
from tests.e2e.world import IMAGE, NO_REGISTRY, World, is_ready, reason_of

BROKER = {
    "name": "main",
    "service": {"name": "rabbitmq", "namespace": "ringfence-backends", "port": 5672},
    "tls": False,
}
DISK = {"resource": "ephemeralStorage", "max": "512Mi"}


def ended(world: World, history: History, kind: str, name: str) -> Life:
    """Delete the object and return its life."""
    path = address(kind, world.namespace, name)
    world.kube.delete(path, propagationPolicy="Foreground")
    world.kube.until(path, lambda found: found is None)
    return history.life(kind, name)


def until(world: World, kind: str, name: str, *reasons: str) -> Body:
    """Return the object once its status is about its present spec and gives one of these reasons."""
    found = world.kube.until(address(kind, world.namespace, name), lambda it: reason_of(it) in reasons)
    assert found is not None
    return found


def test_a_service_that_is_changed_broken_mended_and_suspended(world: World) -> None:
    with History(world.kube, world.namespace) as history:
        agent = world.agent("service")
        first = agent.until_ready()
        agent.change(env=[{"name": "EDITION", "value": "2"}])
        agent.until_pod_replaced(first)
        agent.change(securityPolicyRef={"name": f"late-{world.tag}"})
        agent.until_reason("PolicyNotFound")
        world.policy("late")
        agent.until_ready()
        agent.change(suspend=True)
        agent.until_reason("Suspended")
        life = ended(world, history, "Agent", agent.name)

    assert life.mistakes() == []
    moving = ["InProgress", "Current"]
    assert life.kstatus == [*moving, *moving, *moving, *moving, "Terminating"]
    health = ["Progressing", "Healthy"]
    assert life.argo == [*health, *health, *health, "Progressing", "Suspended", "Progressing"]


def test_a_task_that_succeeds(world: World) -> None:
    with History(world.kube, world.namespace) as history:
        agent = world.agent("good", mode="Task", command=["true"])
        agent.until_reason("Succeeded")
        life = ended(world, history, "Agent", agent.name)

    assert life.mistakes() == []
    assert life.kstatus == ["InProgress", "Current", "Terminating"]
    assert life.argo == ["Progressing", "Healthy", "Progressing"]


def test_a_task_that_fails(world: World) -> None:
    # A Task that runs is Current; with this probe it never comes to that, however long its pod takes to be seen.
    never = {"readiness": {"exec": {"command": ["false"]}}}
    with History(world.kube, world.namespace) as history:
        agent = world.agent("bad", mode="Task", command=["false"], restartPolicy="Never", probes=never)
        agent.until_reason("Failed")
        life = ended(world, history, "Agent", agent.name)

    assert life.mistakes() == []
    assert life.kstatus == ["InProgress", "Failed", "Terminating"]
    assert life.argo == ["Progressing", "Degraded", "Progressing"]


def test_an_agent_that_is_refused_and_mended(world: World) -> None:
    with History(world.kube, world.namespace) as history:
        agent = world.agent("open", isolation="None")
        agent.until_reason("IsolationNotAllowed")
        agent.change(isolation="Basic")
        agent.until_ready()
        life = ended(world, history, "Agent", agent.name)

    assert life.mistakes() == []
    assert life.kstatus == ["InProgress", "Failed", "InProgress", "Current", "Terminating"]
    assert life.argo == ["Progressing", "Degraded", "Progressing", "Healthy", "Progressing"]


def test_a_policy_with_a_name_that_stands_for_nothing_and_is_mended(world: World) -> None:
    good, bad = ({"allowedDomains": [{"name": name}]} for name in ("api.test", "xn--a.io"))
    with History(world.kube, world.namespace) as history:
        name = world.policy("names", network=good)
        until(world, "SecurityPolicy", name, "InForce")
        world.change_policy(name, network=bad)
        until(world, "SecurityPolicy", name, "InvalidDomain")
        world.change_policy(name, network=good)
        until(world, "SecurityPolicy", name, "InForce")
        life = ended(world, history, "SecurityPolicy", name)

    assert life.mistakes() == []
    assert life.kstatus == ["InProgress", "Current", "InProgress", "Failed", "InProgress", "Current", "Terminating"]
    assert life.argo[3:] == ["Degraded", "Progressing", "Healthy", "Progressing"]


def test_a_connector_that_leads_nowhere_and_is_mended(world: World) -> None:
    nowhere = {"agentSelector": {}, **rabbitmq("nowhere", secret(world))}
    with History(world.kube, world.namespace) as history:
        made = world.named("Connector", "mq", api="ringfence.dev/v1alpha1", spec=nowhere)
        name = made["metadata"]["name"]
        until(world, "Connector", name, "ServiceNotFound")
        path = address("Connector", world.namespace, name)
        world.kube.merge(path, {"spec": {"rabbitmq": {"endpoints": [BROKER]}}})
        until(world, "Connector", name, "NoAgents")
        life = ended(world, history, "Connector", name)

    assert life.mistakes() == []
    assert life.kstatus == ["InProgress", "Current", "Terminating"]
    assert life.argo == ["Progressing", "Healthy", "Progressing"]


def test_a_quota_that_a_running_pod_cannot_keep_and_that_is_mended(world: World) -> None:
    with History(world.kube, world.namespace) as history:
        quota = world.quota(DISK)
        until(world, "Quota", quota.name, "NoAgents")
        world.agent("held", quotaRef=quota.ref).until_ready()
        until(world, "Quota", quota.name, "Enforced")
        quota.change({**DISK, "max": "128Mi"})
        until(world, "Quota", quota.name, "NeedsNewPod")
        quota.change(DISK)
        quota.until(is_ready)
        life = ended(world, history, "Quota", quota.name)

    assert life.mistakes() == []
    assert life.kstatus == ["InProgress", "Current", "InProgress", "Failed", "InProgress", "Current", "Terminating"]
    assert life.argo[3:] == ["Degraded", "Progressing", "Healthy", "Progressing"]


def test_a_pool_that_is_filled_broken_twice_and_mended(world: World) -> None:
    sandboxed = world.policy("sandboxed", runtimeClassName=f"absent-{world.tag}")
    with History(world.kube, world.namespace) as history:
        warm = pool(world, 1)
        warm.change(template={"image": f"{NO_REGISTRY}/nothing:1"})
        until(world, "AgentPool", warm.name, "ImageNotFound")
        warm.change(template={"image": IMAGE})
        until(world, "AgentPool", warm.name, "PoolWarm")
        warm.change(template={"securityPolicyRef": {"name": sandboxed}})
        until(world, "AgentPool", warm.name, "RuntimeClassNotFound")
        warm.change(template={"securityPolicyRef": None})
        until(world, "AgentPool", warm.name, "PoolWarm")
        warm.change(size=0)
        until(world, "AgentPool", warm.name, "PoolEmpty")
        life = ended(world, history, "AgentPool", warm.name)

    assert life.mistakes() == []
    moving = ["InProgress", "Current"]
    assert life.kstatus == [*moving, *moving, "InProgress", "Failed", *moving, *moving, "Terminating"]
    health = ["Progressing", "Healthy"]
    assert life.argo == [*health, *health, "Progressing", "Degraded", *health, *health, "Progressing"]
