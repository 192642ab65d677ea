"""The same commands where Docker runs: kind makes the cluster. See the README for what has been tried."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from devcluster.cluster import REPOSITORY, cache_home
from devcluster.command import run
from devcluster.step import Progress

VERSION = "v0.33.0"
KUBELET = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "podPidsLimit": 512}
NODE_IMAGE = "RINGFENCE_KIND_NODE_IMAGE"
"""Environment variable: the node's image, and with it the version of Kubernetes; kind's own choice without it."""
CONFIG = {
    "kind": "Cluster",
    "apiVersion": "kind.x-k8s.io/v1alpha4",
    "networking": {"ipFamily": "dual"},
    "kubeadmConfigPatches": [json.dumps(KUBELET)],
}


def docker_answers() -> bool:
    """True if there is a Docker that kind can use."""
    if not shutil.which("docker"):
        return False
    return subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False).returncode == 0


def up(name: str, progress: Progress) -> None:
    """Create the cluster unless it exists."""
    if _name(name) not in _kind("get", "clusters").split():
        with progress.step("create kind cluster", announce=True):
            image = ["--image", os.environ[NODE_IMAGE]] if os.environ.get(NODE_IMAGE) else []
            _kind(
                *("create", "cluster", "--name", _name(name), "--wait", "120s", *image, "--config", "-"),
                stdin=json.dumps(CONFIG),
            )
    _kind("export", "kubeconfig", "--name", _name(name), "--kubeconfig", str(kubeconfig(name)))


def down(name: str) -> None:
    """Delete the cluster."""
    _kind("delete", "cluster", "--name", _name(name))
    kubeconfig(name).unlink(missing_ok=True)


def status(name: str) -> bool:
    """Print whether the cluster exists."""
    exists = _name(name) in _kind("get", "clusters").split()
    print(f"cluster {name}: {'up, in kind' if exists else 'not up'}")
    return exists


def load(name: str, images: list[str]) -> None:
    """Copy the archives, or images that Docker has, onto the node."""
    for image in images:
        kind = "image-archive" if Path(image).is_file() else "docker-image"
        _kind("load", kind, image, "--name", _name(name))


def build_image(target: str, reference: str, context: Path | None = None) -> None:
    """Build a target of the Dockerfile, or of the one in `context`, with Docker."""
    run(["docker", "build", "--target", target, "--tag", reference, str(context or REPOSITORY)], timeout=1200)


def extend_image(base: str, reference: str, context: Path) -> None:
    """Build the Dockerfile in `context`, which adds something to the sidecar's image `base`, with Docker."""
    run(["docker", "build", "--build-arg", f"SIDECAR={base}", "--tag", reference, str(context)], timeout=1200)


def name_image(name: str, reference: str, other: str) -> None:
    """Give an image that Docker has another name besides, on the node, too."""
    run(["docker", "tag", reference, other])
    load(name, [other])


def kubeconfig(name: str) -> Path:
    """Return the administrator's kubeconfig."""
    return REPOSITORY / ".devcluster" / f"{name}.kubeconfig"


def _kind(*arguments: str, stdin: str | None = None) -> str:
    directory = cache_home() / "bin" / f"kind-{VERSION}"
    program = directory / "kind"
    if not program.exists():
        run(["go", "install", f"sigs.k8s.io/kind@{VERSION}"], env={"GOBIN": str(directory)}, timeout=900)
    return run([str(program), *arguments], timeout=900, stdin=stdin)


def _name(name: str) -> str:
    return f"ringfence-{name}"
