"""What the chart renders is good for every version of Kubernetes that is supported, by that version's own documents."""

import copy
import re
from pathlib import Path

import pytest
import yaml

from tests.chart.chart import Body, objects
from tests.chart.kubernetes import VERSIONS, Kubernetes
from tests.chart.snapshots import sets

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = "monitoring.coreos.com/"
"""Not Kubernetes' own: tests/e2e/chart asks the Prometheus operator's CustomResourceDefinitions about these."""


@pytest.fixture(scope="module", params=VERSIONS)
def kubernetes(request: pytest.FixtureRequest) -> Kubernetes:
    # An error here is one of the tests: without the documents nothing is known, and nothing passes.
    return Kubernetes(request.param)


def minor(version: str) -> str:
    """Return `1.33` of `v1.33.13`."""
    return version.removeprefix("v").rpartition(".")[0]


def operator() -> Body:
    """Return a Deployment that may be changed."""
    found = {each["metadata"]["name"]: each for each in objects() if each["kind"] == "Deployment"}
    return copy.deepcopy(found["ringfence-operator"])


@pytest.mark.parametrize("values", sets().values(), ids=sets().keys())
def test_every_object_is_one_that_this_version_knows_field_by_field(kubernetes: Kubernetes, values: Body) -> None:
    bodies = [each for each in objects(values) if not each["apiVersion"].startswith(FOREIGN)]

    assert [error for body in bodies for error in kubernetes.errors(body)] == []
    assert len(bodies) > 20


def test_mistake_in_an_object_is_told_with_its_place(kubernetes: Kubernetes) -> None:
    mistaken = operator()
    mistaken["spec"]["replicsa"] = mistaken["spec"].pop("replicas")
    del mistaken["spec"]["selector"]
    pod = mistaken["spec"]["template"]["spec"]
    pod["terminationGracePeriodSeconds"] = "30"
    pod["containers"][0]["imagePullPolicy"] = "Sometimes"
    pod["containers"][0]["ports"][0]["containerPort"] = 2**31
    pod["topologySpreadConstraints"][0]["maxSkew"] = 1.0

    said = kubernetes.errors(mistaken)

    spec, inside = "Deployment/ringfence-operator $.spec", "Deployment/ringfence-operator $.spec.template.spec"
    assert set(said) == {
        f"{spec}: 'selector' is a required property",
        f"{spec}: Additional properties are not allowed ('replicsa' was unexpected)",
        f"{inside}.terminationGracePeriodSeconds: '30' is not of type 'integer'",
        f"{inside}.containers[0].imagePullPolicy: 'Sometimes' is not one of ['Always', 'IfNotPresent', 'Never']",
        f"{inside}.containers[0].ports[0].containerPort: {2**31} is not a 'int32'",
        f"{inside}.topologySpreadConstraints[0].maxSkew: 1.0 is not of type 'integer'",
    }


def test_word_in_a_list_is_held_against_those_that_there_are(kubernetes: Kubernetes) -> None:
    binding = copy.deepcopy(next(each for each in objects() if each["kind"] == "ValidatingAdmissionPolicyBinding"))
    binding["spec"]["validationActions"] = ["Refuse"]

    (said,) = kubernetes.errors(binding)

    assert "$.spec.validationActions[0]: 'Refuse' is not one of ['Audit', 'Deny', 'Warn']" in said


def test_version_of_an_api_that_came_later_is_refused_by_the_versions_before(kubernetes: Kubernetes) -> None:
    body = {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": "x"}, "spec": {}}

    said = kubernetes.errors(body)

    lacking = [f"{kubernetes.version} has no DeviceClass of resource.k8s.io/v1"]
    assert said == (lacking if minor(kubernetes.version) == "1.33" else [])


def test_field_that_came_later_is_refused_by_the_versions_before(kubernetes: Kubernetes) -> None:
    newer = operator()
    newer["spec"]["template"]["spec"]["hostnameOverride"] = "x"

    said = kubernetes.errors(newer)

    assert bool(said) == (minor(kubernetes.version) == "1.33")


def test_versions_are_those_that_the_chart_and_ci_name_and_the_last_is_the_development_clusters() -> None:
    chart = yaml.safe_load((ROOT / "charts/ringfence/Chart.yaml").read_text())
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    matrix = workflow["jobs"]["quickstart"]["strategy"]["matrix"]["include"]
    pinned = re.search(r"^\s+k8s\.io/kubernetes (\S+)", (ROOT / "devcluster/node/go.mod").read_text(), re.MULTILINE)

    minors = [minor(each) for each in VERSIONS]

    assert minors == [each["kubernetes"] for each in matrix]
    assert chart["kubeVersion"] == f">={minors[0]}.0-0"
    assert pinned is not None
    assert pinned[1] == VERSIONS[-1]
