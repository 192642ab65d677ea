"""The back ends that come with a release for trying it out, on a real cluster."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.chart.helm import Helm, image_values
from tests.e2e.connectors.backend import reason, until, using
from tests.e2e.connectors.calls import ask, queue_with_a_message, rabbitmq, secret
from tests.e2e.doors import opened
from tests.e2e.installation import built_image
from tests.e2e.kube import Body, Kube, address
from tests.e2e.replica import SYSTEM_NAMESPACE
from tests.e2e.world import AgentHandle, PodHandle, World, limit_row

BACKENDS = "ringfence-demo-backends"
NAMES = ("redis", "rabbitmq")
PORTS = {"redis": 6379, "rabbitmq": 5672}
SHARED: Body = {"resource": "apiCalls", "max": 100, "window": "Hour", "scope": "Shared", "onStoreUnavailable": "Deny"}


@pytest.fixture
def values(helm: Helm, kubeconfig: Path) -> Iterator[tuple[str, ...]]:
    """Helm's arguments for the demo with the Redis and RabbitMQ that this node has; no release stays."""
    image = built_image(kubeconfig, "backends")
    given = [value for name in NAMES for value in image_values(f"demo.{name}", image)]
    yield tuple(f"--set={each}" for each in ("demo.enabled=true", *given))
    helm.uninstall()


def password(kube: Kube, name: str) -> str:
    """Return the password in a back end's Secret."""
    found = kube.get(address("Secret", BACKENDS, name))
    assert found is not None
    return base64.b64decode(found["data"]["password"]).decode()


def pod_of(kube: Kube, name: str) -> PodHandle:
    (found,) = kube.items(address("Pod", BACKENDS), labelSelector=f"app.kubernetes.io/name={name}")
    return PodHandle(kube, BACKENDS, found["metadata"]["name"])


def traces(kube: Kube) -> list[tuple[str, str]]:
    """Return each back end's password, and which pod it is."""
    return [(password(kube, name), pod_of(kube, name).get()["metadata"]["uid"]) for name in NAMES]


def connector(world: World) -> str:
    """Create a Connector to the broker, as NOTES.txt shows one, for queues of the test's own; return its name."""
    service = {"name": "rabbitmq", "namespace": BACKENDS, "port": PORTS["rabbitmq"]}
    credential = secret(world, "demo", password(world.kube, "rabbitmq"))
    auth = {"secretName": credential, "password": {"user": "agents"}}
    return rabbitmq(world, endpoints=[{"name": "main", "service": service, "tls": False}], auth=auth)


def until_kept(agent: AgentHandle, *, seconds: float = 90) -> None:
    """Return once the cache takes a value: new counters count as away until every pod has spoken."""
    end = time.monotonic() + seconds
    while (answer := ask(agent, "cache/k", {"value": 1}, method="PUT"))[0] // 100 != 2:
        assert time.monotonic() < end, answer
        time.sleep(0.2)


def doors(kube: Kube) -> dict[str, tuple[str, str, int]]:
    """Return the doors of both back ends' pods."""
    return {name: ("tcp", pod_of(kube, name).ips()[0], PORTS[name]) for name in NAMES}


def test_agents_use_the_back_ends_that_come_with_a_release_and_an_upgrade_leaves_both_as_they_are(
    kube: Kube, helm: Helm, values: tuple[str, ...], namespace: str
) -> None:
    said = helm.install(*values)
    before = traces(kube)
    helm.install(*values, "--set=settings.logLevel=debug")
    after = traces(kube)

    with World(kube, namespace) as world:
        name, quota = connector(world), world.quota(SHARED)
        agent = using(world, name, quotaRef=quota.ref)
        agent.until_ready()
        until(agent, "Connector", name, "EndpointsHealthy")
        until_kept(agent)
        queue_with_a_message(world, agent, name)
        counted = quota.until(lambda it: int(limit_row(it, "apiCalls").get("used") or 0) >= 3, seconds=60)
        stranger = opened(world.pod("stranger"), doors(kube))
        own = agent.pod.script("knock", doors(kube), container="agent")

        redis = pod_of(kube, "redis")
        client = ("redis-cli", "-a", password(kube, "redis"), "--no-auth-warning")
        keys = redis.output(*client, "--scan", "--pattern", f"rf:{{{namespace}}}:*").split()
        uid = quota.get()["metadata"]["uid"]

        assert after == before
        assert f"RabbitMQ in namespace {BACKENDS}" in said
        assert any(f":quota:{uid}:apiCalls:" in key for key in keys), keys
        assert any(":quota:" not in key for key in keys), keys
        assert reason(counted) == ("True", "Enforced")
        assert redis.output(*client, "config", "get", "appendfsync").split() == ["appendfsync", "always"]
        assert redis.output(*client, "config", "get", "maxmemory-policy").split() == ["maxmemory-policy", "noeviction"]
        assert (stranger, own) == (set(), dict.fromkeys(NAMES, "open"))


def test_nothing_of_the_back_ends_stays_after_the_release(kube: Kube, helm: Helm, values: tuple[str, ...]) -> None:
    helm.install(*values)
    was_there = kube.get(address("Secret", SYSTEM_NAMESPACE, "ringfence-redis")) is not None

    helm.uninstall()

    kube.until(address("Namespace", name=BACKENDS), lambda it: it is None, seconds=120)
    assert was_there
    assert kube.get(address("Secret", SYSTEM_NAMESPACE, "ringfence-redis")) is None
