import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from ringfence_operator import labels
from ringfence_operator.resources.network_probe import Like, build_prober, build_target
from ringfence_operator.resources.sidecar import CONTROL_PORT, sidecar_labels

ROOT = Path(__file__).resolve().parents[2]
OBJECTS: list[dict[str, Any]] = [
    each for path in sorted((ROOT / "deploy").glob("*.yaml")) for each in yaml.safe_load_all(path.read_text())
]
OPERATOR = [each for each in OBJECTS if each["metadata"]["name"] == "ringfence-operator"]


def rules_of(role: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rules about resources."""
    return [rule for rule in role.get("rules", []) if "resources" in rule]


RULES = [rule for each in OPERATOR for rule in rules_of(each)]


def deployment() -> dict[str, Any]:
    return next(each for each in OPERATOR if each["kind"] == "Deployment")


def test_no_rule_of_any_role_has_a_wildcard() -> None:
    rules = [rule for each in OBJECTS for rule in each.get("rules", [])]

    assert rules
    assert [rule for rule in rules for values in rule.values() if "*" in values] == []


def test_operator_reads_two_secrets_of_its_own_namespace_and_no_others() -> None:
    having = [(each, rule) for each in OPERATOR for rule in rules_of(each) if "secrets" in rule["resources"]]

    assert {(each["kind"], each["metadata"]["namespace"]) for each, _ in having} == {("Role", "ringfence-system")}
    assert [(rule.get("resourceNames"), rule["verbs"]) for _, rule in having] == [
        (None, ["create"]),
        (["ringfence-authority", "ringfence-gateway-tls"], ["get", "update"]),
    ]


def test_operator_watches_one_configmap_by_its_name_and_lists_no_others() -> None:
    found = [(rule.get("resourceNames"), rule["verbs"]) for rule in RULES if "configmaps" in rule["resources"]]

    assert found == [(None, ["get", "create"]), (["ringfence-authority"], ["get", "list", "watch", "update"])]


def test_sidecars_are_admitted_to_the_port_of_the_control_service_alone() -> None:
    policy = next(each for each in OPERATOR if each["kind"] == "NetworkPolicy")
    service = next(each for each in OBJECTS if each["metadata"]["name"] == labels.CONTROL)
    pod = sidecar_labels(())
    admitted = [
        rule["ports"]
        for rule in policy["spec"]["ingress"]
        for peer in rule["from"]
        if labels.SIDECAR in peer.get("podSelector", {}).get("matchLabels", {})
    ]

    assert pod == {labels.SIDECAR: "true"}
    assert admitted == [[{"port": CONTROL_PORT, "protocol": "TCP"}]]
    assert [each["port"] for each in service["spec"]["ports"]] == [CONTROL_PORT]
    assert service["spec"]["selector"] == {labels.APP: labels.OPERATOR}


def test_only_the_operator_itself_holds_a_token() -> None:
    pods = [each["spec"]["template"]["spec"] for each in OBJECTS if each["kind"] == "Deployment"]

    assert [pod["automountServiceAccountToken"] for pod in pods] == [False, False]
    mounting = [
        container["name"]
        for pod in pods
        for container in pod["containers"]
        for mount in container["volumeMounts"]
        if mount["name"] == "token"
    ]
    assert mounting == ["operator"]


@pytest.mark.parametrize("resource", ["serviceaccounts", "pods/exec", "roles", "clusterroles"])
def test_operator_has_no_right_to(resource: str) -> None:
    assert [rule for rule in RULES if resource in rule["resources"]] == []


def test_operator_writes_no_more_of_our_kinds_than_statuses_ends_and_a_finalizer() -> None:
    ours: dict[str, list[str]] = {}
    for rule in RULES:
        for name in rule["resources"] if "ringfence.dev" in rule["apiGroups"] else ():
            ours.setdefault(name, []).extend(rule["verbs"])

    assert ours == {
        "agents": ["list", "watch", "delete"],
        "agentpools": ["list", "watch", "patch"],
        "connectors": ["list", "watch"],
        "quotas": ["list", "watch"],
        "securitypolicies": ["list", "watch"],
        "agents/status": ["update"],
        "agentpools/status": ["update"],
        "connectors/status": ["update"],
        "quotas/status": ["update"],
        "securitypolicies/status": ["update"],
        "agents/finalizers": ["update"],
        "agentpools/finalizers": ["update"],
    }


def test_image_is_of_the_version_that_this_tree_has() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    image = deployment()["spec"]["template"]["spec"]["containers"][0]["image"]

    assert image == f"docker.io/ringfence/operator:{version}"


def test_network_policy_closes_the_prober_and_not_its_target() -> None:
    probe = next(each for each in OBJECTS if each["metadata"]["name"] == labels.NETWORK_PROBE)
    like = Like("x")
    target, prober = (
        build_target("ringfence-system", like),
        build_prober("ringfence-system", like, ["10.0.0.5"], [10250]),
    )
    selector = probe["spec"]["podSelector"]["matchLabels"].items()

    assert probe["kind"] == "NetworkPolicy"
    assert probe["spec"] == {"podSelector": probe["spec"]["podSelector"], "policyTypes": ["Ingress", "Egress"]}
    assert selector <= prober["metadata"]["labels"].items()
    assert not selector <= target["metadata"]["labels"].items()
    assert probe["metadata"]["namespace"] == prober["metadata"]["namespace"]


def test_kustomization_names_every_manifest_beside_it() -> None:
    for folder in ("crds", "deploy"):
        named = yaml.safe_load((ROOT / folder / "Kustomization").read_text())["resources"]
        present = [path.name for path in sorted((ROOT / folder).glob("*.yaml"))]

        assert sorted(name for name in named if not name.startswith("..")) == present


def test_network_policy_and_disruption_budget_select_the_deployments_pods() -> None:
    labels = deployment()["spec"]["template"]["metadata"]["labels"].items()
    by_kind = {each["kind"]: each["spec"] for each in OPERATOR if "spec" in each}

    assert by_kind["NetworkPolicy"]["podSelector"]["matchLabels"].items() <= labels
    assert by_kind["PodDisruptionBudget"]["selector"]["matchLabels"].items() <= labels
