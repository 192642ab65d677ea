"""Argo CD's checks of our kinds: each gives what its cases say, and nothing that kstatus contradicts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from ringfence_operator.api.conditions import Reason
from tests.gitops.judge import SAME, SCRIPTS, judged
from tests.operator.reconcile.kstatus import kstatus
from tools.crd import KINDS

Body = dict[str, Any]
CHECKS = SCRIPTS / "ringfence.dev"
NAMES = tuple(kind.kind for kind in KINDS)


class Case(NamedTuple):
    """A case as upstream writes them: an object, and what is to be said of it."""

    path: Path
    status: str
    message: str


class Shape(NamedTuple):
    """Conditions that stand in a status together, and the words that they are to get."""

    conditions: dict[str, str]
    kstatus: str
    argo: str


def cases_of(kind: str) -> Iterator[Case]:
    for each in yaml.safe_load((CHECKS / kind / "health_test.yaml").read_text())["tests"]:
        said = each["healthStatus"]
        yield Case(CHECKS / kind / each["inputPath"], said["status"], said["message"])


CASES = [case for kind in NAMES for case in cases_of(kind)]
EVERY_KIND = {
    "ready": Shape({"Ready": "True"}, "Current", "Healthy"),
    "on its way": Shape({"Ready": "False", "Reconciling": "True"}, "InProgress", "Progressing"),
    "not known": Shape({"Ready": "Unknown", "Reconciling": "True"}, "InProgress", "Progressing"),
    "not ready": Shape({"Ready": "False"}, "InProgress", "Progressing"),
    "stalled": Shape({"Ready": "False", "Stalled": "True"}, "Failed", "Degraded"),
}
AGENTS = {
    "suspended": Shape({"Suspended": "True", "Assigned": "False"}, "Current", "Suspended"),
    "paused": Shape({"Ready": "False", "Reconciling": "True", "Suspended": "True"}, "InProgress", "Progressing"),
    "done": Shape({"Ready": "True", "Complete": "True"}, "Current", "Healthy"),
    "failed": Shape({"Ready": "False", "Stalled": "True", "Complete": "False"}, "Failed", "Degraded"),
}
SHAPES = [
    pytest.param(kind, shape, id=f"{kind} {name}")
    for kind in NAMES
    for name, shape in {**EVERY_KIND, **(AGENTS if kind == "Agent" else {})}.items()
]


def name_of(case: Case) -> str:
    return f"{case.path.parents[1].name}-{case.path.stem}"


def read(path: Path) -> Body:
    body: Body = yaml.safe_load(path.read_text())
    return body


def saying(kind: str, shape: Shape, reason: str) -> Body:
    """Return an object whose conditions all give this reason."""
    conditions = [
        {"type": name, "status": status, "reason": reason, "message": f"because of {reason}"}
        for name, status in shape.conditions.items()
    ]
    return {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "it", "namespace": "team", "generation": 3},
        "status": {"observedGeneration": 3, "conditions": conditions},
    }


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_the_check_says_what_its_case_asks(case: Case) -> None:
    (found,) = judged([read(case.path)])

    assert (found.argo, found.argo_message) == (case.status, case.message)
    assert (found.kstatus, found.argo) in SAME


@pytest.mark.parametrize("kind", NAMES)
def test_every_object_beside_a_check_is_a_case(kind: str) -> None:
    there = set((CHECKS / kind / "testdata").iterdir())

    assert {case.path for case in cases_of(kind)} == there
    assert {read(path)["kind"] for path in there} == {kind}


@pytest.mark.parametrize("kind", NAMES)
def test_a_kinds_cases_have_every_health_that_it_can_have(kind: str) -> None:
    words = {case.status for case in cases_of(kind)}

    assert words == {"Healthy", "Progressing", "Degraded"} | ({"Suspended"} if kind == "Agent" else set())


def test_there_is_a_check_for_every_kind_and_argo_cd_is_told_of_each() -> None:
    (generator,) = yaml.safe_load((SCRIPTS / "Kustomization").read_text())["configMapGenerator"]

    assert {path.name for path in CHECKS.iterdir()} == set(NAMES)
    assert set(generator["files"]) == {
        f"resource.customizations.health.ringfence.dev_{kind}=ringfence.dev/{kind}/health.lua" for kind in NAMES
    }


@pytest.mark.parametrize(("kind", "shape"), SHAPES)
def test_every_reason_is_judged_alike_by_kstatus_and_argo_cd(kind: str, shape: Shape) -> None:
    found = judged(saying(kind, shape, reason) for reason in Reason)

    assert {(each.kstatus, each.argo) for each in found} == {(shape.kstatus, shape.argo)}
    assert [each.argo_message for each in found] == [f"because of {reason}" for reason in Reason]


@pytest.mark.parametrize("kind", NAMES)
def test_conditions_of_the_spec_before_say_nothing_of_the_present_one(kind: str) -> None:
    body = saying(kind, EVERY_KIND["ready"], "InForce")
    body["metadata"]["generation"] = 4

    (found,) = judged([body])

    assert (found.kstatus, found.argo) == ("InProgress", "Progressing")


def test_what_unit_tests_take_for_kstatus_is_what_the_library_says() -> None:
    bodies = [saying("Agent", shape, "Running") for shape in (*EVERY_KIND.values(), *AGENTS.values())]
    bodies += [{**body, "status": {**body["status"], "observedGeneration": -1}} for body in bodies]

    assert [kstatus(3, body["status"]) for body in bodies] == [each.kstatus for each in judged(bodies)]
