"""The cgroup below which the kubelet keeps this cluster's pods, in every hierarchy of the host."""

import os
import time
from contextlib import suppress
from pathlib import Path

from devcluster.process import end, start_time

ROOT = Path("/sys/fs/cgroup")


def hierarchies() -> list[Path]:
    """Return the mount points of the cgroup file systems: one for version 2, one per controller for version 1."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return sorted({Path(mount[1]) for mount in mounts if mount[2] in {"cgroup", "cgroup2"}})


def ensure_cgroup(name: str) -> None:
    """Make the cgroup everywhere. A cpuset of version 1 is born empty: it gets its parent's."""
    for hierarchy in hierarchies():
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / file).exists() and not (group / file).read_text().strip():
                (group / file).write_text((hierarchy / file).read_text())
        if (group / "cgroup.subtree_control").exists():
            # Version 2: what the root does not delegate cannot be delegated further.
            for controller in (group / "cgroup.controllers").read_text().split():
                with suppress(OSError):
                    (group / "cgroup.subtree_control").write_text(f"+{controller}")


def kill_cgroup(name: str) -> None:
    """Kill every process in the cgroup and below it, and wait until they are gone."""
    deadline = time.monotonic() + 20
    while pids := _pids(name):
        for pid in pids:
            if (started := start_time(pid)) is not None:
                end(pid, started, grace=0)
        if time.monotonic() > deadline:
            return
        time.sleep(0.02)


def remove_cgroup(name: str) -> None:
    """Remove the cgroup and all below it; its processes must be gone."""
    for hierarchy in hierarchies():
        for directory, _, _ in os.walk(hierarchy / name, topdown=False):
            _remove(Path(directory))


def _remove(group: Path) -> None:
    deadline = time.monotonic() + 5
    while True:
        try:
            return group.rmdir()
        except FileNotFoundError:
            return None
        except OSError:  # busy for a moment after its last process has gone
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _pids(name: str) -> set[int]:
    found: set[int] = set()
    for hierarchy in hierarchies():
        # os.walk passes over what containerd removes meanwhile; Path.glob does not.
        for directory, _, _ in os.walk(hierarchy / name):
            with suppress(OSError):
                found.update(int(pid) for pid in (Path(directory) / "cgroup.procs").read_text().split())
    return found
