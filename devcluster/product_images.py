"""The images of the operator, the gateway and the sidecar, from the very Dockerfile that a user of Docker builds.

The starter's has two programs and nothing else: its Dockerfile wants an image of Go, so here it is put together without
one. And one that tests need: a sidecar that was given a third party's kind of connector, as its user would do it.
"""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from devcluster.binaries import STARTER, STARTERS, binary
from devcluster.cluster import REPOSITORY, cache_home
from devcluster.command import run
from devcluster.content import content_hash
from devcluster.images import Image, python
from devcluster.oci import write_image, write_layer
from tools.bootstrap import uv_program

COMMON_INPUT = ("Dockerfile", ".dockerignore", "pyproject.toml", "uv.lock", "README.md", "LICENSE")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
UV_SETTINGS = "system-certs = true\n"
KIND = REPOSITORY / "tests/sidecar/plugin"
"""The third party's package, and the Dockerfile that adds it to the sidecar's image."""


def operator() -> Image:
    """Return the operator's image."""
    return _image("operator")


def gateway() -> Image:
    """Return the egress gateway's image: Envoy, and our processes beside it."""
    return _image("gateway")


def sidecar() -> Image:
    """Return the image of agents' sidecars."""
    return _image("sidecar")


def starter() -> Image:
    """Return the image of what makes a pool's warm pod an agent's; it wants its programs built (`STARTERS`)."""
    programs = {name: binary(name) for name in STARTERS}
    # A program lies in a directory whose name is the hash of what it was made from.
    digest = content_hash([STARTER / "Dockerfile"], *(path.parent.name for path in programs.values()))
    reference = f"docker.io/ringfence/starter:{digest}"

    def make(archive: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="ringfence-") as scratch:
            layer = Path(scratch) / "layer.tar"
            write_layer(layer, programs, {})
            write_image(archive, reference, layer, {"Entrypoint": [f"/{STARTERS[0]}"], "User": "65532:65532"})

    return Image("starter", reference, lambda: digest, make)


def extended_sidecar() -> Image:
    """Return the sidecar's image with a third party's kind of connector in it; wants the sidecar's archive built."""
    uv, base = _uv_version(), sidecar()
    package = [KIND / "Dockerfile", KIND / "pyproject.toml", KIND / "ringfence_kv"]
    digest = content_hash(package, base.digest(), uv)
    reference = f"docker.io/ringfence/sidecar-kv:{digest}"

    def make(archive: Path) -> None:
        bases = {"SIDECAR": base.archive, "UV": _uv_archive(uv)}
        _build("sidecar-kv", archive, reference, bases, context=KIND)

    return Image("sidecar-kv", reference, lambda: digest, make)


def _image(name: str) -> Image:
    """Return a target of the Dockerfile; its tag is its content hash: a new one is rolled out, an old one not pulled.

    Its sources are the directory of its own name.
    """
    uv = _uv_version()
    paths = [REPOSITORY / path for path in (*COMMON_INPUT, name)]
    digest = content_hash([path for path in paths if path.exists()], python().digest(), uv)
    reference = f"docker.io/ringfence/{name}:{digest}"

    def make(archive: Path) -> None:
        _build(name, archive, reference, {"BASE": python().archive, "UV": _uv_archive(uv)}, target=name)

    return Image(name, reference, lambda: digest, make)


def _build(
    name: str,
    archive: Path,
    reference: str,
    bases: Mapping[str, Path],
    *,
    context: Path = REPOSITORY,
    target: str | None = None,
) -> None:
    log = cache_home() / f"logs/image-{name}.log"
    with tempfile.TemporaryDirectory(prefix="ringfence-") as directory:
        scratch = Path(directory)
        settings = scratch / "uv.toml"
        settings.write_text(UV_SETTINGS + _host_settings())
        build = ["bud", "--isolation", "chroot", "--layers", "--tag", reference]
        build += ["--target", target] if target else []
        build += [
            argument for base, path in bases.items() for argument in ("--build-arg", f"{base}=oci-archive:{path}")
        ]
        # How this host reaches the package index is the build's business and never part of the image.
        build += ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro", "--volume", f"{settings}:/etc/uv/uv.toml:ro"]
        run([*_buildah(scratch), *build, str(context)], log=log, timeout=900)
        push = ["push", "--disable-compression", reference, f"oci-archive:{archive}:{reference}"]
        run([*_buildah(scratch), *push], log=log, timeout=300)
        # The archive is the copy that counts; the layers stay for the next build.
        run([*_buildah(scratch), "rmi", reference], log=log, check=False)


def _buildah(scratch: Path) -> list[str]:
    """Return the command in a mount namespace of its own: whatever happens, its mounts end with it."""
    store = ["--root", str(cache_home() / "buildah"), "--runroot", str(scratch / "run"), "--storage-driver", "overlay"]
    return ["unshare", "--mount", "--propagation", "private", "buildah", *store]


def _uv_version() -> str:
    found = re.search(r"^ARG UV=.*:(\S+)$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    assert found, "the Dockerfile pins uv"
    return found[1]


def _uv_archive(version: str) -> Path:
    """Return an image of uv, as its project publishes one, made from the wheel on the package index."""
    target = cache_home() / "images" / f"uv-{version}.tar"
    if not target.exists():
        with tempfile.TemporaryDirectory(prefix="ringfence-") as name:
            scratch = Path(name)
            # The environment that tests run in has no pip.
            fetch = [uv_program(), "pip", "install", "--python", sys.executable, "--no-deps", "--target", name]
            run([*fetch, f"uv=={version}"], log=cache_home() / "logs/image-uv.log", timeout=300)
            write_layer(scratch / "layer.tar", {"uv": scratch / "bin/uv"}, {})
            write_image(scratch / "uv.tar", f"docker.io/astral/uv:{version}", scratch / "layer.tar", {})
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(scratch / "uv.tar", target.with_suffix(".partial"))
            target.with_suffix(".partial").replace(target)
    return target


def _host_settings() -> str:
    """Return the package index that this host's uv uses, where its user has named another than the public one."""
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL")
    return f'index-url = "{index}"\n' if index else ""
