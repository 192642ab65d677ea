"""What a release is made of: `python -m tools.release check|dist|image|chart|packages`.

The workflow calls this, by make, and adds nothing but who may do it, signatures and attestations. `check` and `dist`
need no more than development does; `image` needs Docker, and what publishes needs a login.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from devcluster.binaries import binary, build
from devcluster.step import Progress
from tools.bootstrap import uv_program
from tools.chart_bill import chart_bill

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
REPOSITORY = "docker.io/ringfence"
"""Where images and chart lie, as the chart's own values have it."""
IMAGES = ("operator", "gateway", "sidecar", "starter")
PLATFORMS = "linux/amd64,linux/arm64"
_PACKAGES = ("client/ringfence", "client/ringfence_cli", "gateway/ringfence_gateway", "operator/ringfence_operator")
_NAMED = re.compile(rf"{re.escape(REPOSITORY)}/[a-z]+:(\d+\.\d+\.\d+)")
_CONTEXTS = {"starter": "starter"}
"""Where the Dockerfile of an image is that has one of its own."""
_GO = re.compile(r'^const Version = "(.+)"$', re.MULTILINE)
_OWN = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)


class ReleaseError(Exception):
    """Something that a release must not be made with."""


def versions() -> Mapping[str, str]:
    """Return the version that each place says that Ringfence has."""
    chart = yaml.safe_load((ROOT / "charts/ringfence/Chart.yaml").read_text())
    found = {
        "pyproject.toml": str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]),
        "Chart.yaml: version": str(chart["version"]),
        "Chart.yaml: appVersion": str(chart["appVersion"]),
    }
    for package in (*_PACKAGES, "sidecar/ringfence_sidecar"):
        found[package] = _OWN.findall((ROOT / package / "__init__.py").read_text())[0]
    found["starter/internal/order"] = _GO.findall((ROOT / "starter/internal/order/order.go").read_text())[0]
    for path in sorted([*(ROOT / "deploy").rglob("*.yaml"), *(ROOT / "docs").rglob("*.md")]):
        for number, version in enumerate(_NAMED.findall(path.read_text()), 1):
            found[f"{path.relative_to(ROOT).as_posix()}, image {number}"] = version
    return found


def checked_version(tag: str = "") -> str:
    """Return the version. Raises ReleaseError if places disagree, or `tag` is another's."""
    found = versions()
    version = found["pyproject.toml"]
    if others := {place: each for place, each in found.items() if each != version}:
        raise ReleaseError(f"pyproject.toml says {version}, and others do not: {json.dumps(others)}")
    if tag and tag != f"v{version}":
        raise ReleaseError(f"the tag is {tag}, and the version {version}: push v{version}, or change the version first")
    return version


def dist(target: Path = DIST) -> None:
    """Make packages and chart anew, and their bills of materials."""
    version = checked_version()
    shutil.rmtree(target, ignore_errors=True)
    build(["helm"], Progress("Helm"))
    bill = target / f"packages/ringfence-{version}.cdx.json"
    _run([uv_program(), "build", "--quiet", "--out-dir", str(target / "packages")])
    _run([uv_program(), "export", *_BILL, "--output-file", str(bill)])
    _run([str(binary("helm")), "package", "charts/ringfence", "--destination", str(target / "chart")])
    package = target / f"chart/ringfence-{version}.tgz"
    bill = target / f"chart/ringfence-chart-{version}.cdx.json"  # beside the packages' on the release's page
    bill.write_text(json.dumps(chart_bill(package, version), indent=2) + "\n")
    for path in sorted(each for each in target.rglob("ringfence-*") if each.is_file()):
        sys.stdout.write(f"{path.relative_to(target.parent).as_posix()}\n")


_BILL = ("--quiet", "--frozen", "--no-dev", "--all-extras", "--format", "cyclonedx1.5")


def image_command(name: str, *, version: str, repository: str, metadata: Path) -> list[str]:
    """Return how to build and push an image for every platform, with bill of materials and provenance."""
    attested = ["--sbom=true", "--provenance=mode=max"]
    tag = ["--tag", f"{repository}/{name}:{version}"]
    kept = ["--metadata-file", str(metadata)]
    return [
        "docker",
        "buildx",
        "build",
        "--platform",
        PLATFORMS,
        "--target",
        name,
        *attested,
        *tag,
        *kept,
        "--push",
        _CONTEXTS.get(name, "."),
    ]


def push_image(name: str, repository: str) -> str:
    """Build and push an image; return its digest."""
    metadata = DIST / f"images/{name}.json"
    metadata.parent.mkdir(parents=True, exist_ok=True)
    _run(image_command(name, version=checked_version(), repository=repository, metadata=metadata))
    return str(json.loads(metadata.read_text())["containerimage.digest"])


def push_chart(repository: str) -> str:
    """Push the chart that `dist` made; return its digest."""
    build(["helm"], Progress("Helm"))
    # Helm knows Docker's registry by the name of its server only.
    place = re.sub(r"^docker\.io/", "registry-1.docker.io/", repository)
    return digest_in(_run([str(binary("helm")), "push", str(_made("chart/*.tgz")), f"oci://{place}"]))


def digest_in(said: str) -> str:
    """Return the digest that `helm push` says. Raises ReleaseError if there is none."""
    found = re.search(r"^Digest: (sha256:[0-9a-f]{64})$", said, re.MULTILINE)
    if found is None:
        raise ReleaseError(f"helm says no digest: {said}")
    return found[1]


def publish_packages() -> None:
    """Publish the packages that `dist` made, as the workflow that this runs in."""
    files = [str(_made("packages/*.whl")), str(_made("packages/*.tar.gz"))]
    _run([uv_program(), "publish", "--trusted-publishing", "always", *files])


def _made(pattern: str) -> Path:
    found = sorted(DIST.glob(pattern))
    if len(found) != 1:
        raise ReleaseError(f"dist/{pattern}: {len(found)} files instead of one; run make dist")
    return found[0]


def _run(command: Sequence[str]) -> str:
    """Run it in the repository, show what it says, and return that. Raises ReleaseError if it fails."""
    ran = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=3600, check=False
    )
    sys.stderr.write(ran.stdout)
    if ran.returncode:
        raise ReleaseError(f"{' '.join(command[:3])} … ended with {ran.returncode}")
    return ran.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one part; digests are written as a workflow's outputs are."""
    parser = argparse.ArgumentParser(prog="python -m tools.release", description=(__doc__ or "").partition("\n")[0])
    parts = parser.add_subparsers(dest="part", required=True)
    parts.add_parser("check").add_argument("tag", nargs="?", default="")
    parts.add_parser("dist")
    image = parts.add_parser("image")
    image.add_argument("name", choices=IMAGES)
    for each in (image, parts.add_parser("chart")):
        each.add_argument("--repository", default=REPOSITORY)
    parts.add_parser("packages")
    options = parser.parse_args(arguments)
    try:
        if options.part == "check":
            sys.stdout.write(f"version={checked_version(options.tag)}\n")
        elif options.part == "dist":
            dist()
        elif options.part == "image":
            sys.stdout.write(f"digest={push_image(options.name, options.repository)}\n")
        elif options.part == "chart":
            sys.stdout.write(f"digest={push_chart(options.repository)}\n")
        else:
            publish_packages()
    except ReleaseError as error:
        sys.stderr.write(f"release: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
