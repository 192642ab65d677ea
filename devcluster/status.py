"""What state a cluster is in, and how to talk to it."""

import shlex

from devcluster.api import Api
from devcluster.cluster import TOOLS, Cluster, find_cluster
from devcluster.errors import DevclusterError
from devcluster.node import has_condition
from devcluster.outside import RESOLVERS
from devcluster.process import running

EXPECTED = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
]


def existing(name: str) -> Cluster:
    """Return the cluster of that name; DevclusterError if it has not been brought up."""
    if found := find_cluster(name):
        return found
    raise DevclusterError(f"there is no cluster {name}; `python3 -m devcluster up` makes it")


def show_status(name: str) -> bool:
    """Print the state of every part; return True if all is well."""
    cluster = find_cluster(name)
    if cluster is None:
        print(f"cluster {name}: not up")
        return False
    records = running(cluster)
    well = True
    for part in [*EXPECTED, *sorted(records.keys() - set(EXPECTED))]:
        record = records.get(part)
        alive = record is not None and record.is_alive()
        well = well and alive
        print(f"  {'✓' if alive else '✗'} {part:24}", f"pid {record.pid}" if record and alive else "not running")
    well = _show_api(cluster) and well
    print(f"  logs        {cluster.logs}")
    print(f"  kubeconfig  {cluster.kubeconfig}")
    print(f"cluster {name}: {'up' if well else 'NOT WELL; `python3 -m devcluster up` repairs it'}")
    return well


def environment(cluster: Cluster) -> dict[str, str]:
    """Return the variables by which programs find the cluster."""
    return {
        "KUBECONFIG": str(cluster.kubeconfig),
        "OPLOAD_SERVER": cluster.server,
        "OPLOAD_CA": str(cluster.pki / "ca.crt"),
        "OPLOAD_CERT": str(cluster.pki / "admin.crt"),
        "OPLOAD_KEY": str(cluster.pki / "admin.key"),
        "AUDIT_LOG": str(cluster.audit_log),
        "ETCD_METRICS": cluster.etcd_metrics,
        "RINGFENCE_CLUSTER": cluster.name,
        "RINGFENCE_NETNS": cluster.netns,
        "OUTSIDE_CA": str(cluster.outside_ca),
        "OUTSIDE_DNS": RESOLVERS[0],
        "OUTSIDE_QUERIES": str(cluster.query_log),
        "OUTSIDE_CONNECTIONS": str(cluster.connection_log),
    }


def show_environment(name: str) -> None:
    """Print shell lines for `eval`; kubectl joins the PATH."""
    for key, value in environment(existing(name)).items():
        print(f"export {key}={shlex.quote(value)}")
    print(f'export PATH={shlex.quote(str(TOOLS))}:"$PATH"')


def _show_api(cluster: Cluster) -> bool:
    api = Api(cluster, timeout=3) if (cluster.pki / "admin.crt").exists() else None
    if api is None or not api.is_ready():
        print("  ✗ API server does not answer")
        return False
    nodes = (api.get("/api/v1/nodes") or {}).get("items", [])
    ready = [node["metadata"]["name"] for node in nodes if has_condition(node, "Ready")]
    pods = (api.get("/api/v1/pods?limit=5000") or {}).get("items", [])
    print(f"  ✓ API server {cluster.server}: {len(ready)} of {len(nodes)} nodes Ready, {len(pods)} pods")
    return cluster.node_name in ready
