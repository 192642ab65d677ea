"""The chart on a real cluster: what it renders is taken; a release comes, changes and goes while agents run."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster.binaries import binary, build
from devcluster.step import Progress
from tests.chart.chart import HOMES, objects
from tests.chart.everything import everything
from tests.e2e.installation import DEPLOYMENTS, OPERATOR, Installation, built_image, is_rolled_out, manifests
from tests.e2e.kube import APPLY, PLURALS, Body, Kube, address, address_of
from tests.e2e.operator_slot import OperatorSlot
from tests.e2e.replica import SYSTEM_NAMESPACE
from tests.e2e.world import World, namespace_body
from tools.chart import CHART

RELEASE = "ringfence"
WAIT = ("--wait", "--timeout", "4m")
OTHERS = frozenset({"PodMonitor", "PrometheusRule", "ServiceMonitor"})
"""Of the Prometheus operator, which is not in this cluster."""
NOT_OURS = frozenset({"Event", "Pod", "EndpointSlice"})
"""Kinds that Kubernetes makes from others, with their labels."""


class Helm:
    """Helm, with the rights of the cluster's administrator."""

    def __init__(self, kubeconfig: Path, images: dict[str, str]) -> None:
        build(["helm"], Progress("Helm"))
        self._environment = {**os.environ, **HOMES, "KUBECONFIG": str(kubeconfig)}
        self._images = [f"--set={value}" for name, image in images.items() for value in _image(name, image)]

    def run(self, *arguments: str) -> str:
        """Return what it prints."""
        ran = subprocess.run(
            [binary("helm"), *arguments, "--namespace", SYSTEM_NAMESPACE],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr + ran.stdout
        return ran.stdout

    def install(self, *values: str) -> str:
        """Have the chart of this tree there, with its images and these values."""
        return self.run("upgrade", "--install", "--take-ownership", RELEASE, str(CHART), *WAIT, *self._images, *values)


def _image(name: str, reference: str) -> tuple[str, str]:
    repository, _, tag = reference.rpartition(":")
    return f"{name}.image.repository={repository}", f"{name}.image.tag={tag}"


@pytest.fixture(scope="module")
def helm(kube: Kube, kubeconfig: Path, operator_slot: OperatorSlot) -> Iterator[Helm]:
    """Helm, and no operator; one that was installed otherwise is there again in the end."""
    operator_slot.stop()
    was_there = kube.get(DEPLOYMENTS[OPERATOR]) is not None
    images = {name: built_image(kubeconfig, name) for name in ("operator", "gateway", "sidecar")}
    yield Helm(kubeconfig, images)
    if was_there:
        Installation(kube, manifests(images)).apply()


@pytest.fixture(scope="module")
def spaces(kube: Kube) -> Iterator[None]:
    """The namespaces that the values name, in which there would be rights."""
    names = everything()["rbac"]["namespaces"]
    for name in names:
        kube.apply(namespace_body(name))
    yield
    for name in names:
        kube.delete(address("Namespace", name=name))


@pytest.mark.usefixtures("spaces")
@pytest.mark.parametrize("values", [{}, everything()], ids=["default", "everything"])
def test_the_api_server_takes_each_object_as_it_is_rendered(kube: Kube, values: Body) -> None:
    bodies = [each for each in objects(values, namespace=SYSTEM_NAMESPACE) if each["kind"] not in OTHERS]

    for body in bodies:
        # Helm puts further objects that name no namespace into the release's.
        own = {"namespace": SYSTEM_NAMESPACE} if body["kind"] == "ConfigMap" else {}
        kube.request(
            "PATCH",
            address_of({**body, "metadata": {**own, **body["metadata"]}}),
            body,
            content_type=APPLY,
            fieldManager="dry-run",
            fieldValidation="Strict",
            force="true",
            dryRun="All",
        )

    assert len(bodies) > 20


def test_agents_run_on_while_a_release_is_upgraded_and_rolled_back_and_nothing_stays_after_it(
    kube: Kube, helm: Helm, namespace: str
) -> None:
    said = helm.install()
    with World(kube, namespace) as world:
        policy = world.policy(network={"allowedDomains": [{"name": "api.example"}]})
        agent = world.agent(securityPolicyRef={"name": policy})
        before = agent.until_ready()["status"]["podUID"]

        helm.install("--set=settings.logLevel=debug", "--set=gateway.names.logLevel=debug")
        upgraded = _levels(kube)
        later = world.agent("later")
        later.until_ready()
        helm.run("rollback", RELEASE, "1", *WAIT)
        rolled_back = _levels(kube)
        last = world.agent("last")
        last.until_ready()

        assert (upgraded, rolled_back) == ({"debug"}, {"info"})
        assert agent.until_ready()["status"]["podUID"] == before
        assert agent.pod.get()["metadata"]["uid"] == before

    helm.run("uninstall", RELEASE, *WAIT)

    assert f"namespace {SYSTEM_NAMESPACE}" in said
    assert _left(kube) == {"CustomResourceDefinition"}


def _levels(kube: Kube) -> set[str]:
    """Return how much operator and names' processes log, of which both Deployments are rolled out."""
    found = set()
    for path in DEPLOYMENTS.values():
        body = kube.until(path, is_rolled_out, seconds=120)
        assert body is not None
        for container in body["spec"]["template"]["spec"]["containers"]:
            if container["name"] in ("operator", "names"):
                found |= {each["value"] for each in container["env"] if each["name"].endswith("_LOG_LEVEL")}
    return found


def _left(kube: Kube) -> set[str]:
    """Return the kinds of which the release's objects are still there."""
    selector = f"app.kubernetes.io/instance={RELEASE}"
    kinds = PLURALS.keys() - NOT_OURS
    return {kind for kind in kinds if kube.items(address(kind), labelSelector=selector)}
