"""What runs on the node: kubelet, kube-proxy and the node agent."""

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

from devcluster.api import Api
from devcluster.binaries import BINARIES, binary
from devcluster.cluster import Cluster
from devcluster.containerd import socket
from devcluster.control_plane import assert_alive
from devcluster.file import write
from devcluster.process import Process, wait_for


def kubelet(cluster: Cluster) -> Process:
    """Write the kubelet's configuration and return the process."""
    config = cluster.state / "kubelet.json"
    write(config, json.dumps(_kubelet_config(cluster), indent=1))
    write(cluster.state / "resolv.conf", "options ndots:1\n")
    argv = [
        str(binary("kube")),
        "kubelet",
        f"--config={config}",
        f"--kubeconfig={cluster.state / 'kubelet.kubeconfig'}",
        f"--hostname-override={cluster.node_name}",
        f"--node-ip={','.join(cluster.addresses.node)}",
        f"--root-dir={cluster.state / 'kubelet'}",
        f"--cert-dir={cluster.pki}",
    ]
    return Process("kubelet", argv, cluster.netns, files=(config,))


def kube_proxy(cluster: Cluster) -> Process:
    """Write the configuration of kube-proxy and return the process."""
    config = cluster.state / "kube-proxy.json"
    settings = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(cluster.state / "kube-proxy.kubeconfig")},
        "clusterCIDR": ",".join(cluster.addresses.pods),
        "conntrack": {"maxPerCore": 0, "min": 0},  # the sysctl behind them may be read-only
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "hostnameOverride": cluster.node_name,
        "nftables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
        "oomScoreAdj": 0,
    }
    write(config, json.dumps(settings, indent=1))
    return Process(
        "kube-proxy", [str(binary("kube")), "kube-proxy", f"--config={config}"], cluster.netns, files=(config,)
    )


def node_agent(cluster: Cluster) -> Process | None:
    """Return the NetworkPolicy engine and volume provisioner; None where it is not built."""
    if not BINARIES["node-agent"].exists():
        return None
    argv = [
        str(binary("node-agent")),
        f"--kubeconfig={cluster.state / 'node-agent.kubeconfig'}",
        f"--node-name={cluster.node_name}",
        f"--pod-cidrs={','.join(cluster.addresses.pods)}",
        f"--state-dir={agent_state(cluster)}",
        f"--socket={cluster.run / 'node-agent.sock'}",
    ]
    return Process("node-agent", argv, cluster.netns)


def agent_state(cluster: Cluster) -> Path:
    """Return where the node agent keeps its volumes."""
    return cluster.state / "node-agent"


def wait_for_node(cluster: Cluster, api: Api, *, timeout: float = 120) -> None:
    """Return when the node is Ready."""

    def is_ready() -> bool:
        assert_alive(cluster, "kubelet")
        assert_alive(cluster, "containerd")
        node = api.get(f"/api/v1/nodes/{cluster.node_name}")
        return node is not None and has_condition(node, "Ready")

    wait_for("node Ready", is_ready, timeout=timeout)


def wait_for_kubelet(cluster: Cluster, api: Api, *, timeout: float = 60) -> None:
    """Return when a kubelet that was started anew knows its pods: until then it denies that they exist."""

    def knows_its_pods() -> bool:
        assert_alive(cluster, "kubelet")
        status, answer = api.request("GET", f"/api/v1/nodes/{cluster.node_name}/proxy/pods")
        if status != HTTPStatus.OK:
            return False
        bound = api.get(f"/api/v1/pods?fieldSelector=spec.nodeName={cluster.node_name}") or {}
        return _running(bound) <= {pod["metadata"]["uid"] for pod in json.loads(answer).get("items") or []}

    wait_for("kubelet knows its pods", knows_its_pods, timeout=timeout)


def _running(pods: dict[str, Any]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods.get("items", []) if pod["status"].get("phase") == "Running"}


def has_condition(thing: dict[str, Any], kind: str) -> bool:
    """True if the condition of that type is True."""
    conditions = thing.get("status", {}).get("conditions", [])
    return any(condition["type"] == kind and condition["status"] == "True" for condition in conditions)


def _kubelet_config(cluster: Cluster) -> dict[str, object]:
    pki = cluster.pki
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "::",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        # Two kubelets below one root kill each other's pods as orphans.
        "cgroupRoot": f"/{cluster.cgroup}",
        "failCgroupV1": False,
        "clusterDNS": list(cluster.addresses.dns_service),
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{socket(cluster)}",
        "enforceNodeAllocatable": ["pods"],
        # The host's disk is shared: a pod must not be evicted because somebody else has filled it.
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "2%", "imagefs.available": "2%"},
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,  # there is no registry to pull a local image from again
        "kubeAPIBurst": 400,
        "kubeAPIQPS": 200,
        "healthzBindAddress": "127.0.0.1",
        "maxPods": 200,
        "nodeStatusReportFrequency": "1m",
        "oomScoreAdj": 0,
        "podLogsDir": str(cluster.state / "pod-logs"),
        "podPidsLimit": 512,
        "registryPullQPS": 0,
        "resolvConf": str(cluster.state / "resolv.conf"),
        "serializeImagePulls": False,
        "shutdownGracePeriod": "0s",
        "tlsCertFile": str(pki / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(pki / "kubelet-server.key"),
        "volumeStatsAggPeriod": "5s",  # how soon a pod that passes its disk limit is evicted
        "volumePluginDir": str(cluster.state / "volume-plugins"),
    }
