"""containerd: its configuration, its images and what it must forget between two lives of a cluster."""

import json
import shutil
from pathlib import Path

from devcluster.binaries import binary
from devcluster.cluster import REPOSITORY, Cluster
from devcluster.command import run
from devcluster.errors import DevclusterError
from devcluster.file import link, write
from devcluster.process import Process

CNI_PLUGINS = Path("/usr/lib/cni")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KEPT = 5  # versions of an image, the newest

CONFIG = """\
version = 3
root = "{root}"
state = "{run}/containerd"
temp = "{run}/tmp"
disabled_plugins = [
  "io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.image-verifier.v1.bindir", "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.erofs", "io.containerd.snapshotter.v1.zfs",
]

[plugins."io.containerd.server.v1.grpc"]
  address = "{run}/containerd.sock"
[plugins."io.containerd.server.v1.ttrpc"]
  address = "{run}/containerd.sock.ttrpc"
[plugins."io.containerd.shim.v1.manager"]
  socket_dir = "{run}/s"
[plugins."io.containerd.metadata.v1.bolt"]
  no_sync = true
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{pause}"
[plugins."io.containerd.cri.v1.runtime"]
  # Where CAP_SYS_RESOURCE is missing, runc cannot lower oom_score_adj and dies.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["{state}/cni/bin"]
  conf_dir = "{state}/cni/conf"
  use_internal_loopback = true
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  runtime_path = "{shim}"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = "{runc}"
  Root = "{run}/runc"
"""


def socket(cluster: Cluster) -> Path:
    """Return containerd's socket."""
    return cluster.run / "containerd.sock"


def containerd(cluster: Cluster, pause_image: str) -> Process:
    """Write containerd's configuration and return the process."""
    config = cluster.state / "containerd.toml"
    write(
        config,
        CONFIG.format(
            root=cluster.containerd_root / "root",
            run=cluster.run,
            state=cluster.state,
            pause=pause_image,
            shim=binary("containerd-shim-runc-v2"),
            runc=binary("runc"),
        ),
    )
    cluster.run.mkdir(parents=True, exist_ok=True)
    # A restarted containerd looks for the shim of a running container on the PATH, and the shim for runc.
    programs = [str(binary(name).parent) for name in ("containerd-shim-runc-v2", "runc")]
    env = {"PATH": ":".join([*programs, SYSTEM_PATH])}
    argv = [str(binary("containerd")), "--config", str(config)]
    return Process("containerd", argv, cluster.netns, env=env, files=(config,))


def write_cni(cluster: Cluster) -> None:
    """Lay out the pod network: `ptp` routes every packet through the node, where policies can judge it.

    The plugins are links in a directory of fixed name, so that a new build of one is no reason to restart containerd.
    """
    ranges = [[{"subnet": subnet}] for subnet in cluster.addresses.pods]
    ipam = {
        "type": "host-local",
        "dataDir": str(cluster.state / "ipam"),
        "ranges": ranges,
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    }
    plugins: list[dict[str, object]] = [
        {"type": "no-dad"},
        {"type": "ptp", "ipMasq": False, "ipam": ipam},
        # Heeds kubernetes.io/ingress-bandwidth and egress-bandwidth; pods without them are left as they are.
        {"type": "bandwidth", "capabilities": {"bandwidth": True}},
    ]
    programs = {name: CNI_PLUGINS / name for name in ("ptp", "host-local", "bandwidth")}
    programs["no-dad"] = REPOSITORY / "devcluster/cni/no-dad"
    if binary("netpol-cni").exists():
        plugins.append({"type": "netpol-cni", "socket": str(cluster.run / "node-agent.sock")})
        programs["netpol-cni"] = binary("netpol-cni")
    for name, program in programs.items():
        link(cluster.state / "cni/bin" / name, program)
    config = {"cniVersion": "1.0.0", "name": cluster.netns, "plugins": plugins}
    write(cluster.state / "cni/conf/10-ringfence.conflist", json.dumps(config, indent=1))


def ctr(cluster: Cluster, *arguments: str, check: bool = True) -> str:
    """Run containerd's command in the namespace that Kubernetes uses."""
    argv = [str(binary("ctr")), "--address", str(socket(cluster)), "--namespace", "k8s.io", *arguments]
    return run(argv, log=cluster.logs / "ctr.log", timeout=300, check=check)


def is_serving(cluster: Cluster) -> bool:
    """True once containerd answers on its socket."""
    return socket(cluster).exists() and "Server:" in ctr(cluster, "version", check=False)


def import_image(cluster: Cluster, archive: Path, reference: str) -> bool:
    """Import the archive unless this very file was imported before; return True if that was needed."""
    record = cluster.containerd_root / "imported" / archive.name
    if record.exists():
        return False
    import_archive(cluster, archive)
    write(record, reference)
    name = archive.name.rpartition("-")[0]
    former = sorted(record.parent.glob(f"{name}-*.tar"), key=lambda path: path.stat().st_mtime)
    for old in former[:-KEPT]:
        if old.read_text() != reference:
            ctr(cluster, "images", "remove", old.read_text(), check=False)
        old.unlink()
    return True


def import_archive(cluster: Cluster, archive: Path) -> None:
    """Import and unpack an image archive, OCI or Docker."""
    if not archive.is_file():
        raise DevclusterError(f"{archive}: no such file")
    ctr(cluster, "images", "import", "--local", "--snapshotter", "overlayfs", str(archive.resolve()))


def name_image(cluster: Cluster, reference: str, other: str) -> None:
    """Give an image that the node has another name besides, whatever had it before."""
    ctr(cluster, "images", "tag", "--force", reference, other)


def forget_containers(cluster: Cluster) -> None:
    """Make containerd forget the containers of a former life; they must not run, images stay."""
    if containers := ctr(cluster, "containers", "list", "--quiet").split():
        for task in ctr(cluster, "tasks", "list", "--quiet").split():
            ctr(cluster, "tasks", "delete", "--force", task, check=False)
        ctr(cluster, "containers", "delete", *containers, check=False)


def remove_remains(cluster: Cluster) -> None:
    """Delete what the CRI plugin keeps on disk about pods; containerd must not run."""
    for name in ("io.containerd.grpc.v1.cri", "io.containerd.runtime.v2.task"):
        shutil.rmtree(cluster.containerd_root / "root" / name, ignore_errors=True)
    for result in Path("/var/lib/cni/results").glob(f"{cluster.netns}-*"):
        result.unlink(missing_ok=True)
