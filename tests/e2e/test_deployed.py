"""The operator as it is installed: its image, its manifests, and rights that are enough and no more."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.doors import doors_of, listening_pod, opened
from tests.e2e.installation import (
    DEPLOYMENTS,
    GATEWAY,
    LEASE,
    OPERATOR,
    OPERATOR_USER,
    Installation,
    built_image,
    holder_of,
    is_rolled_out,
    manifests,
)
from tests.e2e.kube import Kube, address
from tests.e2e.operator_slot import OperatorSlot
from tests.e2e.replica import metric_in
from tests.e2e.world import World

DEPLOYMENT = DEPLOYMENTS[OPERATOR]


@pytest.fixture(scope="module")
def installed(kube: Kube, kubeconfig: Path, operator_slot: OperatorSlot) -> Iterator[Installation]:
    """Operator and gateway from the manifests, instead of the operator from source."""
    operator_slot.stop()
    was_there = kube.get(DEPLOYMENT) is not None
    images = {name: built_image(kubeconfig, name) for name in ("operator", "gateway", "sidecar", "starter")}
    found = Installation(kube, manifests(images))
    found.apply()
    yield found
    found.remove(keep=was_there)


@pytest.fixture
def served(kube: Kube, namespace: str, installed: Installation) -> Iterator[World]:
    """A world that the installed operator looks after."""
    with World(kube, namespace) as world:
        yield world


def test_the_installed_operators_rights_are_enough_for_everything_it_does(
    served: World, installed: Installation
) -> None:
    policy = served.policy(network={"cidrs": [{"cidr": "203.0.113.0/24"}]})
    worker = served.agent("worker", workspace={"size": "16Mi"}, securityPolicyRef={"name": policy})
    server = served.agent("server", ports=[{"name": "http", "port": 8080}])
    task = served.agent("task", mode="Task", command=["true"], ttlAfterFinished="1s")
    missing = served.agent("missing", files=[{"path": "/late", "configMap": {"name": "no-such-map"}}])
    refused = served.agent("refused", securityPolicyRef={"name": "no-such-policy"})

    before = worker.until_ready()
    server.until_ready()
    task.until_gone()
    refused.until_reason("PolicyNotFound")
    missing.until_reason("ConfigNotFound")
    worker.change(workspace={"reclaimPolicy": "Retain"}, env=[{"name": "EDITION", "value": "2"}])
    worker.until_pod_replaced(before)
    worker.change(workspace={"reclaimPolicy": "Delete"}, suspend=True)
    worker.until_reason("Suspended")
    server.change(ports=[])
    served.kube.until(address("Service", server.namespace, server.name), lambda it: it is None)
    past_the_guard = served.kube.as_user(OPERATOR_USER)
    past_the_guard.merge(server.pod.path, {"metadata": {"labels": {"ringfence.dev/confined": None}}})
    server.pod.until(lambda it: bool(it and "ringfence.dev/confined" in it["metadata"]["labels"]))
    served.kube.delete(address("SecurityPolicy", served.namespace, policy))
    served.kube.until(address("NetworkPolicy", served.namespace, f"ringfence-policy-{policy}"), lambda it: it is None)

    pages = [installed.metrics(pod) for pod in installed.pods()]
    assert len(pages) == 2
    assert [metric_in(page, "rest_client_requests_total", 'code="403"') for page in pages] == [0, 0]
    assert [metric_in(page, "controller_runtime_reconcile_errors_total") for page in pages] == [0, 0]


def test_one_of_two_replicas_leads_and_the_other_follows_it(served: World, installed: Installation) -> None:
    (leader,) = installed.leaders()
    agent = served.agent()
    before = agent.until_ready()

    leader.delete()
    served.kube.until(LEASE, lambda it: holder_of(it) not in ("", leader.name), seconds=15)
    agent.pod.delete()

    agent.until_pod_replaced(before)
    served.kube.until(DEPLOYMENT, is_rolled_out, seconds=60)
    assert leader.name not in [pod.name for pod in installed.pods()]
    assert len(installed.leaders()) == 1


def test_no_agent_reaches_the_operator_whatever_its_policy_says(served: World, installed: Installation) -> None:
    elsewhere = served.new_namespace("elsewhere")
    control = listening_pod(served, namespace=elsewhere)
    policy = served.policy(network={"destinations": [{"namespaceSelector": {}}], "cidrs": [{"cidr": "0.0.0.0/0"}]})
    agent = served.agent(securityPolicyRef={"name": policy})
    agent.until_ready()
    replicas = {name: door for pod in installed.pods() for name, door in doors_of(pod.name, pod).items()}

    reached = opened(agent.pod, replicas | doors_of("control", control))

    assert reached == {"control 4:8080", "control 6:8080"}
    assert len(replicas) == 4


def test_the_products_own_pods_are_confined(served: World, installed: Installation) -> None:
    pods = [*installed.pods(OPERATOR), *installed.pods(GATEWAY)]
    seats = {
        (pod.name, container): pod.script("seat", ["/", "/tmp"], container=container)
        for pod in pods
        for container in pod.containers()
    }

    assert len(seats) == 8
    for (_, container), seat in seats.items():
        assert seat["uid"] == 65532
        assert seat["capabilities"] == [0, 0, 0, 0]
        assert seat["seccomp"] == "2"
        assert seat["writing"] == {"/": "EROFS", "/tmp": "EROFS"}
        assert bool(seat["tokens"]) == (container == "operator")
