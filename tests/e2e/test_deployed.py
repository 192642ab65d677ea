"""The operator as it is installed: its image, its manifests, and rights that are enough and no more."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.e2e.doors import doors_of, listening_pod, opened
from tests.e2e.kube import Body, Kube, address, address_of
from tests.e2e.operator_slot import OperatorSlot
from tests.e2e.replica import ROOT, SYSTEM_NAMESPACE, metric_in
from tests.e2e.world import PodHandle, World, is_pod_ready

DEPLOYMENT = address("Deployment", SYSTEM_NAMESPACE, "ringfence-operator")
LEASE = address("Lease", SYSTEM_NAMESPACE, "ringfence-operator")
SELECTOR = "app.kubernetes.io/name=ringfence-operator"


@dataclass(frozen=True, slots=True)
class Installation:
    """The Deployment's pods."""

    kube: Kube

    def pods(self) -> list[PodHandle]:
        found = self.kube.items(address("Pod", SYSTEM_NAMESPACE), labelSelector=SELECTOR)
        running = [each for each in found if "deletionTimestamp" not in each["metadata"] and is_pod_ready(each)]
        return [PodHandle(self.kube, SYSTEM_NAMESPACE, each["metadata"]["name"]) for each in running]

    def metrics(self, pod: PodHandle) -> str:
        """Return what the pod's metrics page says, by way of the API server."""
        path = f"{address('Pod', SYSTEM_NAMESPACE)}/http:{pod.name}:8080/proxy/metrics"
        return str(self.kube.request("GET", path)["message"])

    def leaders(self) -> list[PodHandle]:
        name = "leader_election_master_status"
        return [pod for pod in self.pods() if metric_in(self.metrics(pod), name) == 1]


@pytest.fixture(scope="module")
def image(kubeconfig: Path) -> str:
    """The operator's image of this tree, on the node."""
    cluster = os.environ.get("RINGFENCE_CLUSTER") or kubeconfig.stem
    ran = subprocess.run(
        [sys.executable, "-m", "devcluster", "build", "operator"],
        env={**os.environ, "RINGFENCE_CLUSTER": cluster},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.split()[-1]


def manifests(image: str) -> list[Body]:
    """Return all of deploy/, with this image."""
    bodies = [
        body for path in sorted((ROOT / "deploy").glob("*.yaml")) for body in yaml.safe_load_all(path.read_text())
    ]
    for body in bodies:
        if body["kind"] == "Deployment":
            body["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return bodies


@pytest.fixture(scope="module")
def installed(kube: Kube, operator_slot: OperatorSlot, image: str) -> Iterator[Installation]:
    """Two replicas from the manifests, instead of the operator from source."""
    operator_slot.stop()
    was_there = kube.get(DEPLOYMENT) is not None
    bodies = manifests(image)
    for body in bodies:
        kube.apply(body)
    kube.until(DEPLOYMENT, _is_rolled_out, seconds=120)
    yield Installation(kube)
    # Its rights go last: without them, the leader cannot give up the Lease.
    kube.merge(DEPLOYMENT, {"spec": {"replicas": 0}})
    for pod in kube.items(address("Pod", SYSTEM_NAMESPACE), labelSelector=SELECTOR):
        kube.until(address("Pod", SYSTEM_NAMESPACE, pod["metadata"]["name"]), lambda it: it is None, seconds=60)
    if not was_there:
        for body in bodies:
            if body["kind"] != "Namespace":
                kube.delete(address_of(body))


def _is_rolled_out(found: Body | None) -> bool:
    if found is None or found["status"].get("observedGeneration") != found["metadata"]["generation"]:
        return False
    status = found["status"]
    return bool(status.get("updatedReplicas") == status.get("availableReplicas") == status.get("replicas") == 2)


def _holder(lease: Body | None) -> str:
    """Return the name of the pod that holds the Lease."""
    holder = (lease or {}).get("spec", {}).get("holderIdentity") or ""
    return str(holder).partition("_")[0]


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
    served.kube.merge(server.pod.path, {"metadata": {"labels": {"ringfence.dev/confined": None}}})
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
    served.kube.until(LEASE, lambda it: _holder(it) not in ("", leader.name), seconds=15)
    agent.pod.delete()

    agent.until_pod_replaced(before)
    served.kube.until(DEPLOYMENT, _is_rolled_out, seconds=60)
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


def test_the_operators_own_pods_are_confined(served: World, installed: Installation) -> None:
    for pod in installed.pods():
        seat = pod.script("seat", ["/", "/tmp"])

        assert seat["uid"] == 65532
        assert seat["capabilities"] == [0, 0, 0, 0]
        assert seat["seccomp"] == "2"
        assert seat["writing"] == {"/": "EROFS", "/tmp": "EROFS"}
