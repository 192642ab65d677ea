"""Bringing the cluster up: every step makes what is missing and leaves alone what is right."""

from concurrent.futures import ThreadPoolExecutor

from devcluster.addons import apply_addons
from devcluster.api import Api
from devcluster.binaries import NODE, binary, build
from devcluster.certificates import ensure_certificates
from devcluster.cgroup import ensure_cgroup
from devcluster.cluster import TOOLS, Cluster, claim_cluster, lock_file, state_home
from devcluster.containerd import containerd, forget_containers, import_image, is_serving, write_cni
from devcluster.control_plane import start_api_server, start_controllers, wait_for_api_server
from devcluster.file import write
from devcluster.images import PAUSE, Image, build_image, coredns, pause, python
from devcluster.lock import locked
from devcluster.network import ensure_network
from devcluster.node import has_condition, kube_proxy, kubelet, node_agent, wait_for_kubelet, wait_for_node
from devcluster.outside import outside, outside_addresses
from devcluster.packages import ensure_packages
from devcluster.process import ensure_running, wait_for
from devcluster.step import Progress
from devcluster.user_namespaces import describe_node, probe, remembered

CONTROL_PLANE = ["etcd", "kube"]


def up(name: str, progress: Progress, *, control_plane_only: bool = False) -> Cluster:
    """Bring the cluster up and return it; safe to call at any time, in any state."""
    with locked(lock_file(name), on_wait=lambda: progress.note("waiting for another command")):
        with locked(state_home() / "clusters.lock"):
            cluster = claim_cluster(name)
        ensure_packages(progress)
        with ThreadPoolExecutor(1) as pool:
            # One waits for the network while the other keeps the processors busy.
            if not control_plane_only:
                pool.submit(build_image, python(), progress)
            build(CONTROL_PLANE if control_plane_only else NODE, progress)
        is_new = not (cluster.state / "etcd").exists()
        with progress.step("network namespaces, certificates"):
            ensure_network(cluster, outside_addresses())
            ensure_certificates(cluster)
        _write_kubectl()
        start_api_server(cluster)
        if control_plane_only:
            _control_plane(cluster, progress)
        else:
            _everything(cluster, progress, is_new=is_new)
    return cluster


def _control_plane(cluster: Cluster, progress: Progress) -> Api:
    with progress.step("API server ready"):
        api = wait_for_api_server(cluster)
    start_controllers(cluster)
    return api


def _everything(cluster: Cluster, progress: Progress, *, is_new: bool) -> None:
    ensure_cgroup(cluster.cgroup)
    write_cni(cluster)
    ensure_running(cluster, outside(cluster))
    ensure_running(cluster, containerd(cluster, PAUSE))
    with ThreadPoolExecutor(4) as pool:
        runtime = pool.submit(_container_runtime, cluster, progress, is_new=is_new)
        api = _control_plane(cluster, progress)
        addons = pool.submit(_addons, cluster)
        runtime.result()
        is_started = ensure_running(cluster, kubelet(cluster))
        images = pool.submit(load_images, cluster, progress, [coredns(), python()])
        with progress.step("node Ready"):
            wait_for_node(cluster, api)
            if is_started:
                wait_for_kubelet(cluster, api)
        ensure_running(cluster, kube_proxy(cluster))  # it gives up on a node that does not exist yet
        for background in (addons, images):
            background.result()
    with progress.step("cluster DNS ready"):
        wait_for_dns(api)
    works = remembered()
    if works is None:
        with progress.step("probe user namespaces (once per kernel)"):
            works = probe(cluster, api)
    describe_node(cluster, api, works=works)


def _write_kubectl() -> None:
    """Give people a kubectl of the cluster's own version."""
    write(TOOLS / "kubectl", f'#!/bin/sh\nexec "{binary("kube")}" kubectl "$@"\n', mode=0o755)


def wait_for_dns(api: Api) -> None:
    """Return when the cluster's DNS serves."""

    def is_ready() -> bool:
        deployment = api.get("/apis/apps/v1/namespaces/kube-system/deployments/coredns")
        return deployment is not None and has_condition(deployment, "Available")

    wait_for("cluster DNS ready", is_ready, timeout=120)


def _addons(cluster: Cluster) -> None:
    apply_addons(cluster)
    if agent := node_agent(cluster):  # what it may do is among the addons
        ensure_running(cluster, agent)


def _container_runtime(cluster: Cluster, progress: Progress, *, is_new: bool) -> None:
    with progress.step("containerd ready"):
        wait_for("containerd ready", lambda: is_serving(cluster), timeout=30)
        if is_new:
            forget_containers(cluster)
    load_images(cluster, progress, [pause()])


def load_images(cluster: Cluster, progress: Progress, images: list[Image]) -> None:
    """Build what has changed and import what the node does not have."""
    for image in images:
        archive = build_image(image, progress)
        if import_image(cluster, archive, image.reference):
            progress.note(f"✓ image {image.reference} imported")
