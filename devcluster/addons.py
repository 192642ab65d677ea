"""The objects that the cluster is born with: DNS, storage class, runtime class, and who may do what."""

from string import Template

from devcluster.binaries import binary
from devcluster.cluster import REPOSITORY, Cluster
from devcluster.command import run
from devcluster.images import COREDNS

MANIFESTS = REPOSITORY / "devcluster/manifests"


def apply_addons(cluster: Cluster) -> None:
    """Apply every manifest beside us."""
    dns4, dns6 = cluster.addresses.dns_service
    text = "\n---\n".join(path.read_text() for path in sorted(MANIFESTS.glob("*.yaml")))
    apply(cluster, Template(text).substitute(coredns=COREDNS, dns4=dns4, dns6=dns6))


def apply(cluster: Cluster, manifest: str) -> None:
    """Apply the manifest (YAML or JSON) on the server's side."""
    argv = [str(binary("kube")), "kubectl", f"--kubeconfig={cluster.kubeconfig}", "apply", "--server-side"]
    run(
        [*argv, "--force-conflicts", "--field-manager=devcluster", "-f", "-"],
        stdin=manifest,
        log=cluster.logs / "apply.log",
    )
