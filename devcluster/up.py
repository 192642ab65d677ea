"""Bringing the cluster up: every step makes what is missing and leaves alone what is right."""

from devcluster.binaries import build
from devcluster.certificates import ensure_certificates
from devcluster.cluster import Cluster, claim_cluster, state_home
from devcluster.control_plane import start_api_server, start_controllers, wait_for_api_server
from devcluster.lock import locked
from devcluster.network import ensure_network
from devcluster.packages import ensure_packages
from devcluster.step import Progress

CONTROL_PLANE = ["etcd", "kube"]


def up(name: str, *, control_plane_only: bool = False) -> Cluster:
    """Bring the cluster up and return it; safe to call at any time, in any state."""
    progress = Progress(f"cluster {name}: up")
    with locked(state_home() / "clusters.lock"):
        cluster = claim_cluster(name)
    with locked(state_home() / f"{name}.lock", on_wait=lambda: progress.note("waiting for another command")):
        ensure_packages(progress)
        build(CONTROL_PLANE, progress)
        with progress.step("network namespaces"):
            ensure_network(cluster)
        with progress.step("certificates"):
            ensure_certificates(cluster)
        start_api_server(cluster)
        with progress.step("API server ready"):
            wait_for_api_server(cluster)
        start_controllers(cluster)
    return cluster
