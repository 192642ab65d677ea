"""Taking the cluster down: no process, mount, namespace, cgroup, loop device or rule stays behind."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from devcluster.binaries import binary
from devcluster.cgroup import kill_cgroup, remove_cgroup
from devcluster.cluster import Cluster, find_cluster, lock_file
from devcluster.command import run
from devcluster.containerd import forget_containers, is_serving, remove_remains
from devcluster.lock import locked
from devcluster.mounts import detach_loop_devices, unmount_below
from devcluster.network import pids_in, remove_network
from devcluster.node import agent_state
from devcluster.process import end, running, start_time, stop
from devcluster.step import Progress


def down(name: str, *, purge: bool = False) -> None:
    """Take the cluster down, whatever state it is in; `purge` deletes its image layers too."""
    progress = Progress(f"cluster {name}: down")
    with locked(lock_file(name), on_wait=lambda: progress.note("waiting for another command")):
        # Without a record there may still be something: its names do not depend on the slot.
        cluster = find_cluster(name) or Cluster(name, slot=0)
        with progress.step("pods"):
            _stop(cluster, "kubelet", "kube-proxy", "kwok")
            kill_cgroup(cluster.cgroup)
            if "containerd" in running(cluster) and is_serving(cluster):
                forget_containers(cluster)
        with progress.step("processes"):
            _stop(cluster, *running(cluster))
            _stop_strays(cluster)
        with progress.step("mounts, namespaces, cgroups"):
            _remove_volumes(cluster)
            unmount_below(cluster.state, cluster.run, cluster.containerd_root)
            remove_cgroup(cluster.cgroup)
            remove_network(cluster)
        with progress.step("files"):
            _remove_files(cluster, purge=purge)
            lock_file(name).unlink()
    progress.note(f"cluster {name} is down")


def _stop(cluster: Cluster, *names: str) -> None:
    """End the processes at the same time. Nothing of theirs is kept, so there is nothing to wait for."""
    records = [record for name, record in running(cluster).items() if name in names]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda record: stop(cluster, record, grace=1), records))


def _stop_strays(cluster: Cluster) -> None:
    """End what runs in the cluster's namespaces but is not on record: shims, and what a killed `up` began."""
    for namespace in (cluster.netns, cluster.outside_netns):
        for pid in pids_in(namespace):
            if (started := start_time(pid)) is not None and pid != os.getpid():
                end(pid, started, grace=0)


def _remove_volumes(cluster: Cluster) -> None:
    unmount_below(cluster.state / "kubelet")
    if binary("node-agent").exists() and agent_state(cluster).exists():
        argv = [str(binary("node-agent")), "--cleanup", f"--state-dir={agent_state(cluster)}"]
        run(argv, log=cluster.logs / "node-agent.log", check=False)
    unmount_below(cluster.state)
    detach_loop_devices(cluster.state)


def _remove_files(cluster: Cluster, *, purge: bool) -> None:
    remove_remains(cluster)
    for link in Path("/var/log/containers").glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(cluster.state):
            link.unlink()
    shutil.rmtree(cluster.run, ignore_errors=True)
    shutil.rmtree(cluster.state, ignore_errors=True)
    cluster.kubeconfig.unlink(missing_ok=True)
    if purge:
        shutil.rmtree(cluster.containerd_root, ignore_errors=True)
    with suppress(OSError):  # others are there, or it never was
        cluster.run.parent.rmdir()
    _forget_netns_directory()


def _forget_netns_directory() -> None:
    """Undo what `ip netns add` does at its first use: it mounts the directory onto itself."""
    directory = Path("/run/netns")
    if directory.is_mount() and not any(directory.iterdir()):
        run(["umount", str(directory)], check=False)
