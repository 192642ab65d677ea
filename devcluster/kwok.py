"""Fake nodes for load: kwok plays their kubelet, so thousands of pods cost only their API objects."""

import json
from pathlib import Path
from typing import Any

from devcluster.addons import apply
from devcluster.api import Api
from devcluster.binaries import MODULE, binary, build
from devcluster.cluster import Cluster
from devcluster.command import run
from devcluster.control_plane import assert_alive
from devcluster.file import write
from devcluster.node import has_condition
from devcluster.process import Process, ensure_running, running, stop, wait_for
from devcluster.step import Progress

PODS_PER_NODE = 200
ANNOTATION = "kwok.x-k8s.io/node"
SELECTOR = "type%3Dkwok"
OPTIONS = """apiVersion: config.kwok.x-k8s.io/v1alpha1
kind: KwokConfiguration
options:
  podPlayStageParallelism: 16
  nodePlayStageParallelism: 4
  nodeLeaseParallelism: 4
"""
"""With its own 4, a burst of pods waits for kwok and not for what is measured."""
STAGES = ("node/fast", "node/heartbeat-with-lease", "pod/fast")


def ensure_fake_nodes(cluster: Cluster, count: int, progress: Progress) -> None:
    """Make it so that there are `count` fake nodes, all Ready; 0 removes them and their kubelet."""
    build(["kwok"], progress)
    api = Api(cluster)
    with progress.step(f"{count} fake nodes"):
        wanted = {f"kwok-{number:03d}" for number in range(count)}
        for name in _names(api) - wanted:
            api.delete(f"/api/v1/nodes/{name}")
        if not wanted:
            if record := running(cluster).get("kwok"):
                stop(cluster, record)
            return
        items = [fake_node(name) for name in sorted(wanted - _names(api))]
        if items:
            apply(cluster, json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        ensure_running(cluster, controller(cluster))

        def are_ready() -> bool:
            assert_alive(cluster, "kwok")
            return _ready(api) >= wanted

        wait_for("fake nodes Ready", are_ready, timeout=60)


def controller(cluster: Cluster) -> Process:
    """Return kwok with the fast stages that it comes with: pods run, and end, as soon as they are seen."""
    config = cluster.state / "kwok.yaml"
    write(config, "\n---\n".join([OPTIONS, *(stage.read_text() for stage in _stages())]))
    argv = [
        str(binary("kwok")),
        f"--kubeconfig={cluster.state / 'kwok.kubeconfig'}",
        f"--config={config}",
        f"--manage-nodes-with-annotation-selector={ANNOTATION}=fake",
        "--v=WARN",
        "--cidr=10.245.0.0/16",
        "--node-lease-duration-seconds=60",
        f"--node-ip={cluster.addresses.node[0]}",
    ]
    return Process("kwok", argv, cluster.netns, files=(config,))


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


def _stages() -> list[Path]:
    """Return the stage files of kwok's module; Go downloads it if it has only the built program."""
    module = json.loads(run(["go", "mod", "download", "-json", "sigs.k8s.io/kwok"], cwd=MODULE, timeout=300))
    root = Path(module["Dir"]) / "kustomize/stage"
    files = [path for stage in STAGES for path in sorted((root / stage).glob("*.yaml"))]
    return [path for path in files if path.name != "kustomization.yaml"]


def _items(api: Api) -> list[dict[str, Any]]:
    listed = api.get(f"/api/v1/nodes?labelSelector={SELECTOR}") or {}
    items: list[dict[str, Any]] = listed.get("items", [])
    return items


def _names(api: Api) -> set[str]:
    return {str(node["metadata"]["name"]) for node in _items(api)}


def _ready(api: Api) -> set[str]:
    return {str(node["metadata"]["name"]) for node in _items(api) if has_condition(node, "Ready")}
