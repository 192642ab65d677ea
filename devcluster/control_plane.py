"""etcd, API server, controller manager and scheduler."""

import json
from pathlib import Path

from devcluster.api import Api
from devcluster.binaries import binary
from devcluster.cluster import Cluster
from devcluster.errors import ProcessDiedError
from devcluster.file import write
from devcluster.process import Process, ensure_running, running, wait_for

READY_TIMEOUT = 90


def start_api_server(cluster: Cluster) -> None:
    """Start etcd and the API server together; the second waits for the first by itself."""
    _write_audit_policy(cluster)
    ensure_running(cluster, etcd(cluster))
    ensure_running(cluster, api_server(cluster))


def wait_for_api_server(cluster: Cluster) -> Api:
    """Return a client once the API server is ready."""
    api = Api(cluster)

    def is_ready() -> bool:
        for name in ("etcd", "kube-apiserver"):
            assert_alive(cluster, name)
        return api.is_ready()

    wait_for("API server ready", is_ready, timeout=READY_TIMEOUT)
    return api


def start_controllers(cluster: Cluster) -> None:
    """Start the controller manager and the scheduler."""
    ensure_running(cluster, controller_manager(cluster))
    ensure_running(cluster, scheduler(cluster))


def assert_alive(cluster: Cluster, name: str) -> None:
    """Raise ProcessDiedError, with the end of its log, if the process has ended."""
    record = running(cluster).get(name)
    if record is None or not record.is_alive():
        raise ProcessDiedError(name, cluster.logs / f"{name}.log")


def etcd(cluster: Cluster) -> Process:
    """Return etcd on the loopback address of the node; a test cluster need not survive a power cut."""
    argv = [
        str(binary("etcd")),
        "--name=node",
        f"--data-dir={cluster.state / 'etcd'}",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--initial-cluster=node=http://127.0.0.1:2380",
        f"--listen-metrics-urls={cluster.etcd_metrics.removesuffix('/metrics')}",
        "--unsafe-no-fsync",
        f"--quota-backend-bytes={8 << 30}",
        "--log-level=warn",
    ]
    return Process("etcd", argv, cluster.netns)


def api_server(cluster: Cluster) -> Process:
    """Return the API server with RBAC, the node authorizer, Pod Security and an audit log of every write."""
    pki = cluster.pki
    flags: dict[str, str | Path] = {
        "advertise-address": cluster.addresses.node[0],
        "allow-privileged": "true",
        "audit-log-maxbackup": "2",
        "audit-log-maxsize": "1000",
        "audit-log-path": cluster.audit_log,
        "audit-policy-file": _audit_policy(cluster),
        "authorization-mode": "Node,RBAC",
        "bind-address": "::",
        "client-ca-file": pki / "ca.crt",
        "enable-admission-plugins": "NodeRestriction",
        "enable-priority-and-fairness": "false",
        "etcd-servers": "http://127.0.0.1:2379",
        "kubelet-certificate-authority": pki / "ca.crt",
        "kubelet-client-certificate": pki / "apiserver-kubelet-client.crt",
        "kubelet-client-key": pki / "apiserver-kubelet-client.key",
        "kubelet-preferred-address-types": "InternalIP",
        "max-mutating-requests-inflight": "1000",
        "max-requests-inflight": "2000",
        "proxy-client-cert-file": pki / "front-proxy-client.crt",
        "proxy-client-key-file": pki / "front-proxy-client.key",
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-client-ca-file": pki / "front-proxy-ca.crt",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "secure-port": "6443",
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": pki / "service-account.pub",
        "service-account-signing-key-file": pki / "service-account.key",
        "service-cluster-ip-range": ",".join(cluster.addresses.services),
        "tls-cert-file": pki / "apiserver.crt",
        "tls-private-key-file": pki / "apiserver.key",
    }
    return _component(cluster, "kube-apiserver", flags, (_audit_policy(cluster),))


def controller_manager(cluster: Cluster) -> Process:
    """Return the controller manager; the node's pod networks are fixed, so it hands none out."""
    pki = cluster.pki
    flags: dict[str, str | Path] = {
        **_client(cluster, "controller-manager"),
        "allocate-node-cidrs": "false",
        "cluster-signing-cert-file": pki / "ca.crt",
        "cluster-signing-key-file": pki / "ca.key",
        "node-monitor-grace-period": "120s",  # a busy machine is not a lost node
        "root-ca-file": pki / "ca.crt",
        "service-account-private-key-file": pki / "service-account.key",
        "use-service-account-credentials": "true",
    }
    return _component(cluster, "kube-controller-manager", flags)


def scheduler(cluster: Cluster) -> Process:
    """Return the scheduler."""
    return _component(cluster, "kube-scheduler", _client(cluster, "scheduler"))


def _client(cluster: Cluster, name: str) -> dict[str, str | Path]:
    kubeconfig = cluster.state / f"{name}.kubeconfig"
    return {
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": "127.0.0.1",
        "kube-api-burst": "10000",
        "kube-api-qps": "5000",
        "kubeconfig": kubeconfig,
        "leader-elect": "false",
    }


def _component(cluster: Cluster, name: str, flags: dict[str, str | Path], files: tuple[Path, ...] = ()) -> Process:
    argv = [str(binary("kube")), name, *(f"--{flag}={value}" for flag, value in sorted(flags.items()))]
    return Process(name, argv, cluster.netns, files=files)


def _audit_policy(cluster: Cluster) -> Path:
    return cluster.state / "audit-policy.json"


def _write_audit_policy(cluster: Cluster) -> None:
    verbs = ["create", "update", "patch", "delete", "deletecollection"]
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [{"level": "Metadata", "verbs": verbs}, {"level": "None"}],
    }
    write(_audit_policy(cluster), json.dumps(policy))
