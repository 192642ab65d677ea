"""Keys, certificates and kubeconfigs, by the openssl command."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from devcluster.cluster import Cluster
from devcluster.command import run
from devcluster.file import write

DAYS = "3650"


@dataclass(frozen=True)
class Identity:
    """A certificate to be signed: who it is and what it may be used for."""

    name: str
    common_name: str
    organization: str = ""
    addresses: tuple[str, ...] = ()  # makes it a server's certificate
    authority: str = "ca"


def identities(cluster: Cluster) -> list[Identity]:
    """Return everybody who needs a certificate."""
    node = f"system:node:{cluster.node_name}"
    at = cluster.addresses
    names = ("DNS:localhost", "DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc")
    own = tuple(f"IP:{address}" for address in ("127.0.0.1", "::1", *at.node))
    api = (*names, "DNS:kubernetes.default.svc.cluster.local", *own, f"IP:{at.api_service}")
    return [
        Identity("apiserver", "kube-apiserver", addresses=api),
        Identity("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
        Identity("front-proxy-client", "front-proxy-client", authority="front-proxy-ca"),
        Identity("admin", "kubernetes-admin", "system:masters"),
        Identity("controller-manager", "system:kube-controller-manager"),
        Identity("scheduler", "system:kube-scheduler"),
        Identity("kube-proxy", "system:kube-proxy"),
        Identity("node-agent", "ringfence:node-agent"),
        Identity("kwok", "ringfence:kwok"),
        Identity("kubelet", node, "system:nodes"),
        Identity("kubelet-server", cluster.node_name, addresses=(f"DNS:{cluster.node_name}", *own)),
    ]


def ensure_certificates(cluster: Cluster) -> None:
    """Make the keys and certificates that are missing, and a kubeconfig for each who calls the API server."""
    cluster.pki.mkdir(parents=True, exist_ok=True, mode=0o700)
    for authority in ("ca", "front-proxy-ca", "outside-ca"):
        _authority(cluster.pki, authority)
    if not (cluster.pki / "service-account.key").exists():
        _key_pair(cluster.pki)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda identity: _signed(cluster.pki, identity), identities(cluster)))
    for identity in identities(cluster):
        if not identity.addresses:
            _write_kubeconfig(cluster, identity.name, cluster.state / f"{identity.name}.kubeconfig")
    _write_kubeconfig(cluster, "admin", cluster.kubeconfig)


def _authority(pki: Path, name: str) -> None:
    if not (pki / f"{name}.crt").exists():
        usage = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        _openssl(pki, name, f"/CN=ringfence-{name}", *usage)


def _signed(pki: Path, identity: Identity) -> None:
    if (pki / f"{identity.name}.crt").exists():
        return
    organization = f"/O={identity.organization}" if identity.organization else ""
    usage = "serverAuth" if identity.addresses else "clientAuth"
    extensions = ["-addext", f"extendedKeyUsage={usage}", "-addext", "basicConstraints=critical,CA:FALSE"]
    if identity.addresses:
        extensions += ["-addext", f"subjectAltName={','.join(identity.addresses)}"]
    signer = ["-CA", str(pki / f"{identity.authority}.crt"), "-CAkey", str(pki / f"{identity.authority}.key")]
    _openssl(pki, identity.name, f"{organization}/CN={identity.common_name}", *extensions, *signer)


def _openssl(pki: Path, name: str, subject: str, *options: str) -> None:
    """Write NAME.key and, last, NAME.crt: where the certificate is, the key is complete."""
    key, partial = pki / f"{name}.key", pki / f"{name}.crt.partial"
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key)]
    argv = ["openssl", "req", "-x509", *new, "-out", str(partial), "-days", DAYS, "-subj", subject, *options]
    run([*argv, "-config", "/dev/null"], env={"OPENSSL_CONF": "/dev/null"})
    partial.rename(pki / f"{name}.crt")


def _key_pair(pki: Path) -> None:
    partial = pki / "service-account.key.partial"
    run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(partial)])
    run(["openssl", "ec", "-in", str(partial), "-pubout", "-out", str(pki / "service-account.pub")])
    partial.rename(pki / "service-account.key")


def _write_kubeconfig(cluster: Cluster, name: str, path: Path) -> None:
    def data(file: str) -> str:
        return base64.b64encode((cluster.pki / file).read_bytes()).decode()

    context = f"ringfence-{cluster.name}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": context, "cluster": {"server": cluster.server, "certificate-authority-data": data("ca.crt")}}
        ],
        "users": [
            {
                "name": name,
                "user": {"client-certificate-data": data(f"{name}.crt"), "client-key-data": data(f"{name}.key")},
            }
        ],
        "contexts": [{"name": context, "context": {"cluster": context, "user": name}}],
        "current-context": context,
    }
    write(path, json.dumps(config, indent=1), mode=0o600)
