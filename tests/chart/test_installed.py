"""What holds for whatever the chart installs: who it may be, how it is confined, and which names the code relies on."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ringfence_operator import labels
from ringfence_operator.egress.identity import CONTROL, GATEWAY_TLS
from ringfence_operator.process import LEASE
from ringfence_operator.resources.network_probe import Like
from tests.chart.chart import NAMESPACE, Body, RefusedError, nested, objects, run_helm
from tests.chart.demo_rows import DEMO
from tests.chart.demo_rows import NAMESPACE as BACKENDS
from tests.chart.everything import everything
from tools.chart import CHART

ROOT = Path(__file__).resolve().parents[2]
CLUSTER_WIDE = {
    "Namespace",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}
CILIUM = {"settings": {"egressBackend": "cilium"}}
SOME = {"rbac": {"namespaces": ["research", "support"]}}
Right = tuple[str, str, str, str]


def deployments(values: Body) -> dict[str, Body]:
    return {each["metadata"]["name"]: each for each in objects(values) if each["kind"] == "Deployment"}


def pods(values: Body) -> list[Body]:
    return [each["spec"]["template"] for each in deployments(values).values()]


def rights(values: Body, namespace: str | None) -> set[Right]:
    """Return what the operator may do in a namespace, or in all of them."""
    bodies = objects(values)
    bound = [each for each in bodies if each["kind"].endswith("Binding") and "roleRef" in each]
    assert all(each["subjects"] == bound[0]["subjects"] for each in bound)
    return {
        right
        for binding in bound
        for role in bodies
        if binding["metadata"].get("namespace") in (None, namespace)
        and role["kind"] == binding["roleRef"]["kind"]
        and role["metadata"]["name"] == binding["roleRef"]["name"]
        and role["metadata"].get("namespace") == binding["metadata"].get("namespace")
        for right in rights_of(role)
    }


def rights_of(role: Body) -> Iterator[Right]:
    for rule in role["rules"]:
        for verb in rule["verbs"]:
            for group in rule.get("apiGroups", [""]):
                for resource in rule.get("resources", rule.get("nonResourceURLs")):
                    for name in rule.get("resourceNames", [""]):
                        yield group, resource, name, verb


def test_lint_finds_nothing() -> None:
    assert "0 chart(s) failed" in run_helm("lint", "--strict", str(CHART), values={})


def test_lint_finds_nothing_with_everything_on() -> None:
    assert "0 chart(s) failed" in run_helm("lint", "--strict", str(CHART), values=everything())


def test_version_is_that_of_the_tree() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert (chart["version"], chart["appVersion"]) == (version, version)


@pytest.mark.parametrize("values", [{}, everything(), CILIUM, DEMO], ids=["default", "everything", "cilium", "demo"])
def test_what_has_a_namespace_is_in_that_of_the_release(values: Body) -> None:
    own = [each for each in objects(values, namespace="elsewhere") if each["metadata"]["name"] != "mine"]
    namespaces = {each["metadata"].get("namespace") for each in own if each["kind"] not in CLUSTER_WIDE}

    assert namespaces - {"team", "trial", BACKENDS} == {"elsewhere", "default"}
    assert {each["kind"] for each in own if "namespace" not in each["metadata"]} <= CLUSTER_WIDE
    assert NAMESPACE not in str(own)


@pytest.mark.parametrize("values", [{}, everything(), DEMO], ids=["default", "everything", "demo"])
def test_pods_keep_to_pod_security_restricted(values: Body) -> None:
    allowed = {"configMap", "downwardAPI", "emptyDir", "projected", "secret"}

    for pod in pods(values):
        spec = pod["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & spec.keys()
        assert {kind for volume in spec["volumes"] for kind in volume.keys() - {"name"}} <= allowed
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {each["name"] for each in spec["securityContext"].get("sysctls", [])} <= {"net.ipv4.ip_local_port_range"}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }


@pytest.mark.parametrize("values", [{}, everything(), DEMO], ids=["default", "everything", "demo"])
def test_only_the_operator_itself_holds_a_token(values: Body) -> None:
    specs = [pod["spec"] for pod in pods(values)]
    mounting = [
        container["name"]
        for spec in specs
        for container in spec["containers"]
        if any(mount["name"] == "token" for mount in container["volumeMounts"])
    ]

    assert {spec["automountServiceAccountToken"] for spec in specs} == {False}
    assert mounting == ["operator"]


@pytest.mark.parametrize("values", [{}, everything()], ids=["default", "everything"])
def test_what_the_code_calls_by_name_has_that_name(values: Body) -> None:
    named = {(each["kind"], each["metadata"]["name"]) for each in objects(values)}
    by_name = deployments(values)
    operator, gateway = by_name[labels.OPERATOR], by_name[labels.GATEWAY]
    policies = [name for kind, name in named if kind == "NetworkPolicy"]

    assert {("Service", labels.CONTROL), ("Service", CONTROL), ("NetworkPolicy", labels.NETWORK_PROBE)} <= named
    for body, name in ((operator, labels.OPERATOR), (gateway, labels.GATEWAY)):
        assert body["spec"]["template"]["metadata"]["labels"][labels.APP] == name
        assert body["spec"]["selector"] == {"matchLabels": {labels.APP: name}}
    assert (
        Like.pod(operator["spec"]["template"]).image == operator["spec"]["template"]["spec"]["containers"][0]["image"]
    )
    volumes = {each["name"]: each for each in gateway["spec"]["template"]["spec"]["volumes"]}
    assert volumes["tls"]["secret"]["secretName"] == GATEWAY_TLS
    assert ("coordination.k8s.io", "leases", LEASE, "patch") in rights(values, NAMESPACE)
    # What the operator writes under such a name, it would take for its own.
    assert not [name for name in policies if name in labels.NETWORK_POLICIES]
    assert not [name for name in policies if name.startswith(labels.NETWORK_POLICY_PREFIXES)]


def test_no_object_is_labelled_as_the_operators_own_are() -> None:
    managers = {each["metadata"]["labels"][labels.MANAGED_BY] for each in objects()}

    assert managers == {"Helm"}


@pytest.mark.parametrize("backend", ["envoy", "cilium"])
def test_rights_for_some_namespaces_are_all_rights_there_and_none_to_write_agents_elsewhere(backend: str) -> None:
    chosen = {"settings": {"egressBackend": backend}}
    everywhere = rights(chosen, "any")

    there, elsewhere = rights(chosen | SOME, "support"), rights(chosen | SOME, "any")

    assert there == everywhere
    assert {verb for _, resource, _, verb in elsewhere if resource in ("pods", "services", "networkpolicies")} == {
        "list",
        "watch",
    }
    assert {(resource, verb) for _, resource, _, verb in elsewhere if verb not in ("get", "list", "watch")} == {
        ("agents/status", "update"),
        ("agentpools/status", "update"),
        ("connectors/status", "update"),
        ("quotas/status", "update"),
        ("securitypolicies/status", "update"),
        ("tokenreviews", "create"),
        ("events", "create"),
    }


def test_rights_for_some_namespaces_leave_the_operator_what_it_writes_in_its_own() -> None:
    own = rights(SOME, NAMESPACE)

    for resource in ("services", "networkpolicies"):
        assert {verb for _, name, _, verb in own if name == resource} >= {"get", "create", "update", "delete"}
    assert {verb for _, name, _, verb in own if name == "pods"} == {"get", "list", "watch", "create", "delete"}


def test_no_rule_has_a_wildcard() -> None:
    for values in ({}, SOME, CILIUM, everything()):
        rules = [rule for each in objects(values) for rule in each.get("rules", [])]
        assert rules
        assert [rule for rule in rules for held in rule.values() if "*" in held] == []


def test_kinds_are_kept_when_the_release_goes_unless_said_otherwise() -> None:
    for keep, expected in ((True, "keep"), (False, None)):
        kinds = [each for each in objects({"crds": {"keep": keep}}) if each["kind"] == "CustomResourceDefinition"]
        assert len(kinds) == 5
        kept = {each["metadata"].get("annotations", {}).get("helm.sh/resource-policy") for each in kinds}
        assert kept == {expected}


def test_labels_and_annotations_for_everything_are_on_everything() -> None:
    own = [each for each in objects(everything()) if each["metadata"]["name"] != "mine"]

    assert {each["metadata"]["labels"]["team"] for each in own} == {"a"}
    assert {each["metadata"]["annotations"]["team"] for each in own} == {"a"}


def test_label_of_a_monitor_wins_over_one_for_everything() -> None:
    given = {"extraLabels": {"of": "all"}, "metrics": {"podMonitor": {"enabled": True, "labels": {"of": "monitors"}}}}
    found = {each["kind"]: each["metadata"]["labels"]["of"] for each in objects(given)}

    assert (found["PodMonitor"], found["Service"]) == ("monitors", "all")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"authorities": {"redis": {"configMap": "a", "secret": "b"}}},
            "authorities.redis: name a configMap or a secret",
        ),
        (nested("settings.leaderElect", False), "settings.leaderElect: false is for one replica"),
        (nested("operator.control.httpPort", 8080), "they are in one pod, with 18000 and 18443: choose two others"),
        (nested("settings.httpPort", 18443), "they are in one pod, with 18000 and 18443: choose two others"),
        (
            {"metrics": {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}}},
            "metrics.serviceMonitor.enabled: with podMonitor.enabled, everything would be scraped twice",
        ),
        (
            {"demo": {"enabled": True, "namespace": NAMESPACE}},
            f"demo.namespace: no Connector may lead into {NAMESPACE}",
        ),
        (nested("rbac.namespaces", [NAMESPACE]), f"rbac.namespaces: no agent may live in {NAMESPACE}"),
        (
            SOME | nested("settings.defaultPolicy", "policies/base"),
            "rbac.namespaces: the operator has to write in policies, where settings.defaultPolicy is: add it",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused(values: Body, message: str) -> None:
    with pytest.raises(RefusedError, match=re.escape(message)):
        objects(values)


def test_older_cluster_is_refused() -> None:
    with pytest.raises(RefusedError, match=re.escape("chart requires kubeVersion: >=1.33.0-0")):
        run_helm("template", "rf", str(CHART), "--kube-version", "1.32.9", values={})
