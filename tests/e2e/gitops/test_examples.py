"""What examples/ holds for GitOps does on a cluster what examples/README.md says of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.e2e.gitops.kubectl import Kubectl
from tests.e2e.kube import Body, Kube, address, address_of
from tests.e2e.world import effective, is_ready, reason_of
from tests.gitops.judge import judged

ROOT = Path(__file__).resolve().parents[3]
OVERLAYS = ROOT / "examples/gitops/overlays"
TENANT = ROOT / "examples/tenant"
POOLS = ROOT / "examples/pools"
ROOT_OF_TWO = "1.41421356237309504880168872420969807856967187537695"
QUICKSTART = ROOT / "examples/quickstart"


def built(kubectl: Kubectl, folder: Path) -> list[Body]:
    """Return what kustomize makes of a folder."""
    return list(yaml.safe_load_all(kubectl.output("kustomize", folder)))


@contextmanager
def applied(kubectl: Kubectl, kube: Kube, folder: Path) -> Iterator[list[Body]]:
    """Have a folder's objects in the cluster, as GitOps tools apply them, and nothing of them afterwards."""
    bodies = built(kubectl, folder)
    (namespace,) = (body for body in bodies if body["kind"] == "Namespace")
    kubectl.output("apply", "--server-side", "--field-manager=gitops", "-k", folder)
    try:
        yield bodies
    finally:
        kube.delete(address_of(namespace))
        kube.until(address_of(namespace), lambda it: it is None, seconds=120)


def ours(bodies: list[Body]) -> list[Body]:
    return [body for body in bodies if body["apiVersion"].startswith("ringfence.dev/")]


@pytest.mark.parametrize(
    ("overlay", "mode", "memory"),
    [("staging", "Audit", ("64Mi", "Quota")), ("production", "Enforce", ("128Mi", "Agent"))],
)
def test_an_overlay_is_healthy_and_differs_as_it_says(
    kubectl: Kubectl, kube: Kube, overlay: str, mode: str, memory: tuple[str, str]
) -> None:
    with applied(kubectl, kube, OVERLAYS / overlay) as bodies:
        found = [kube.until(address_of(body), is_ready, seconds=120) or {} for body in ours(bodies)]
        drift = kubectl.run("diff", "--server-side", "--field-manager=gitops", "-k", OVERLAYS / overlay)

    agent, _, policy = found
    assert {(each.kstatus, each.argo) for each in judged(found)} == {("Current", "Healthy")}
    assert (policy["spec"]["network"]["mode"], effective(agent, "memory")) == (mode, memory)
    assert (drift.returncode, drift.stdout) == (0, ""), drift.stderr


def test_a_team_has_a_namespace_with_all_that_confines_it(kubectl: Kubectl, kube: Kube) -> None:
    with applied(kubectl, kube, TENANT) as bodies:
        ready = [body for body in ours(bodies) if body["kind"] != "Connector"]
        found = [kube.until(address_of(body), is_ready, seconds=120) or {} for body in ready]
        path = address("Connector", "research", "sales")
        connector = kube.until(path, lambda it: reason_of(it) == "EndpointsUnhealthy", seconds=120) or {}
        drift = kubectl.run("diff", "--server-side", "--field-manager=gitops", "-k", TENANT)

    issuer = kube.request("GET", "/.well-known/openid-configuration")["issuer"]
    names = sorted(body["metadata"]["name"] for body in found)
    # A policy and a pool have the same name.
    assert names == ["analyst", "closed", "everybody", "papers", "papers", "reader", "warehouse"]
    assert connector["status"]["workloadIdentity"]["createUser"] == (
        f"CREATE USER RESEARCH TYPE = SERVICE WORKLOAD_IDENTITY = (TYPE = OIDC ISSUER = '{issuer}' "
        "SUBJECT = 'system:serviceaccount:research:default' OIDC_AUDIENCE_LIST = ('acme.example/research'));"
    )
    # No such account can be reached from here.
    assert [(each.kstatus, each.argo) for each in judged([connector])] == [("InProgress", "Progressing")]
    assert (drift.returncode, drift.stdout) == (0, ""), drift.stderr


def test_an_agent_claims_from_a_pool_that_an_autoscaler_fits(kubectl: Kubectl, kube: Kube) -> None:
    with applied(kubectl, kube, POOLS) as bodies:
        pool = address("AgentPool", "sandboxes", "python")
        path = address("Agent", "sandboxes", "calculator")
        agent = kube.until(path, is_ready, seconds=120) or {}
        # The pool says no size, so it begins with 1; without its metric, the autoscaler keeps to its least, 2.
        scaled = kube.until(pool, lambda it: is_ready(it) and it is not None and it["status"]["warm"] == 2, seconds=120)
        kubectl.until(ROOT_OF_TWO, "-n", "sandboxes", "logs", agent["status"]["podName"])
        found = [kube.get(address_of(body)) or {} for body in ours(bodies)]
        drift = kubectl.run("diff", "--server-side", "--field-manager=gitops", "-k", POOLS)

    assert scaled is not None
    assert scaled["spec"]["size"] == 2
    assert agent["status"]["podName"].startswith("python-")
    assert {(each.kstatus, each.argo) for each in judged(found)} == {("Current", "Healthy")}
    assert (drift.returncode, drift.stdout) == (0, ""), drift.stderr


def test_a_team_may_write_agents_and_nothing_that_confines_them(kubectl: Kubectl, kube: Kube) -> None:
    asked = {
        "create agents.ringfence.dev": "yes",
        "delete agents.ringfence.dev": "yes",
        "create agentpools.ringfence.dev": "yes",
        "patch agentpools.ringfence.dev --subresource=scale": "yes",
        "patch agentpools.ringfence.dev --subresource=status": "no",
        "get securitypolicies.ringfence.dev": "yes",
        "get pods --subresource=log": "yes",
        "patch securitypolicies.ringfence.dev": "no",
        "patch quotas.ringfence.dev": "no",
        "create connectors.ringfence.dev": "no",
        "patch agents.ringfence.dev --subresource=status": "no",
        "get secrets": "no",
        "create pods": "no",
        "create pods --subresource=exec": "no",
        "create networkpolicies": "no",
    }
    member = ("--as=somebody", "--as-group=research", "--namespace=research")
    (namespace, *bindings) = [body for body in built(kubectl, TENANT) if body["kind"] in {"Namespace", "RoleBinding"}]

    for body in (namespace, *bindings):
        kube.apply(body)
    try:
        kubectl.until("yes", "auth", "can-i", "create", "agents.ringfence.dev", *member)
        may = {what: kubectl.run("auth", "can-i", *what.split(), *member).stdout.strip() for what in asked}
    finally:
        kube.delete(address_of(namespace))
        kube.until(address_of(namespace), lambda it: it is None, seconds=120)

    assert may == asked


def test_what_the_quickstart_applies_does_not_drift(kubectl: Kubectl, kube: Kube) -> None:
    files = sorted(QUICKSTART.glob("*.yaml"))
    try:
        # A later file changes an object of an earlier one, so each is compared right after it was applied.
        drifts = [(kubectl.output("apply", "-f", file), kubectl.run("diff", "-f", file))[1] for file in files]
    finally:
        kube.delete(address("Namespace", name="ringfence-demo"))
        kube.until(address("Namespace", name="ringfence-demo"), lambda it: it is None, seconds=120)

    assert [(drift.returncode, drift.stdout) for drift in drifts] == [(0, "")] * len(files)


def test_what_an_overlay_renames_is_renamed_wherever_we_refer_to_it(kubectl: Kubectl, tmp_path: Path) -> None:
    given = ["policies.yaml", "quotas.yaml", "connectors.yaml"]
    spec: Body = {
        "image": "example.com/reader:1",
        "securityPolicyRef": {"name": "papers"},
        "quotaRef": {"name": "everybody"},
        "connectors": [{"name": "sales"}],
    }
    agent = {"apiVersion": "ringfence.dev/v1alpha1", "kind": "Agent", "metadata": {"name": "reader"}, "spec": spec}
    overlay = {
        "namePrefix": "blue-",
        "images": [{"name": "example.com/reader", "newTag": "2"}],
        "resources": [*given, "agent.yaml"],
        "configurations": ["references.yaml"],
    }
    for name in given:
        (tmp_path / name).write_text((TENANT / name).read_text())
    (tmp_path / "references.yaml").write_text((ROOT / "examples/gitops/base/references.yaml").read_text())
    (tmp_path / "agent.yaml").write_text(yaml.safe_dump(agent))
    (tmp_path / "Kustomization").write_text(yaml.safe_dump(overlay))

    (found,) = (body for body in built(kubectl, tmp_path) if body["kind"] == "Agent")

    assert found["spec"] == {
        "image": "example.com/reader:2",
        "securityPolicyRef": {"name": "blue-papers"},
        "quotaRef": {"name": "blue-everybody"},
        "connectors": [{"name": "blue-sales"}],
    }


def test_a_pool_that_an_overlay_renames_is_renamed_for_its_agents_and_its_autoscaler(
    kubectl: Kubectl, tmp_path: Path
) -> None:
    given = ["policy.yaml", "pool.yaml", "agent.yaml", "autoscaler.yaml"]
    overlay = {
        "namePrefix": "blue-",
        "images": [{"name": "docker.io/library/python", "newTag": "3.13"}],
        "resources": given,
        "configurations": ["references.yaml"],
    }
    for name in given:
        (tmp_path / name).write_text((POOLS / name).read_text())
    (tmp_path / "references.yaml").write_text((ROOT / "examples/gitops/base/references.yaml").read_text())
    (tmp_path / "Kustomization").write_text(yaml.safe_dump(overlay))

    specs = {body["kind"]: body["spec"] for body in built(kubectl, tmp_path)}

    assert specs["AgentPool"]["template"]["image"] == "docker.io/library/python:3.13"
    assert specs["AgentPool"]["template"]["securityPolicyRef"] == {"name": "blue-closed"}
    assert specs["Agent"]["poolRef"] == {"name": "blue-python"}
    assert specs["HorizontalPodAutoscaler"]["scaleTargetRef"]["name"] == "blue-python"
