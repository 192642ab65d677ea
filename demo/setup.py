"""From nothing to an operator that leads: cluster, image, installation. Each part may be there already."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from demo.errors import DemoError
from demo.kubectl import NAMESPACE, Kubectl
from demo.screen import Screen
from devcluster.cluster import REPOSITORY

SYSTEM = "ringfence-system"
OPERATOR, GATEWAY = "ringfence-operator", "ringfence-gateway"
KINDS = ("agents", "agentpools", "connectors", "quotas", "securitypolicies")
SIDECAR, STARTER = "docker.io/ringfence/sidecar", "docker.io/ringfence/starter"
IMAGES = {name: f"docker.io/ringfence/{name}" for name in ("operator", "gateway", "sidecar", "starter", "backends")}
ADMINISTRATOR = "demo-administrator"
REDIS = {
    "REDIS_URL": "redis://redis.ringfence-backends.svc:6379",
    "REDIS_SERVICE": "ringfence-backends/redis",
    "REDIS_ADMINISTRATOR": "/etc/ringfence/redis/administrator",
}
"""The operator's settings for the Redis of demo/manifests/backends.yaml."""
_REFUSED = re.compile(r'^rest_client_requests_total\{code="403".*\} (\S+)$', re.MULTILINE)


def bring_up(screen: Screen, log: Path) -> dict[str, str]:
    """Bring the cluster up with our images on it; return the tag of each, by its name without one."""
    screen.command("make up")
    _devcluster(screen, log, "up")
    screen.command(f"python3 -m devcluster build {' '.join(IMAGES)}")
    said = _devcluster(screen, log, "build", *IMAGES).split()
    found = dict(word.rsplit(":", 1) for word in said if word.startswith(tuple(f"{name}:" for name in IMAGES.values())))
    return {name: found[name] for name in IMAGES.values()}


def install(kube: Kubectl, tags: dict[str, str], overlay: Path) -> None:
    """Apply the CRDs and deploy/, with the images that were built here, and wait until they do their work."""
    overlay.mkdir(parents=True, exist_ok=True)
    up = "/".join([".."] * len(overlay.relative_to(REPOSITORY).parts))
    images = [{"name": name, "newTag": tag} for name, tag in tags.items()]
    secret = {"name": "ringfence-redis", "namespace": SYSTEM, "literals": [f"administrator={ADMINISTRATOR}"]}
    body = {
        "resources": [f"{up}/deploy"],
        "images": images,
        "secretGenerator": [secret],
        "generatorOptions": {"disableNameSuffixHash": True},
        "patches": [{"patch": json.dumps(_patch(f"{SIDECAR}:{tags[SIDECAR]}", f"{STARTER}:{tags[STARTER]}"))}],
    }
    (overlay / "kustomization.yaml").write_text(json.dumps(body))
    kube.run("apply", "--server-side", "--force-conflicts", f"--kustomize={overlay}", namespace="")
    for name in (OPERATOR, GATEWAY):
        kube.run("rollout", "status", f"deployment/{name}", "--timeout=180s", namespace=SYSTEM, seconds=200)
    kube.run("wait", "--for=condition=Established", *(f"crd/{kind}.ringfence.dev" for kind in KINDS))
    _wait_for_leader(kube)


def _patch(sidecar: str, starter: str) -> dict[str, Any]:
    """Return what the operator is told of sidecars and starters: their images, and the Redis that sidecars share."""
    settings = {"SIDECAR_IMAGE": sidecar, "STARTER_IMAGE": starter, **REDIS}
    env = [{"name": f"RINGFENCE_OPERATOR_{name}", "value": value} for name, value in settings.items()]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": OPERATOR, "namespace": SYSTEM},
        "spec": {"template": {"spec": {"containers": [{"name": "operator", "env": env}]}}},
    }


def pids_limit(kube: Kubectl) -> int:
    """Return how many processes a pod may have. Raises DemoError if there is no end: the demo starts a fork bomb."""
    node = kube.items("nodes")[0]["metadata"]["name"]
    config = json.loads(kube.run("get", "--raw", f"/api/v1/nodes/{node}/proxy/configz"))["kubeletconfig"]
    limit = int(config.get("podPidsLimit", -1))
    if limit <= 0:
        raise DemoError(
            f"the kubelet of {node} sets no podPidsLimit: a fork bomb would take the node, so none is started"
        )
    return limit


def refusals(kube: Kubectl) -> int:
    """Return how often the API server refused the operator something that it wanted to do."""
    pods = kube.items("pods", f"--selector=app.kubernetes.io/name={OPERATOR}", namespace=SYSTEM)
    read = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8080/metrics').read().decode())"
    said = [
        kube.run("exec", pod["metadata"]["name"], "--", "/app/bin/python", "-c", read, namespace=SYSTEM)
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
    ]
    return sum(int(float(number)) for text in said for number in _REFUSED.findall(text))


def clear(kube: Kubectl) -> None:
    """Remove what an earlier run left behind in the demo's namespace."""
    if kube.get("namespace", NAMESPACE) is None:
        return
    kinds = ",".join(
        f"{kind}.ringfence.dev" for kind in ("agents", "agentpools", "connectors", "quotas", "securitypolicies")
    )
    kube.run("delete", kinds, "--all", "--wait=true")
    kube.run("delete", "pods,persistentvolumeclaims", "--all", "--wait=true", seconds=90)


def _devcluster(screen: Screen, log: Path, *arguments: str) -> str:
    """Run a command of the development cluster, show its progress, and return what it printed as its result."""
    argv = [sys.executable, "-m", "devcluster", *arguments]
    with log.open("a") as file:
        process = subprocess.Popen(
            argv, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            file.write(line)
            screen.say(line.rstrip())
        if process.wait() != 0:
            raise DemoError(f"python3 -m devcluster {' '.join(arguments)} failed; see {log}")
    return "".join(said)


def _wait_for_leader(kube: Kubectl, *, seconds: float = 40) -> None:
    """Raises DemoError if another operator than the one installed here holds the Lease."""
    deadline = time.monotonic() + seconds
    while True:
        lease = kube.get("lease", OPERATOR, namespace=SYSTEM) or {}
        holder = lease.get("spec", {}).get("holderIdentity") or ""
        pods = kube.items("pods", f"--selector=app.kubernetes.io/name={OPERATOR}", namespace=SYSTEM)
        if holder in {pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}:
            return
        if time.monotonic() > deadline:
            raise DemoError(
                f"the Lease {SYSTEM}/{OPERATOR} is held by {holder or 'nobody'}, not by the pods just installed"
            )
        time.sleep(0.25)
