"""With its default values, the chart is deploy/, but for what is listed here."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from ringfence_gateway import envoy
from ringfence_gateway.environment import Environment
from ringfence_operator.__main__ import parse_arguments
from ringfence_operator.control.__main__ import Settings as ControlSettings
from ringfence_operator.settings import Settings
from tests.chart.chart import NAMESPACE, Body, objects

ROOT = Path(__file__).resolve().parents[2]
RELEASE_LABELS = ("app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by")
IDENTITY = {"RINGFENCE_OPERATOR_IDENTITY": "pod", "RINGFENCE_OPERATOR_NAMESPACE": NAMESPACE}
GATEWAY = {"RINGFENCE_GATEWAY_POD": "pod", "RINGFENCE_GATEWAY_CONTROL": "control:1"}
CONCURRENCY = "RINGFENCE_GATEWAY_CONCURRENCY"


def key_of(body: Body) -> tuple[str, str, str, str]:
    meta = body["metadata"]
    return body["apiVersion"], body["kind"], meta.get("namespace", ""), meta["name"]


def by_key(bodies: list[Body]) -> dict[tuple[str, str, str, str], Body]:
    found = {key_of(body): body for body in bodies}
    assert len(found) == len(bodies)
    return found


def read(*patterns: str, namespace: str = NAMESPACE) -> list[Body]:
    """Return the manifests of this tree, as they would be in another namespace."""
    paths = [path for pattern in patterns for path in sorted(ROOT.glob(pattern))]
    texts = (path.read_text().replace(NAMESPACE, namespace) for path in paths)
    return [body for text in texts for body in yaml.load_all(text, Loader=yaml.CSafeLoader)]


def containers(body: Body) -> list[Body]:
    """Return the containers of a Deployment."""
    found: list[Body] = body["spec"]["template"]["spec"]["containers"] if body["kind"] == "Deployment" else []
    return found


def without_release_labels(body: Body) -> None:
    labels = body["metadata"]["labels"]
    assert labels.pop("helm.sh/chart").startswith("ringfence-")
    for name in RELEASE_LABELS:
        labels.pop(name)


def without_policy(body: Body) -> None:
    if body["kind"] == "CustomResourceDefinition":
        assert body["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}


def without_defaults(body: Body) -> None:
    """Take out the variables that say what holds without them."""
    for container in containers(body):
        variables = container.get("env", [])
        container["env"] = [each for each in variables if "value" not in each or not is_default(container, each)]
        if not container["env"]:
            del container["env"]


def is_default(container: Body, variable: Body) -> bool:
    name, given = variable["name"], {variable["name"]: variable["value"]}
    match container["name"]:
        case "operator":
            return Settings.from_env(IDENTITY | given) == Settings.from_env(IDENTITY)
        case "control":
            return ControlSettings.from_env(given) == ControlSettings.from_env({})
        case _ if name == CONCURRENCY:
            line = envoy.arguments(Path("bootstrap.yaml"), pod="pod")
            return bool(line[line.index("--concurrency") + 1] == variable["value"])
        case _:
            return Environment.from_env(GATEWAY | given) == Environment.from_env(GATEWAY)


class Difference(NamedTuple):
    """What the chart has besides, why, and how to take it out of an object."""

    why: str
    undo: Callable[[Body], None]


DIFFERENCES = (
    Difference("Helm's labels, by which people and Helm tell what belongs to which release", without_release_labels),
    Difference("a kind outlives the release, and with it every Agent", without_policy),
    Difference("what is the default of a process, too, is said where users look for it", without_defaults),
)
ONLY_IN_DEPLOY = {
    ("v1", "Namespace", "", NAMESPACE): "Helm keeps the release in the namespace, so it must be there before"
}


def undone(bodies: list[Body], differences: tuple[Difference, ...] = DIFFERENCES) -> list[Body]:
    plain = copy.deepcopy(bodies)
    for body in plain:
        for each in differences:
            each.undo(body)
    return plain


@pytest.mark.parametrize("namespace", [NAMESPACE, "sandboxes"])
def test_default_values_render_to_the_objects_of_deploy(namespace: str) -> None:
    wanted = by_key(read("deploy/*.yaml", "crds/*.yaml", namespace=namespace))
    for version, kind, where, name in ONLY_IN_DEPLOY:
        del wanted[version, kind, where, name.replace(NAMESPACE, namespace)]

    found = by_key(undone(objects(namespace=namespace)))

    assert found.keys() == wanted.keys()
    for key, body in wanted.items():
        assert found[key] == body, key


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda each: each.undo.__name__)
def test_listed_difference_is_one(difference: Difference) -> None:
    rest = tuple(each for each in DIFFERENCES if each is not difference)

    assert by_key(undone(objects(), rest)) != by_key(undone(objects()))


def test_with_cilium_it_is_deploy_with_its_component() -> None:
    component = yaml.safe_load((ROOT / "deploy/cilium/Kustomization").read_text())
    patches = [yaml.safe_load(each["patch"]) for each in component["patches"]]
    wanted = by_key(read("deploy/*.yaml", "deploy/cilium/*.yaml", "crds/*.yaml"))
    for gone in [*ONLY_IN_DEPLOY, *(key_of(each) for each in patches if "$patch" in each)]:
        del wanted[gone]
    (started,) = [containers(each)[0]["args"] for each in patches if "$patch" not in each]

    found = by_key(undone(objects({"settings": {"egressBackend": "cilium"}})))

    operator = containers(found["apps/v1", "Deployment", NAMESPACE, "ringfence-operator"])[0]
    told = {each["name"]: each["value"] for each in operator["env"] if "BACKEND" in each["name"]}
    assert told == parse_arguments(started)
    operator["env"] = [each for each in operator["env"] if each["name"] not in told]
    assert found == wanted
