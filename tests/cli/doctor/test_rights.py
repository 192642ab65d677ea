"""What doctor does for somebody who may not see everything, and what rights it looks for in the operator."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ringfence_cli.doctor.finding import Level
from ringfence_cli.doctor.needs import needs
from tests.cli.cluster import Cluster
from tests.cli.doctor.test_broken import examine

ROOT = Path(__file__).resolve().parents[3]
SYSTEM = "ringfence-system"


def is_beyond_a_tenant(method: str, path: str) -> bool:
    """What the role `edit` in the namespace `lab` does not let through."""
    return not (path in ("/version", "/apis/ringfence.dev/v1alpha1") or "/namespaces/lab/" in path)


def test_who_may_see_one_namespace_only_is_told_so_and_gets_the_rest(healthy: Cluster) -> None:
    healthy.forbidden = is_beyond_a_tenant
    healthy.add("agents", "mute", {"image": "x"})

    findings = examine(healthy, namespace="lab")

    levels = {each.check: each.level for each in findings}
    assert levels["kubernetes"] == levels["kinds"] == levels["policies"] == Level.OK
    assert levels["agents"] is Level.BROKEN
    unseen = {each.check: each.sentence for each in findings if each.level is Level.UNKNOWN}
    assert {"operator", "operator-rights", "gateway", "leader", "certificates", "guard", "user-namespaces"} <= set(
        unseen
    )
    assert 'User "ann" cannot get' in unseen["operator"]


def granted(*files: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield the rights that manifests give: verb, group, resource, name."""
    for body in (body for file in files for body in yaml.safe_load_all((ROOT / "deploy" / file).read_text())):
        for rule in body.get("rules", ()) if body["kind"] in ("ClusterRole", "Role") else ():
            for group in rule.get("apiGroups", ()):
                for resource in rule["resources"]:
                    for name in rule.get("resourceNames", ("",)):
                        yield from ((verb, group, resource, name) for verb in rule["verbs"])


@pytest.mark.parametrize(
    ("writes_cilium", "files"), [(False, ("operator.yaml",)), (True, ("operator.yaml", "cilium/rbac.yaml"))]
)
def test_the_rights_that_doctor_looks_for_are_those_that_the_manifests_give(
    writes_cilium: bool, files: tuple[str, ...]
) -> None:
    wanted = needs(SYSTEM, ("lab",), writes_cilium=writes_cilium)

    assert {(each.verb, each.group, each.resource, each.name) for each in wanted} == set(granted(*files))


def test_rights_are_looked_for_where_agents_live_and_where_the_operator_does(healthy: Cluster) -> None:
    asked = {(each.resource, each.namespace) for each in needs(SYSTEM, ("lab", "den"))}

    assert {("pods", "lab"), ("pods", "den"), ("leases", SYSTEM), ("endpointslices", "default"), ("nodes", "")} <= asked


def test_a_namespace_that_the_chart_leaves_out_is_named(healthy: Cluster) -> None:
    healthy.may = lambda asked: asked["namespace"] != "lab"
    healthy.add("agents", "refused", {"image": "x"})

    findings = [each for each in examine(healthy, namespace="lab") if each.check == "operator-rights"]

    assert [each.level for each in findings] == [Level.BROKEN]
    assert "in lab" in findings[0].sentence
    assert "add lab to it" in findings[0].fix


def test_where_no_agent_lives_the_operator_needs_no_right(healthy: Cluster) -> None:
    healthy.may = lambda asked: asked["namespace"] != "lab"

    findings = [each for each in examine(healthy, namespace="lab") if each.check == "operator-rights"]

    assert [each.level for each in findings] == [Level.OK]
