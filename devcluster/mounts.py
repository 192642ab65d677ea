"""Mounts and loop devices of a cluster, found by where they are."""

import json
import re
from contextlib import suppress
from pathlib import Path

from devcluster.command import run
from devcluster.errors import DevclusterError


def mounts_below(*directories: Path) -> list[Path]:
    """Return the mount points in the directories, innermost and latest first."""
    points = [_unescaped(line.split()[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in reversed(points) if any(point.is_relative_to(directory) for directory in directories)]


def unmount_below(*directories: Path) -> None:
    """Unmount everything in the directories."""
    for _ in range(3):  # what was mounted over something else shows what is below it only then
        points = mounts_below(*directories)
        if not points:
            return
        for point in points:
            run(["umount", str(point)], check=False)
    for point in mounts_below(*directories):
        run(["umount", "--lazy", str(point)], check=False)


def detach_loop_devices(directory: Path) -> None:
    """Detach the loop devices whose file is below the directory."""
    with suppress(DevclusterError, ValueError):
        listed = json.loads(run(["losetup", "--list", "--json", "--output", "NAME,BACK-FILE"]) or "{}")
        for device in listed.get("loopdevices", []):
            if Path((device["back-file"] or "/").removesuffix(" (deleted)")).is_relative_to(directory):
                run(["losetup", "--detach", device["name"]], check=False)


def _unescaped(path: str) -> Path:
    return Path(re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), path))
