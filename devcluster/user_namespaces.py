"""Whether this node can run a pod in a user namespace: tried once per kernel and runtime, then remembered."""

import json
import os
from pathlib import Path

from devcluster.api import Api
from devcluster.binaries import binary
from devcluster.cluster import Cluster, cache_home
from devcluster.content import content_hash
from devcluster.errors import DevclusterError
from devcluster.file import write
from devcluster.images import PAUSE
from devcluster.process import wait_for

LABEL = "ringfence.dev/user-namespaces"
POD = "/api/v1/namespaces/kube-system/pods/user-namespace-probe"
TIMEOUT = 15


def remembered() -> bool | None:
    """Return what an earlier probe found on this kernel with these programs; None if there was none."""
    try:
        return bool(json.loads(_record().read_text()))
    except (FileNotFoundError, ValueError):
        return None


def describe_node(cluster: Cluster, api: Api, *, works: bool) -> None:
    """Put the answer where the operator reads it, and beside it where the node's pods have their addresses."""
    pods = list(cluster.addresses.pods)
    body = {"metadata": {"labels": {LABEL: str(works).lower()}}, "spec": {"podCIDR": pods[0], "podCIDRs": pods}}
    api.merge(f"/api/v1/nodes/{cluster.node_name}", body)


def probe(cluster: Cluster, api: Api) -> bool:
    """Start a pod with `hostUsers: false`, remember the outcome and return it."""
    api.delete(POD)
    wait_for("former probe gone", lambda: api.get(POD) is None, timeout=TIMEOUT)
    api.apply(POD, _pod(cluster))
    try:
        wait_for("pod in a user namespace", lambda: _phase(api) == "Running", timeout=TIMEOUT, step=0.2)
        works = True
    except DevclusterError:
        works = False
    api.delete(POD)
    write(_record(), json.dumps(works))
    return works


def _phase(api: Api) -> str:
    pod = api.get(POD) or {}
    return str(pod.get("status", {}).get("phase"))


def _pod(cluster: Cluster) -> dict[str, object]:
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in ("scratch", "labels")]
    container = {"name": "probe", "image": PAUSE, "imagePullPolicy": "Never", "volumeMounts": mounts}
    labels = {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": POD.rpartition("/")[2], "namespace": "kube-system"},
        "spec": {
            "hostUsers": False,
            "nodeName": cluster.node_name,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            "volumes": [{"name": "scratch", "emptyDir": {}}, {"name": "labels", "downwardAPI": labels}],
        },
    }


def _record() -> Path:
    parts = [os.uname().release, *(binary(name).parent.name for name in ("kube", "containerd", "runc"))]
    return cache_home() / "user-namespaces" / f"{content_hash([], *parts)}.json"
