"""The chart on a real cluster: what it renders is taken; a release comes, changes and goes while agents run."""

from collections.abc import Iterator

import pytest

from tests.chart.chart import objects
from tests.chart.everything import everything
from tests.chart.snapshots import sets
from tests.e2e.chart.helm import RELEASE, WAIT, Helm
from tests.e2e.foreign_kinds import crd_of, made_of
from tests.e2e.installation import DEPLOYMENTS, is_rolled_out
from tests.e2e.kube import APPLY, PLURALS, Body, Kube, RefusedError, address, address_of
from tests.e2e.replica import SYSTEM_NAMESPACE
from tests.e2e.world import World, namespace_body

PROMETHEUS_OPERATOR = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
"""The Go module whose CustomResourceDefinitions say what these may hold; the operator itself is not in this cluster."""
MONITORING = {"PodMonitor": "podmonitors", "PrometheusRule": "prometheusrules", "ServiceMonitor": "servicemonitors"}
NOT_OURS = frozenset({"Event", "Pod", "EndpointSlice"})
"""Kinds that Kubernetes makes from others, with their labels."""


@pytest.fixture(scope="module")
def spaces(kube: Kube) -> Iterator[None]:
    """The namespaces that objects are in, be it that the values name them or that the release would make them."""
    bodies = [body for values in sets().values() for body in objects(values, namespace=SYSTEM_NAMESPACE)]
    names = {body["metadata"].get("namespace") for body in bodies} - {None, "default", SYSTEM_NAMESPACE}
    with made_of(kube, [namespace_body(name) for name in sorted(names)]):
        yield


@pytest.fixture(scope="module")
def monitoring(kube: Kube) -> Iterator[None]:
    """The Prometheus operator's kinds, without it."""
    folder = "example/prometheus-operator-crd/monitoring.coreos.com"
    with made_of(kube, [crd_of(PROMETHEUS_OPERATOR, f"{folder}_{plural}.yaml") for plural in MONITORING.values()]):
        yield


@pytest.mark.usefixtures("spaces", "monitoring")
@pytest.mark.parametrize("values", sets().values(), ids=sets().keys())
def test_the_api_server_takes_each_object_as_it_is_rendered(kube: Kube, values: Body) -> None:
    bodies = objects(values, namespace=SYSTEM_NAMESPACE)

    for body in bodies:
        _try(kube, body)

    assert len(bodies) > 20


@pytest.mark.usefixtures("monitoring")
@pytest.mark.parametrize("kind", MONITORING)
def test_the_kinds_of_the_prometheus_operator_refuse_a_field_that_they_do_not_know(kube: Kube, kind: str) -> None:
    body = next(each for each in objects(everything(), namespace=SYSTEM_NAMESPACE) if each["kind"] == kind)

    with pytest.raises(RefusedError, match="mistyped"):
        _try(kube, {**body, "spec": {**body["spec"], "mistyped": "x"}})


def _try(kube: Kube, body: Body) -> None:
    """Ask the API server whether it would take an object as it is. Raises RefusedError."""
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

    helm.uninstall()

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
    kinds = PLURALS.keys() - NOT_OURS - MONITORING.keys()
    return {kind for kind in kinds if kube.items(address(kind), labelSelector=selector)}
