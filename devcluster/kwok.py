"""Fake nodes for load: kwok plays their kubelet, so thousands of pods cost only their API objects."""

import json
from typing import Any

from devcluster.addons import apply
from devcluster.api import Api
from devcluster.binaries import binary, build
from devcluster.cluster import Cluster
from devcluster.node import has_condition
from devcluster.process import Process, ensure_running, wait_for
from devcluster.step import Progress

PODS_PER_NODE = 200
ANNOTATION = "kwok.x-k8s.io/node"
SELECTOR = "type%3Dkwok"


def ensure_fake_nodes(cluster: Cluster, count: int, progress: Progress) -> None:
    """Make it so that there are `count` fake nodes, all Ready; 0 removes them and their kubelet."""
    build(["kwok"], progress)
    api = Api(cluster)
    with progress.step(f"{count} fake nodes"):
        wanted = {f"kwok-{number:03d}" for number in range(count)}
        for name in _names(api) - wanted:
            api.delete(f"/api/v1/nodes/{name}")
        if not wanted:
            return
        items = [fake_node(name) for name in sorted(wanted - _names(api))]
        if items:
            apply(cluster, json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        ensure_running(cluster, controller(cluster))
        wait_for("fake nodes Ready", lambda: _ready(api) >= wanted, timeout=60)


def controller(cluster: Cluster) -> Process:
    """Return kwok with its built-in fast stages: pods run, and end, as soon as they are seen."""
    argv = [
        str(binary("kwok")),
        f"--kubeconfig={cluster.state / 'kwok.kubeconfig'}",
        f"--config={cluster.state / 'kwok.yaml'}",
        f"--manage-nodes-with-annotation-selector={ANNOTATION}=fake",
        "--cidr=10.245.0.0/16",
        "--node-lease-duration-seconds=200",
        f"--node-ip={cluster.addresses.node[0]}",
    ]
    (cluster.state / "kwok.yaml").touch()
    return Process("kwok", argv, cluster.netns)


def fake_node(name: str) -> dict[str, object]:
    """Return a node that nothing lands on unless it tolerates the taint."""
    capacity = {"cpu": "64", "memory": "512Gi", "ephemeral-storage": "1Ti", "pods": str(PODS_PER_NODE)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {ANNOTATION: "fake"},
            "labels": {"type": "kwok", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
        },
        "spec": {"taints": [{"key": ANNOTATION, "value": "fake", "effect": "NoSchedule"}]},
        "status": {"allocatable": capacity, "capacity": capacity},
    }


def _items(api: Api) -> list[dict[str, Any]]:
    listed = api.get(f"/api/v1/nodes?labelSelector={SELECTOR}") or {}
    items: list[dict[str, Any]] = listed.get("items", [])
    return items


def _names(api: Api) -> set[str]:
    return {str(node["metadata"]["name"]) for node in _items(api)}


def _ready(api: Api) -> set[str]:
    return {str(node["metadata"]["name"]) for node in _items(api) if has_condition(node, "Ready")}
