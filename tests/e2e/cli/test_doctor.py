"""`ringfence doctor` on a real cluster.

What is broken here is an installation of its own, in a namespace of its own, of which nobody depends: the cluster's
other tests go on meanwhile. The real installation is looked at in test_doctor_installed.py.
"""

from typing import Any

import pytest

from tests.e2e.cli.program import Program
from tests.e2e.kube import address
from tests.e2e.world import IMAGE, NO_REGISTRY, RESTRICTED, World

APP = "app.kubernetes.io/name"
PROBED = '{"pod": "open", "kubelet": "refused"}'
SETTINGS = {
    "PROBE_IMAGE": "own",
    "REDIS_URL": "redis://redis.nowhere:6379",
    "REDIS_SERVICE": "nowhere/redis",
    "DEFAULT_POLICY": "nowhere/base",
}


def broken(program: Program, system: str) -> dict[str, list[str]]:
    """Return what doctor calls broken, by check; each with a fix."""
    ran = program.run("doctor", "--operator-namespace", system, "-o", "json")
    assert ran.code == 1, ran.err
    found: dict[str, list[str]] = {}
    for each in ran.document():
        if each["level"] == "broken":
            assert each["fix"]
            found.setdefault(each["check"], []).append(each["sentence"])
    return found


def test_where_nothing_is_installed_every_part_is_missed(alone: World, ringfence: Program) -> None:
    system = alone.new_namespace("empty")

    found = broken(ringfence, system)

    assert {"operator", "operator-rights", "leader", "control", "certificates", "gateway", "network-policies"} <= set(
        found
    )
    assert f"no Deployment ringfence-operator in namespace {system}" in found["operator"][0]


@pytest.fixture
def half_installed(alone: World) -> str:
    """A namespace with an installation of which each part is broken in its own way."""
    system = alone.new_namespace("half")
    labels = {APP: "ringfence-operator"}
    container = {
        "name": "operator",
        "image": f"{NO_REGISTRY}/operator:none",
        "env": [{"name": f"RINGFENCE_OPERATOR_{name}", "value": value} for name, value in SETTINGS.items()],
        "securityContext": RESTRICTED,
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    make(
        alone,
        "Deployment",
        system,
        "ringfence-operator",
        "apps/v1",
        spec={"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    )
    make(alone, "Service", system, "ringfence-control", spec={"selector": labels, "ports": [{"port": 18000}]})
    make(alone, "Secret", system, "ringfence-gateway-tls", stringData={"tls.crt": "none", "ca.crt": "none"})
    held = {"holderIdentity": "gone", "leaseDurationSeconds": 10, "renewTime": "2026-01-01T00:00:00.000000Z"}
    make(alone, "Lease", system, "ringfence-operator", "coordination.k8s.io/v1", spec=held)
    write = ["sh", "-c", f"echo '{PROBED}' > /dev/termination-log"]
    prober = {"name": "probe", "image": IMAGE, "command": write, "securityContext": RESTRICTED}
    make(alone, "Pod", system, "ringfence-network-probe", spec={"restartPolicy": "Never", "containers": [prober]})
    path = address("Pod", system, "ringfence-network-probe")
    alone.kube.until(path, lambda it: bool(it and it["status"].get("phase") == "Succeeded"))
    alone.kube.until(
        address("Deployment", system, "ringfence-operator"), lambda it: bool(it and it["status"].get("replicas"))
    )
    (pod,) = alone.kube.items(address("Pod", system), labelSelector=f"{APP}=ringfence-operator")
    alone.kube.until(
        address("Pod", system, pod["metadata"]["name"]),
        lambda it: "ErrImage" in str(it) or "ImagePullBackOff" in str(it),
    )
    return system


def make(world: World, kind: str, namespace: str, name: str, api: str = "v1", **rest: Any) -> None:
    body = {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **rest}
    world.make(body)


def test_each_part_that_is_broken_is_named_with_what_is_wrong(
    alone: World, ringfence: Program, half_installed: str
) -> None:
    alone.agent(securityPolicyRef={"name": "no-such-policy"}, image=f"{NO_REGISTRY}/x:1").until_reason("PolicyNotFound")
    expected = {
        "operator": "0 of 1 replicas ready",
        "operator-rights": "the operator may not list agents.ringfence.dev",
        "leader": "gone last renewed the Lease",
        "control": f"no ready pod is behind Service {half_installed}/ringfence-control",
        "certificates": "has ended, or cannot be read",
        "gateway": f"no Deployment ringfence-gateway in namespace {half_installed}",
        "network": "a pod that may reach nothing reached another pod",
        "network-policies": f"{half_installed}/ringfence-network-probe is missing",
        "redis": "Service nowhere/redis of the Redis that sidecars share does not exist",
        "default-policy": "SecurityPolicy nowhere/base does not exist",
    }

    found = broken(ringfence, half_installed)

    for check, words in expected.items():
        assert any(words in each for each in found.get(check, [])), (check, found)
    assert "Service nowhere/redis" in " ".join(found["redis"])
    assert any(f"{half_installed}/ringfence-sidecar-control is missing" in each for each in found["control"])
    assert any("Secret" in each and "ringfence-redis is missing" in each for each in found["redis"])
    assert "Image" in found["operator"][0]
