"""The images of the cluster: built here, kept as archives under their content hash."""

import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devcluster.backends import SERVERS, fakesnow
from devcluster.binaries import binary
from devcluster.cluster import REPOSITORY, cache_home
from devcluster.command import run
from devcluster.content import content_hash
from devcluster.lock import locked
from devcluster.oci import write_image, write_layer
from devcluster.step import Progress

PAUSE = "docker.io/ringfence/pause:local"
COREDNS = "docker.io/ringfence/coredns:local"
PYTHON = "docker.io/library/python:3.11-slim-bookworm"
CLIENTS = "docker.io/ringfence/clients:local"
BACKENDS = "docker.io/ringfence/backends:local"

SNOWFLAKE = REPOSITORY / "tests/backends/snowflake"
SEARCH_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PYTHON_PACKAGES = ("python3", "ca-certificates")
CLIENT_PACKAGES = (
    *("curl", "git", "nodejs", "python3-pip"),
    *("python3-aiohttp", "python3-httpx", "python3-requests"),
)
PYTHON_LINKS = "for name in python3 python; do ln -sf /usr/bin/python3 $1/usr/local/bin/$name; done"
KEPT = 3  # archives of an image, the newest
# Nobody reads manuals in a container; without them the image is a third smaller.
EXCLUDED = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")


@dataclass(frozen=True)
class Image:
    """An image that is made here: what it is called, what it is made from and how."""

    name: str
    reference: str
    digest: Callable[[], str]
    make: Callable[[Path], None]

    @property
    def archive(self) -> Path:
        """Where the archive is once it is built."""
        return cache_home() / "images" / f"{self.name}-{self.digest()}.tar"


def build_image(image: Image, progress: Progress) -> Path:
    """Return the image's archive; build it if its content hash is new."""
    archive = image.archive
    if not archive.exists():
        with locked(cache_home() / "images.lock", on_wait=lambda: progress.note("waiting for another build")):
            if not archive.exists():
                with progress.step(f"build image {image.name}", announce=True):
                    _build(image, archive)
    return archive


def _suite() -> str:
    """Return the host's own release: its package sources and keys are there."""
    try:
        return platform.freedesktop_os_release()["VERSION_CODENAME"]
    except (OSError, KeyError):
        return "bookworm"


def _build(image: Image, archive: Path) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    image.make(partial)
    partial.replace(archive)
    former = sorted(archive.parent.glob(f"{image.name}-*.tar"), key=lambda path: path.stat().st_mtime)
    for old in former[:-KEPT]:
        old.unlink()


def pause() -> Image:
    """Return the image of the container that holds a pod's namespaces: one static binary that sleeps."""
    busybox = Path(shutil.which("busybox") or "/usr/bin/busybox")

    def make(target: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            layer = Path(scratch) / "layer.tar"
            write_layer(layer, {"bin/busybox": busybox}, {})
            write_image(
                target, PAUSE, layer, {"Entrypoint": ["/bin/busybox", "sleep", "2147483647"], "User": "65535:65535"}
            )

    return Image("pause", PAUSE, lambda: content_hash([busybox], PAUSE), make)


def coredns() -> Image:
    """Return the image of the cluster's DNS server."""
    program = binary("coredns")

    def make(target: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            layer = Path(scratch) / "layer.tar"
            write_layer(layer, {"coredns": program}, {})
            write_image(target, COREDNS, layer, {"Entrypoint": ["/coredns"]})

    return Image("coredns", COREDNS, lambda: content_hash([], COREDNS, program.parent.name), make)


def python() -> Image:
    """Return a small Debian with Python, under the name of the public image that it stands in for."""
    return _debian("python", PYTHON, PYTHON_PACKAGES, PYTHON_LINKS)


def clients() -> Image:
    """Return a Debian with the programs that people fetch things with, and one in Go; it wants `fetch` built."""
    return _debian("clients", CLIENTS, PYTHON_PACKAGES + CLIENT_PACKAGES, f"copy-in {binary('fetch')} /usr/local/bin")


def backends() -> Image:
    """Return a Debian with what sidecars speak to in tests, under /opt the stand-in for Snowflake.

    Its PYTHONPATH is `/opt:/opt/fakesnow`, its module `tests.backends.snowflake`.
    """
    place = "/opt/tests/backends"
    hooks = [
        f'mkdir -p "$1{place}" && cp -a {fakesnow()} "$1/opt/fakesnow"',
        f"copy-in {SNOWFLAKE} {place}",
    ]
    return _debian("backends", BACKENDS, ("python3", *SERVERS), *hooks, sources=(SNOWFLAKE,))


def _debian(name: str, reference: str, packages: tuple[str, ...], *hooks: str, sources: tuple[Path, ...] = ()) -> Image:
    suite = _suite()
    argv = ["mmdebstrap", "--variant=minbase", f"--include={','.join(packages)}"]
    argv += [f"--customize-hook={hook}" for hook in hooks]
    argv += [f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED]

    def make(target: Path) -> None:
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            layer = Path(scratch) / "layer.tar"
            run([*argv, suite, str(layer)], log=cache_home() / f"logs/image-{name}.log", timeout=900)
            write_image(target, reference, layer, {"Env": [SEARCH_PATH], "Cmd": ["python3"]})

    return Image(name, reference, lambda: content_hash([*sources], reference, suite, *argv), make)
