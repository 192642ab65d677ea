"""The product as it is installed: images of this tree, and the manifests of deploy/."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.kube import Body, Kube, address, address_of
from tests.e2e.replica import PREFIX, ROOT, SYSTEM_NAMESPACE, metric_in
from tests.e2e.world import PodHandle, is_pod_ready

OPERATOR, GATEWAY = "ringfence-operator", "ringfence-gateway"
DEPLOYMENTS = {name: address("Deployment", SYSTEM_NAMESPACE, name) for name in (OPERATOR, GATEWAY)}
OPERATOR_USER = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{OPERATOR}"
"""As whom tests get past the guards, to see what stands behind them."""
LEASE = address("Lease", SYSTEM_NAMESPACE, OPERATOR)
_REPOSITORY = "docker.io/ringfence/"
BACKENDS = ROOT / "demo/manifests/backends.yaml"
"""Redis, RabbitMQ and a stand-in for Snowflake, in the cluster."""
REDIS = {
    "redis_url": "redis://redis.ringfence-backends.svc:6379",
    "redis_service": "ringfence-backends/redis",
    "redis_administrator": "/etc/ringfence/redis/administrator",
}
"""The operator's settings for the Redis that tests of connectors bring; until then, it is away."""
REDIS_SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "ringfence-redis", "namespace": SYSTEM_NAMESPACE},
    "stringData": {"administrator": "demo-administrator"},
}


def built_image(kubeconfig: Path, name: str) -> str:
    """Return the reference of an image of this tree, which is on the node then."""
    cluster = os.environ.get("RINGFENCE_CLUSTER") or kubeconfig.stem
    ran = subprocess.run(
        [sys.executable, "-m", "devcluster", "build", name],
        env={**os.environ, "RINGFENCE_CLUSTER": cluster},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.split()[-1]


def manifests(images: dict[str, str], **settings: str) -> list[Body]:
    """Return all of deploy/, with settings of the operator and images, by name.

    Named are `operator` and `gateway`, and `sidecar` and `starter` where pods have them.
    """
    bodies = [
        body for path in sorted((ROOT / "deploy").glob("*.yaml")) for body in yaml.safe_load_all(path.read_text())
    ]
    for body in bodies:
        if body["kind"] == "Deployment":
            for container in body["spec"]["template"]["spec"]["containers"]:
                name = container["image"].removeprefix(_REPOSITORY).partition(":")[0]
                container["image"] = images[name]
                if container["name"] == "operator":
                    for each in container["env"]:
                        for image in images.keys() & {"sidecar", "starter"}:
                            if each["name"] == f"{PREFIX}{image.upper()}_IMAGE":
                                each["value"] = images[image]
                    container["env"] += [
                        {"name": PREFIX + key.upper(), "value": text} for key, text in settings.items()
                    ]
    return bodies


@dataclass(frozen=True, slots=True)
class Installation:
    """What is installed: two Deployments, and their pods."""

    kube: Kube
    bodies: list[Body]

    def apply(self) -> None:
        """Install it, and wait until every replica is ready and one of them leads."""
        for body in self.bodies:
            self.kube.apply(body)
        for path in DEPLOYMENTS.values():
            self.kube.until(path, is_rolled_out, seconds=120)
        names = {pod.name for pod in self.pods()}
        self.kube.until(LEASE, lambda it: holder_of(it) in names, seconds=60)

    def remove(self, *, keep: bool) -> None:
        """Have no replica left, and unless `keep` nothing else of it."""
        for path in DEPLOYMENTS.values():
            # Rights go last: without them, the leader cannot give up the Lease.
            self.kube.merge(path, {"spec": {"replicas": 0}})
        for name in DEPLOYMENTS:
            for pod in self._all(name):
                self.kube.until(address("Pod", SYSTEM_NAMESPACE, pod["metadata"]["name"]), lambda it: it is None)
        if not keep:
            for body in self.bodies:
                if body["kind"] != "Namespace":
                    self.kube.delete(address_of(body))

    def _all(self, name: str) -> list[Body]:
        return self.kube.items(address("Pod", SYSTEM_NAMESPACE), labelSelector=f"app.kubernetes.io/name={name}")

    def pods(self, name: str = OPERATOR) -> list[PodHandle]:
        """Return the ready pods of a Deployment."""
        running = [each for each in self._all(name) if "deletionTimestamp" not in each["metadata"]]
        ready = [each for each in running if is_pod_ready(each)]
        return [PodHandle(self.kube, SYSTEM_NAMESPACE, each["metadata"]["name"]) for each in ready]

    def metrics(self, pod: PodHandle, *, port: int = 8080) -> str:
        """Return what a pod's metrics page says, by way of the API server."""
        path = f"{address('Pod', SYSTEM_NAMESPACE)}/http:{pod.name}:{port}/proxy/metrics"
        return str(self.kube.request("GET", path)["message"])

    def leaders(self) -> list[PodHandle]:
        """Return the operator's pods that lead."""
        name = "leader_election_master_status"
        return [pod for pod in self.pods() if metric_in(self.metrics(pod), name) == 1]


def holder_of(lease: Body | None) -> str:
    """Return the name of the pod that holds the Lease, or nothing."""
    holder = (lease or {}).get("spec", {}).get("holderIdentity") or ""
    return str(holder).partition("_")[0]


def is_rolled_out(found: Body | None) -> bool:
    """True if both replicas of a Deployment are of its present form, and ready."""
    if found is None or found["status"].get("observedGeneration") != found["metadata"]["generation"]:
        return False
    status: dict[str, Any] = found["status"]
    return bool(status.get("updatedReplicas") == status.get("availableReplicas") == status.get("replicas") == 2)
