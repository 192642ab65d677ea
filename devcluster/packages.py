"""What the distribution has to give."""

import os
import shutil
from pathlib import Path

from devcluster.cluster import cache_home
from devcluster.command import run
from devcluster.errors import DevclusterError
from devcluster.step import Progress

# Debian package -> a file that it brings
PACKAGES = {
    "iproute2": "ip",
    "nftables": "nft",
    "conntrack": "conntrack",
    "openssl": "openssl",
    "mount": "losetup",
    "e2fsprogs": "mkfs.ext4",
    "gcc": "gcc",
    "libseccomp-dev": "/usr/include/seccomp.h",
    "containernetworking-plugins": "/usr/lib/cni/ptp",
    "busybox-static": "/var/lib/dpkg/info/busybox-static.list",  # the other busybox is not static
    "mmdebstrap": "mmdebstrap",
    "buildah": "buildah",
}


def ensure_packages(progress: Progress) -> None:
    """Install the Debian packages that are missing; touch nothing when none is."""
    install(PACKAGES, progress)
    if not shutil.which("go"):
        raise DevclusterError("`go` is not installed: https://go.dev/doc/install")


def install(packages: dict[str, str], progress: Progress) -> None:
    """Install those of `packages` (name → a file that it brings) that are missing."""
    missing = [package for package, file in packages.items() if not _has(file)]
    if missing:
        if not shutil.which("apt-get"):
            raise DevclusterError(f"install these first (no apt-get here): {' '.join(missing)}")
        with progress.step(f"install {' '.join(missing)}", announce=True):
            _apt("update")
            _apt("install", "--yes", "--no-install-recommends", *missing)


def _apt(*arguments: str) -> None:
    run(
        as_root(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300", *arguments]),
        log=cache_home() / "logs/apt.log",
        timeout=1200,
    )


def as_root(argv: list[str]) -> list[str]:
    """Return the command root would run it: by sudo, if it is there, which asks for no password."""
    if os.geteuid() == 0 or not shutil.which("sudo"):
        return argv
    return ["sudo", "--non-interactive", *argv]


def _has(file: str) -> bool:
    if file.startswith("/"):
        return Path(file).exists()
    return shutil.which(file, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin") is not None
