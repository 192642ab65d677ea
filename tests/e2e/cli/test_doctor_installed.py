"""`ringfence doctor` looks at the installation as it is, while parts of it are taken away and put back."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.cli.program import Program
from tests.e2e.installation import DEPLOYMENTS, GATEWAY, Installation
from tests.e2e.kube import Kube, address

GUARD = address("ValidatingAdmissionPolicyBinding", name="ringfence-guard")
RIGHTS = address("ClusterRoleBinding", name="ringfence-operator")
SYSTEM = "ringfence-system"
CONTROL = address("Service", SYSTEM, "ringfence-control")
PROBE = address("NetworkPolicy", SYSTEM, "ringfence-network-probe")


@pytest.fixture
def whole(installed: Installation, kube: Kube, kubeconfig: Path, namespace: str) -> Iterator[Program]:
    """The command line, on a cluster with everything installed, which it is again when the test ends."""
    yield Program(kubeconfig, namespace)
    installed.apply()


def told(program: Program, check: str) -> list[tuple[str, str]]:
    ran = program.run("doctor", "-o", "json")
    return [(each["level"], each["sentence"]) for each in ran.document() if each["check"] == check]


def test_a_whole_installation_has_nothing_broken_but_the_redis_that_it_waits_for(whole: Program) -> None:
    ran = whole.run("doctor", "-q", "-o", "json")

    assert {each["check"] for each in ran.document() if each["level"] == "broken"} <= {"redis"}


def scaled_to_nothing(kube: Kube) -> None:
    kube.merge(DEPLOYMENTS[GATEWAY], {"spec": {"replicas": 0}})
    kube.until(DEPLOYMENTS[GATEWAY], lambda it: bool(it and not it["status"].get("replicas")))


@pytest.mark.parametrize(
    ("take", "check", "words"),
    [
        (lambda kube: kube.delete(GUARD), "guard", "Binding ringfence-guard is missing"),
        (lambda kube: kube.delete(RIGHTS), "operator-rights", "the operator may not list agents"),
        (scaled_to_nothing, "gateway", "ringfence-gateway is scaled to 0"),
        (lambda kube: kube.delete(CONTROL), "control", "ringfence-control is missing"),
        (lambda kube: kube.delete(PROBE), "network-policies", "ringfence-network-probe is missing"),
    ],
    ids=["guard", "rights", "gateway", "control", "network-policy"],
)
def test_a_part_that_is_taken_away_is_named(
    whole: Program, kube: Kube, take: Callable[[Kube], None], check: str, words: str
) -> None:
    take(kube)

    found = told(whole, check)

    assert any(level in ("broken", "warning") and words in sentence for level, sentence in found), found
